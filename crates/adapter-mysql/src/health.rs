use std::time::Duration;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::health::Probe;
use tokio::time::timeout;

use crate::Mysql;
use crate::error::unavailable;
use crate::sql::sql;

/// A probe that is asked every few seconds must not wait as long as a request may.
const LIMIT: Duration = Duration::from_millis(1_500);

#[async_trait]
impl Probe for Mysql {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn check(&self) -> Result<()> {
        let asked = self.read((), |tx, ()| {
            Box::pin(async move {
                sql("SELECT COUNT(*) AS n FROM id_counters").count(tx).await.map(drop)
            })
        });
        timeout(LIMIT, asked).await.unwrap_or_else(|_| Err(unavailable()))
    }
}
