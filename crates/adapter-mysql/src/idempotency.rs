use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::error::ErrorKind;
use concert_domain::idempotency::{KEY_LIFETIME_HOURS, StoredAnswer};
use concert_domain::{Applied, Error, IdempotencyClaim, IdempotencyStore, Result, UserId};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Text};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Mysql;
use crate::batch::put;
use crate::error::Run;
use crate::group::all;
use crate::sql::{Number, Tx, sql};

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
        self.batches.answers.submit(self, claim.clone()).await
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

#[derive(QueryableByName)]
struct NumberedAnswerRow {
    #[diesel(sql_type = BigInt)]
    place: i64,
    #[diesel(embed)]
    row: AnswerRow,
}

/// The same for many claims, with one answer for each.
pub(crate) async fn stored_all(
    tx: &mut Tx,
    claims: &[IdempotencyClaim],
) -> Run<Vec<Result<Option<StoredAnswer>>>> {
    let rows: Vec<NumberedAnswerRow> = sql("SELECT t.place, k.fingerprint, k.answer
         FROM JSON_TABLE(?, '$[*]' COLUMNS (place FOR ORDINALITY, user_id BIGINT PATH '$[0]',
             route VARCHAR(100) COLLATE utf8mb4_0900_bin PATH '$[1]',
             name VARCHAR(255) COLLATE utf8mb4_0900_bin PATH '$[2]')) t
         STRAIGHT_JOIN idempotency_keys k
             ON k.user_id = t.user_id AND k.route = t.route AND k.idempotency_key = t.name
         WHERE k.created_at > {now} - ?")
    .json(&claims.iter().map(name_of).collect::<Vec<_>>())?
    .millis(LIFETIME)
    .rows(tx)
    .await?;
    let mut answers: Vec<_> = claims.iter().map(|_| Ok(None)).collect();
    for NumberedAnswerRow { place, row } in rows {
        let answer = StoredAnswer { fingerprint: row.fingerprint, answer: row.answer };
        put(&mut answers, place, Ok(Some(answer)));
    }
    Ok(answers)
}

/// What tells a claim from others.
pub(crate) type Name<'a> = (i64, &'a str, &'a str);

/// What tells the claim from others.
pub(crate) fn name_of(claim: &IdempotencyClaim) -> Name<'_> {
    (claim.user.get(), claim.route, claim.key.as_str())
}

/// Which of these claims have a row, ended or not.
pub(crate) async fn in_use<'a>(
    tx: &mut Tx,
    claims: impl Iterator<Item = &'a IdempotencyClaim>,
) -> Run<HashSet<Name<'a>>> {
    names_in_use(tx, claims.map(name_of).collect()).await
}

/// Which of these names have a row, ended or not.
pub(crate) async fn names_in_use<'a>(tx: &mut Tx, names: Vec<Name<'a>>) -> Run<HashSet<Name<'a>>> {
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<Number> = sql("SELECT t.place AS n
         FROM JSON_TABLE(?, '$[*]' COLUMNS (place FOR ORDINALITY, user_id BIGINT PATH '$[0]',
             route VARCHAR(100) COLLATE utf8mb4_0900_bin PATH '$[1]',
             name VARCHAR(255) COLLATE utf8mb4_0900_bin PATH '$[2]')) t
         STRAIGHT_JOIN idempotency_keys k
             ON k.user_id = t.user_id AND k.route = t.route AND k.idempotency_key = t.name")
    .json(&names)?
    .rows(tx)
    .await?;
    Ok(at_places(&names, &rows).collect())
}

/// The names at the places that a statement found something for, counted from 1 as `FOR ORDINALITY`
/// does.
pub(crate) fn at_places<'a>(
    names: &[Name<'a>],
    places: &[Number],
) -> impl Iterator<Item = Name<'a>> {
    places.iter().filter_map(|row| names.get(usize::try_from(row.n - 1).ok()?).copied())
}

/// Keeps the answers of many changes, in the transaction of the changes. None of the claims may
/// have a row.
pub(crate) async fn keep_all<'a, T: Serialize + 'a>(
    tx: &mut Tx,
    kept: impl Iterator<Item = (Option<&'a IdempotencyClaim>, &'a T)>,
) -> Run<()> {
    let mut rows = Vec::new();
    for (claim, value) in kept {
        let Some(claim) = claim else { continue };
        let ((user, route, key), answer) = (name_of(claim), StoredAnswer::new(claim, value)?);
        rows.push((user, route, key, hex(&answer.fingerprint), answer.answer));
    }
    keep_rows(tx, &rows).await
}

/// A name, and in hexadecimal digits what its request was, and its answer.
pub(crate) type Kept<'a> = (i64, &'a str, &'a str, String, String);

/// The same for claims that were stored.
pub(crate) async fn keep_rows(tx: &mut Tx, rows: &[Kept<'_>]) -> Run<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let kept = sql("INSERT INTO idempotency_keys
             (user_id, route, idempotency_key, fingerprint, answer, created_at)
         SELECT t.user_id, t.route, t.name, UNHEX(t.fingerprint), t.answer, {now}
         FROM JSON_TABLE(?, '$[*]' COLUMNS (user_id BIGINT PATH '$[0]',
             route VARCHAR(100) PATH '$[1]', name VARCHAR(255) PATH '$[2]',
             fingerprint VARCHAR(128) PATH '$[3]', answer MEDIUMTEXT PATH '$[4]')) t")
    .json(rows)?
    .run(tx)
    .await?;
    all(kept, rows.len(), "kept answers")
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
