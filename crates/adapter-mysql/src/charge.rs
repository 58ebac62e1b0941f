//! Charges under way, one by itself: intents, how they are settled and how they are given up. Many
//! at once: `charges.rs`.

use std::time::Duration;

use concert_domain::idempotency::StoredAnswer;
use concert_domain::point::{
    ChargeIntent, Charged, EntryKind, GatewayVerdict, MAX_BALANCE, OpenCharge, Opened,
    PaymentDetail, PaymentMethod,
};
use concert_domain::{Applied, Error, IdempotencyClaim, Result, TransactionId, UserId};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use crate::error::{Run, typed, unknown_word};
use crate::idempotency::{Name, keep_answer, stored};
use crate::point::{Entry, line, post};
use crate::sql::{Tx, sql};

/// What settling a charge came to; `None` means that it is declined.
pub(crate) type Settled = Option<Applied<Charged>>;

#[derive(QueryableByName)]
pub(crate) struct IntentRow {
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    #[diesel(sql_type = BigInt)]
    pub user_id: i64,
    #[diesel(sql_type = BigInt)]
    pub amount: i64,
    #[diesel(sql_type = Text)]
    method: String,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<String>,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = Nullable<Text>)]
    route: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    idempotency_key: Option<String>,
    #[diesel(sql_type = Nullable<Binary>)]
    pub fingerprint: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    given_up_at: Option<i64>,
}

impl IntentRow {
    /// The intent that it is.
    pub fn intent(&self) -> Result<ChargeIntent> {
        let method = match self.method.as_str() {
            "CARD" => PaymentMethod::Card,
            "TRANSFER" => PaymentMethod::Transfer,
            other => return Err(unknown_word("charge_intents.method", other)),
        };
        Ok(ChargeIntent {
            id: typed("charge_intents.id", self.id)?,
            user_id: typed("charge_intents.user_id", self.user_id)?,
            amount: typed("charge_intents.amount", self.amount)?,
            method,
            detail: self.detail.clone().map(PaymentDetail::stored),
        })
    }

    /// Whether it can still be approved.
    pub fn is_pending(&self) -> bool {
        self.status == "PENDING" && self.given_up_at.is_none()
    }

    /// What tells the claim of its request from others.
    pub fn name(&self) -> Option<Name<'_>> {
        Some((self.user_id, self.route.as_deref()?, self.idempotency_key.as_deref()?))
    }

    fn open_charge(&self) -> Result<OpenCharge> {
        Ok(OpenCharge { intent: self.intent()?, given_up: self.given_up_at.is_some() })
    }
}

/// Records an intent and keeps its room free under the limit.
pub(crate) async fn open(
    tx: &mut Tx,
    intent: &ChargeIntent,
    claim: Option<&IdempotencyClaim>,
) -> Run<Opened> {
    if let Some(claim) = claim {
        // Of equal requests at once the second waits here until the first has its intent.
        lock_account(tx, intent.user_id).await?;
        if let Some(before) = stored(tx, claim).await? {
            return Ok(Opened::Replayed(before.replay(claim)?));
        }
        if let Some(open) = open_intent(tx, claim).await? {
            return Ok(Opened::Pending(open));
        }
    }
    if !reserve(tx, intent).await? {
        lock_account(tx, intent.user_id).await?;
        if !reserve(tx, intent).await? {
            return Err(Error::PointLimitExceeded.into());
        }
    }
    insert_intent(tx, intent, claim).await?;
    Ok(Opened::Pending(intent.clone()))
}

