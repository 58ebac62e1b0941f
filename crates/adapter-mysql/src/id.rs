use async_trait::async_trait;
use concert_domain::{IdBlock, IdBlocks, IdKind, Result};

use crate::Mysql;
use crate::error::Run;
use crate::sql::{Tx, sql};

#[async_trait]
impl IdBlocks for Mysql {
    async fn take(&self, kind: IdKind, count: u32) -> Result<IdBlock> {
        // A block whose commit was not answered is given up: a gap, and the next one is tried.
        self.write_verified(
            (kind, count),
            |tx, (kind, count)| Box::pin(take(tx, *kind, *count)),
            |_, _| Box::pin(async { Ok(None) }),
        )
        .await
    }
}

/// Moves the counter on; answers the run before it. The row stays locked until the commit, so
/// nobody reads the same number.
async fn take(tx: &mut Tx, kind: IdKind, count: u32) -> Run<IdBlock> {
    sql("INSERT INTO id_counters (kind, next) VALUES (?, 1 + ?)
         ON DUPLICATE KEY UPDATE next = next + ?")
    .text(kind.name())
    .int(count)
    .int(count)
    .run(tx)
    .await?;
    let next = sql("SELECT next AS n FROM id_counters WHERE kind = ?").text(kind.name());
    Ok(IdBlock { first: next.count(tx).await? - i64::from(count), count })
}
