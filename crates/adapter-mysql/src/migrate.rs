//! Bringing the schema to this program's version.

use concert_domain::{Error, Result};
use diesel_async::{AsyncMigrationHarness, AsyncMysqlConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::Mysql;
use crate::error::{Fault, unavailable};
use crate::lease::connect;
use crate::sql::sql;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/mysql");

impl Mysql {
    /// Brings the schema to this program's version; answers how many steps that took. Safe when
    /// several processes start at once: the server lets one of them in, for as long as its
    /// connection lasts.
    ///
    /// MySQL commits each step by itself. A run that dies is taken up where it ended.
    pub async fn migrate(&self) -> Result<usize> {
        let mut conn = self.connect_alone().await?;
        self.spawn(async move {
            let locked = sql(
                "SELECT GET_LOCK(CONCAT('migrate:', LEFT(SHA2(DATABASE(), 256), 40)), 60) AS n",
            )
            .count(&mut conn)
            .await
            .map_err(Fault::refusal)?;
            if locked != 1 {
                return Err(Error::unavailable("the database's migration lock"));
            }
            let mut harness = AsyncMigrationHarness::new(conn);
            let done = harness.run_pending_migrations(MIGRATIONS);
            Ok(done.map_err(|e| Error::bug(format!("migration failed: {e}")))?.len())
        })
        .await
    }

    /// How many steps the schema is behind this program.
    pub async fn pending_migrations(&self) -> Result<usize> {
        let conn = self.connect_alone().await?;
        self.spawn(async move {
            let mut harness = AsyncMigrationHarness::new(conn);
            let pending = harness.pending_migrations(MIGRATIONS);
            Ok(pending.map_err(|e| Error::bug(e.to_string()))?.len())
        })
        .await
    }

    /// A connection outside the pool, to be closed after use.
    async fn connect_alone(&self) -> Result<AsyncMysqlConnection> {
        let url = self.url.clone();
        self.spawn(async move {
            connect(&url).await.map_err(|error| {
                tracing::warn!(%error, "no connection to the database");
                unavailable()
            })
        })
        .await
    }
}
