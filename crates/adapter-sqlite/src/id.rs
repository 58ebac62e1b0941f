use async_trait::async_trait;
use concert_domain::{IdBlock, IdBlocks, IdKind, Result};

use crate::Sqlite;
use crate::db::Tx;
use crate::sql::sql;

#[async_trait]
impl IdBlocks for Sqlite {
    async fn take(&self, kind: IdKind, count: u32) -> Result<IdBlock> {
        self.write(move |tx| take(tx, kind, count)).await
    }
}

/// Moves the counter on; answers the run before it.
pub(crate) fn take(tx: &mut Tx<'_>, kind: IdKind, count: u32) -> Result<IdBlock> {
    let next = sql("INSERT INTO id_counters (kind, next) VALUES (?, 1 + ?)
         ON CONFLICT (kind) DO UPDATE SET next = next + excluded.next - 1
         RETURNING next AS n")
    .text(kind.name())
    .int(count)
    .count(tx.conn)?;
    Ok(IdBlock { first: next - i64::from(count), count })
}