/// Makes the account if there is none, and locks it.
async fn lock_account(tx: &mut Tx, user: UserId) -> Run<()> {
    sql("INSERT INTO point_accounts (user_id, balance, pending, sequence) VALUES (?, 0, 0, 0)
         ON DUPLICATE KEY UPDATE user_id = point_accounts.user_id")
    .int(user)
    .run(tx)
    .await?;
    Ok(())
}

async fn reserve(tx: &mut Tx, intent: &ChargeIntent) -> Run<bool> {
    let room = sql("UPDATE point_accounts SET pending = pending + ?
         WHERE user_id = ? AND balance + pending + ? <= ?")
    .int(intent.amount)
    .int(intent.user_id)
    .int(intent.amount)
    .int(MAX_BALANCE)
    .run(tx)
    .await?;
    Ok(room == 1)
}

/// The intent that an earlier request with the claim opened and that is not settled.
async fn open_intent(tx: &mut Tx, claim: &IdempotencyClaim) -> Run<Option<ChargeIntent>> {
    let row: Option<IntentRow> = sql("SELECT * FROM charge_intents
         WHERE user_id = ? AND route = ? AND idempotency_key = ? AND is_open = 1")
    .int(claim.user)
    .text(claim.route)
    .text(claim.key.as_str())
    .row(tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.fingerprint.as_deref() != Some(claim.fingerprint.as_bytes()) {
        return Err(Error::IdempotencyKeyReused.into());
    }
    if row.given_up_at.is_some() {
        return Err(Error::IdempotencyInProgress.into());
    }
    Ok(Some(row.intent()?))
}

async fn insert_intent(
    tx: &mut Tx,
    intent: &ChargeIntent,
    claim: Option<&IdempotencyClaim>,
) -> Run<()> {
    sql("INSERT INTO charge_intents (id, user_id, amount, method, detail, status, created_at,
                                     route, idempotency_key, fingerprint)
         VALUES (?, ?, ?, ?, ?, 'PENDING', {now}, ?, ?, ?)")
    .int(intent.id)
    .int(intent.user_id)
    .int(intent.amount)
    .text(method_word(intent.method))
    .text_or_null(intent.detail.as_ref().map(PaymentDetail::as_str))
    .text_or_null(claim.map(|claim| claim.route))
    .text_or_null(claim.map(|claim| claim.key.as_str()))
    .bytes_or_null(claim.map(|claim| *claim.fingerprint.as_bytes()))
    .run(tx)
    .await?;
    Ok(())
}

pub(crate) fn method_word(method: PaymentMethod) -> &'static str {
    match method {
        PaymentMethod::Card => "CARD",
        PaymentMethod::Transfer => "TRANSFER",
    }
}

pub(crate) async fn opened_before(tx: &mut Tx, intent: &ChargeIntent) -> Run<Option<Opened>> {
    let there = sql("SELECT COUNT(*) AS n FROM charge_intents WHERE id = ?").int(intent.id);
    Ok((there.count(tx).await? == 1).then(|| Opened::Pending(intent.clone())))
}

/// Settles an intent.
pub(crate) async fn settle(
    tx: &mut Tx,
    id: TransactionId,
    verdict: GatewayVerdict,
) -> Run<Settled> {
    let row: Option<IntentRow> =
        sql("SELECT * FROM charge_intents WHERE id = ? FOR UPDATE").int(id).row(tx).await?;
    let row = row.ok_or_else(|| Error::bug("a charge that was never opened is settled"))?;
    let intent = row.intent()?;
    match (row.status.as_str(), verdict) {
        ("APPROVED", _) => Ok(Some(Applied::Replayed(charge_of(tx, &intent).await?))),
        ("DECLINED", _) => Ok(None),
        (_, GatewayVerdict::Declined) => {
            close(tx, &intent, "DECLINED").await?;
            Ok(None)
        }
        (_, GatewayVerdict::Approved) if row.given_up_at.is_some() => Ok(None),
        (_, GatewayVerdict::Approved) => Ok(Some(approve(tx, &intent, row).await?)),
    }
}

async fn approve(tx: &mut Tx, intent: &ChargeIntent, row: IntentRow) -> Run<Applied<Charged>> {
    close(tx, intent, "APPROVED").await?;
    let entry = Entry {
        id: intent.id,
        user: intent.user_id,
        kind: EntryKind::Charge,
        amount: intent.amount,
        payment: None,
    };
    post(tx, &entry).await?;
    let charged = charge_of(tx, intent).await?;
    if let (Some(route), Some(key), Some(fingerprint)) =
        (row.route, row.idempotency_key, row.fingerprint)
    {
        let answer = answer_of(fingerprint, &charged)?;
        keep_answer(tx, intent.user_id, &route, &key, &answer).await?;
    }
    Ok(Applied::Fresh(charged))
}

/// What is kept for an equal request.
pub(crate) fn answer_of(fingerprint: Vec<u8>, charged: &Charged) -> Result<StoredAnswer> {
    let answer = serde_json::to_string(charged).map_err(|e| Error::bug(e.to_string()))?;
    Ok(StoredAnswer { fingerprint, answer })
}

/// Ends a pending intent and gives its room back.
async fn close(tx: &mut Tx, intent: &ChargeIntent, status: &str) -> Run<()> {
    sql("UPDATE charge_intents SET status = ?, settled_at = {now}
         WHERE id = ? AND status = 'PENDING'")
    .text(status)
    .int(intent.id)
    .run(tx)
    .await?;
    sql("UPDATE point_accounts SET pending = pending - ? WHERE user_id = ?")
        .int(intent.amount)
        .int(intent.user_id)
        .run(tx)
        .await?;
    Ok(())
}

/// What a charge came to whose settlement was not answered.
pub(crate) async fn settled_before(tx: &mut Tx, id: TransactionId) -> Run<Option<Settled>> {
    let row: Option<IntentRow> =
        sql("SELECT * FROM charge_intents WHERE id = ?").int(id).row(tx).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(match row.status.as_str() {
        "APPROVED" => Some(Some(Applied::Fresh(charge_of(tx, &row.intent()?).await?))),
        "DECLINED" => Some(None),
        _ => None,
    })
}

/// From here on the intent can only be declined.
pub(crate) async fn give_up(tx: &mut Tx, id: TransactionId) -> Run<bool> {
    sql("UPDATE charge_intents SET given_up_at = {now}
         WHERE id = ? AND status = 'PENDING' AND given_up_at IS NULL")
    .int(id)
    .run(tx)
    .await?;
    is_given_up(tx, id).await
}

async fn is_given_up(tx: &mut Tx, id: TransactionId) -> Run<bool> {
    let given_up = sql("SELECT COUNT(*) AS n FROM charge_intents
         WHERE id = ? AND status <> 'APPROVED' AND given_up_at IS NOT NULL");
    Ok(given_up.int(id).count(tx).await? == 1)
}

/// Nothing is known of a giving up that is not there: it is tried again.
pub(crate) async fn given_up_before(tx: &mut Tx, id: TransactionId) -> Run<Option<bool>> {
    Ok(is_given_up(tx, id).await?.then_some(true))
}

/// Callers pass each other by: rows that one of them is looking at are skipped.
pub(crate) async fn take(tx: &mut Tx, age: Duration, limit: u32) -> Run<Vec<OpenCharge>> {
    let rows: Vec<IntentRow> =
        sql("SELECT * FROM charge_intents WHERE status = 'PENDING' AND created_at <= {now} - ?
             AND (looked_at IS NULL OR looked_at <= {now} - ?)
         ORDER BY COALESCE(looked_at, created_at), id LIMIT ? FOR UPDATE SKIP LOCKED")
        .millis(age)
        .millis(age)
        .int(limit)
        .rows(tx)
        .await?;
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    sql("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN charge_intents i ON i.id = t.id SET i.looked_at = {now}")
    .json(&ids)?
    .run(tx)
    .await?;
    Ok(rows.iter().map(IntentRow::open_charge).collect::<Result<_>>()?)
}

/// The charge as its ledger line tells it.
async fn charge_of(tx: &mut Tx, intent: &ChargeIntent) -> Run<Charged> {
    let line = line(tx, intent.id).await?;
    let line = line.ok_or_else(|| Error::bug("an approved charge has no ledger line"))?;
    Ok(Charged {
        transaction_id: intent.id,
        user_id: intent.user_id,
        amount: intent.amount,
        balance: line.balance_after,
        charged_at: line.created_at,
    })
}
