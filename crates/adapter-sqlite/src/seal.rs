use async_trait::async_trait;
use concert_domain::queue::{SealKey, SealKeys};
use concert_domain::{Error, Result};
use diesel::QueryableByName;
use diesel::sql_types::Binary;

use crate::Sqlite;
use crate::db::Tx;
use crate::sql::sql;

#[async_trait]
impl SealKeys for Sqlite {
    async fn seal_key(&self, fresh: SealKey) -> Result<SealKey> {
        self.write(move |tx| seal_key(tx, fresh)).await
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Binary)]
    value: Vec<u8>,
}

fn seal_key(tx: &mut Tx<'_>, fresh: SealKey) -> Result<SealKey> {
    sql("INSERT INTO secrets (name, value) VALUES ('queue_tokens', ?) ON CONFLICT DO NOTHING")
        .bytes(*fresh.as_bytes())
        .run(tx.conn)?;
    let row: Option<Row> =
        sql("SELECT value FROM secrets WHERE name = 'queue_tokens'").row(tx.conn)?;
    let kept = row.and_then(|row| row.value.try_into().ok());
    kept.map(SealKey::from_bytes).ok_or_else(|| Error::bug("the key of queue tokens is garbled"))
}
