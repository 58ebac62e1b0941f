use std::time::Duration;

use async_trait::async_trait;
use concert_domain::error::ErrorKind;
use concert_domain::idempotency::{KEY_LIFETIME_HOURS, StoredAnswer};
use concert_domain::{Applied, Error, IdempotencyClaim, IdempotencyStore, Result, UserId};
use diesel::QueryableByName;
use diesel::sql_types::{Binary, Text};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Mysql;
use crate::error::Run;
use crate::sql::{Tx, sql};

const LIFETIME: Duration = Duration::from_secs(KEY_LIFETIME_HOURS * 3_600);

#[derive(QueryableByName)]
struct AnswerRow {
    #[diesel(sql_type = Binary)]
    fingerprint: Vec<u8>,
    #[diesel(sql_type = Text)]
    answer: String,
}

#[async_trait]
impl IdempotencyStore for Mysql {
    async fn find(&self, claim: &IdempotencyClaim) -> Result<Option<StoredAnswer>> {
        self.read(claim.clone(), |tx, claim| Box::pin(stored(tx, claim))).await
    }

    async fn purge(&self, limit: u32) -> Result<u32> {
        let purged = self.write(limit, |tx, limit| {
            Box::pin(async move {
                sql("DELETE FROM idempotency_keys WHERE created_at <= {now} - ?
                     ORDER BY created_at LIMIT ?")
                .millis(LIFETIME)
                .int(*limit)
                .run(tx)
                .await
            })
        });
        Ok(u32::try_from(purged.await?).unwrap_or(u32::MAX))
    }
}

pub(crate) async fn stored(tx: &mut Tx, claim: &IdempotencyClaim) -> Run<Option<StoredAnswer>> {
    let row: Option<AnswerRow> = sql("SELECT fingerprint, answer FROM idempotency_keys
         WHERE user_id = ? AND route = ? AND idempotency_key = ? AND created_at > {now} - ?")
    .int(claim.user)
    .text(claim.route)
    .text(claim.key.as_str())
    .millis(LIFETIME)
    .row(tx)
    .await?;
    Ok(row.map(|row| StoredAnswer { fingerprint: row.fingerprint, answer: row.answer }))
}

/// Runs a change that keeps its answer under a claim. It is not preceded by a look-up: whatever
/// an equal request did before makes this one fail, at the latest on the unique key of its answer,
/// and then that answer counts.
pub(crate) async fn once<T: DeserializeOwned>(
    store: &Mysql,
    claim: Option<IdempotencyClaim>,
    change: impl Future<Output = Result<T>>,
) -> Result<Applied<T>> {
    let refusal = match change.await {
        Ok(value) => return Ok(Applied::Fresh(value)),
        Err(error) => error,
    };
    let Some(claim) = claim else { return Err(refusal) };
    if matches!(refusal.kind(), ErrorKind::Unavailable | ErrorKind::Bug) {
        return Err(refusal);
    }
    match store.find(&claim).await? {
        Some(answer) => Ok(Applied::Replayed(answer.replay(&claim)?)),
        None => Err(refusal),
    }
}

/// Keeps the answer of a change, in the transaction of the change.
pub(crate) async fn keep<T: Serialize + Sync>(
    tx: &mut Tx,
    claim: Option<&IdempotencyClaim>,
    value: &T,
) -> Run<()> {
    let Some(claim) = claim else { return Ok(()) };
    let answer = StoredAnswer::new(claim, value)?;
    keep_answer(tx, claim.user, claim.route, claim.key.as_str(), &answer).await
}

/// The same for a claim that was stored. `IdempotencyInProgress` if an equal request kept its
/// answer first; a row whose time is over gives way.
pub(crate) async fn keep_answer(
    tx: &mut Tx,
    user: UserId,
    route: &str,
    key: &str,
    answer: &StoredAnswer,
) -> Run<()> {
    if insert(tx, user, route, key, answer).await? {
        return Ok(());
    }
    let ended = sql("DELETE FROM idempotency_keys
         WHERE user_id = ? AND route = ? AND idempotency_key = ? AND created_at <= {now} - ?")
    .int(user)
    .text(route)
    .text(key)
    .millis(LIFETIME)
    .run(tx)
    .await?;
    if ended == 1 && insert(tx, user, route, key, answer).await? {
        return Ok(());
    }
    Err(Error::IdempotencyInProgress.into())
}

async fn insert(
    tx: &mut Tx,
    user: UserId,
    route: &str,
    key: &str,
    answer: &StoredAnswer,
) -> Run<bool> {
    sql("INSERT INTO idempotency_keys
             (user_id, route, idempotency_key, fingerprint, answer, created_at)
         VALUES (?, ?, ?, ?, ?, {now})")
    .int(user)
    .text(route)
    .text(key)
    .bytes(answer.fingerprint.as_slice())
    .text(answer.answer.as_str())
    .insert(tx)
    .await
}
