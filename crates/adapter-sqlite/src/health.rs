use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::health::Probe;

use crate::Sqlite;
use crate::sql::sql;

#[async_trait]
impl Probe for Sqlite {
    fn name(&self) -> &'static str {
        "database"
    }

    async fn check(&self) -> Result<()> {
        self.read(|tx| sql("SELECT count(*) AS n FROM id_counters").count(tx.conn).map(drop)).await
    }
}
