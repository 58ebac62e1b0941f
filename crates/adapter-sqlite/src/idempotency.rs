use async_trait::async_trait;
use concert_domain::idempotency::{KEY_LIFETIME_HOURS, StoredAnswer};
use concert_domain::{Applied, IdempotencyClaim, IdempotencyStore, Result, Timestamp, UserId};
use diesel::QueryableByName;
use diesel::sql_types::{Binary, Text};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

use crate::Sqlite;
use crate::db::Tx;
use crate::sql::sql;

#[derive(QueryableByName)]
struct AnswerRow {
    #[diesel(sql_type = Binary)]
    fingerprint: Vec<u8>,
    #[diesel(sql_type = Text)]
    answer: String,
}

#[async_trait]
impl IdempotencyStore for Sqlite {
    async fn find(&self, claim: &IdempotencyClaim) -> Result<Option<StoredAnswer>> {
        let claim = claim.clone();
        self.read(move |tx| stored(tx, &claim)).await
    }

    async fn purge(&self, limit: u32) -> Result<u32> {
        let purged = self.write(move |tx| {
            sql("DELETE FROM idempotency_keys WHERE (user_id, route, idempotency_key) IN
                 (SELECT user_id, route, idempotency_key FROM idempotency_keys
                  WHERE created_at <= ? ORDER BY created_at LIMIT ?)")
            .time(ended_before(tx.now))
            .int(limit)
            .run(tx.conn)
        });
        Ok(u32::try_from(purged.await?).unwrap_or(u32::MAX))
    }
}

fn ended_before(now: Timestamp) -> Timestamp {
    now.minus(Duration::from_secs(KEY_LIFETIME_HOURS * 3_600))
}

fn stored(tx: &mut Tx<'_>, claim: &IdempotencyClaim) -> Result<Option<StoredAnswer>> {
    let row: Option<AnswerRow> = sql("SELECT fingerprint, answer FROM idempotency_keys
         WHERE user_id = ? AND route = ? AND idempotency_key = ? AND created_at > ?")
    .int(claim.user)
    .text(claim.route)
    .text(claim.key.as_str())
    .time(ended_before(tx.now))
    .row(tx.conn)?;
    Ok(row.map(|row| StoredAnswer { fingerprint: row.fingerprint, answer: row.answer }))
}

/// What an earlier request with the claim was answered.
pub(crate) fn replayed<T: DeserializeOwned>(
    tx: &mut Tx<'_>,
    claim: Option<&IdempotencyClaim>,
) -> Result<Option<Applied<T>>> {
    let Some(claim) = claim else { return Ok(None) };
    match stored(tx, claim)? {
        Some(answer) => Ok(Some(Applied::Replayed(answer.replay(claim)?))),
        None => Ok(None),
    }
}

/// Keeps the answer of a change, in the transaction of the change.
pub(crate) fn keep<T: Serialize>(
    tx: &mut Tx<'_>,
    claim: Option<&IdempotencyClaim>,
    value: &T,
) -> Result<()> {
    let Some(claim) = claim else { return Ok(()) };
    let answer = StoredAnswer::new(claim, value)?;
    keep_answer(tx, claim.user, claim.route, claim.key.as_str(), answer)
}

/// The same for a claim that was stored. The writer runs one job at a time and has looked the key
/// up before, so a row that is there is one whose time is over.
pub(crate) fn keep_answer(
    tx: &mut Tx<'_>,
    user: UserId,
    route: &str,
    key: &str,
    answer: StoredAnswer,
) -> Result<()> {
    sql("INSERT OR REPLACE INTO idempotency_keys
         (user_id, route, idempotency_key, fingerprint, answer, created_at)
         VALUES (?, ?, ?, ?, ?, ?)")
    .int(user)
    .text(route)
    .text(key)
    .bytes(answer.fingerprint)
    .text(answer.answer)
    .time(tx.now)
    .run(tx.conn)?;
    Ok(())
}
