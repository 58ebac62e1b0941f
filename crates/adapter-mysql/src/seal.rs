use async_trait::async_trait;
use concert_domain::queue::{SealKey, SealKeys};
use concert_domain::{Error, Result};
use diesel::QueryableByName;
use diesel::sql_types::Binary;

use crate::Mysql;
use crate::error::Run;
use crate::sql::{Tx, sql};

#[async_trait]
impl SealKeys for Mysql {
    async fn seal_key(&self, fresh: SealKey) -> Result<SealKey> {
        self.write(fresh, |tx, fresh| Box::pin(seal_key(tx, fresh))).await
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
}

async fn seal_key(tx: &mut Tx, fresh: &SealKey) -> Run<SealKey> {
    sql("INSERT INTO secrets (name, value) VALUES ('queue_tokens', ?)
         ON DUPLICATE KEY UPDATE value = secrets.value")
    .bytes(*fresh.as_bytes())
    .run(tx)
    .await?;
    let row: Option<Row> =
        sql("SELECT value FROM secrets WHERE name = 'queue_tokens'").row(tx).await?;
    let kept = row.and_then(|row| row.value.try_into().ok());
    Ok(kept
        .map(SealKey::from_bytes)
        .ok_or_else(|| Error::bug("the key of queue tokens is garbled"))?)
}
