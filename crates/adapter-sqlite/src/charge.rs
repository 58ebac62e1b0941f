//! Charges under way: intents, how they are settled and how they are given up.

use std::time::Duration;

use concert_domain::idempotency::StoredAnswer;
use concert_domain::point::{
    ChargeIntent, Charged, EntryKind, GatewayVerdict, MAX_BALANCE, OpenCharge, Opened,
    PaymentDetail, PaymentMethod,
};
use concert_domain::{Applied, Error, IdempotencyClaim, Result, TransactionId};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use crate::db::Tx;
use crate::idempotency::{keep_answer, replayed};
use crate::point::{Entry, line, post};
use crate::sql::{sql, typed, unknown_word};

#[derive(QueryableByName)]
struct IntentRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = BigInt)]
    amount: i64,
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
    fingerprint: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<BigInt>)]
    given_up_at: Option<i64>,
}

impl IntentRow {
    fn intent(&self) -> Result<ChargeIntent> {
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

    fn open_charge(&self) -> Result<OpenCharge> {
        Ok(OpenCharge { intent: self.intent()?, given_up: self.given_up_at.is_some() })
    }
}

/// Records an intent and keeps its room free under the limit.
pub(crate) fn open(
    tx: &mut Tx<'_>,
    intent: ChargeIntent,
    claim: Option<IdempotencyClaim>,
) -> Result<Opened> {
    if let Some(Applied::Replayed(before)) = replayed(tx, claim.as_ref())? {
        return Ok(Opened::Replayed(before));
    }
    if let Some(open) = claim.as_ref().map(|claim| open_intent(tx, claim)).transpose()?.flatten() {
        return Ok(Opened::Pending(open));
    }
    sql("INSERT INTO point_accounts (user_id, balance, pending, sequence) VALUES (?, 0, 0, 0)
         ON CONFLICT (user_id) DO NOTHING")
    .int(intent.user_id)
    .run(tx.conn)?;
    let room = sql("UPDATE point_accounts SET pending = pending + ?
         WHERE user_id = ? AND balance + pending + ? <= ?")
    .int(intent.amount)
    .int(intent.user_id)
    .int(intent.amount)
    .int(MAX_BALANCE)
    .run(tx.conn)?;
    if room == 0 {
        return Err(Error::PointLimitExceeded);
    }
    insert_intent(tx, &intent, claim)?;
    Ok(Opened::Pending(intent))
}

/// The intent that an earlier request with the claim opened and that is not settled.
fn open_intent(tx: &mut Tx<'_>, claim: &IdempotencyClaim) -> Result<Option<ChargeIntent>> {
    let row: Option<IntentRow> = sql("SELECT * FROM charge_intents
         WHERE user_id = ? AND route = ? AND idempotency_key = ? AND status = 'PENDING'")
    .int(claim.user)
    .text(claim.route)
    .text(claim.key.as_str())
    .row(tx.conn)?;
    let Some(row) = row else { return Ok(None) };
    if row.fingerprint.as_deref() != Some(claim.fingerprint.as_bytes()) {
        return Err(Error::IdempotencyKeyReused);
    }
    if row.given_up_at.is_some() {
        return Err(Error::IdempotencyInProgress);
    }
    row.intent().map(Some)
}

fn insert_intent(
    tx: &mut Tx<'_>,
    intent: &ChargeIntent,
    claim: Option<IdempotencyClaim>,
) -> Result<()> {
    let method = match intent.method {
        PaymentMethod::Card => "CARD",
        PaymentMethod::Transfer => "TRANSFER",
    };
    sql("INSERT INTO charge_intents (id, user_id, amount, method, detail, status, created_at,
                                     route, idempotency_key, fingerprint)
         VALUES (?, ?, ?, ?, ?, 'PENDING', ?, ?, ?, ?)")
    .int(intent.id)
    .int(intent.user_id)
    .int(intent.amount)
    .text(method)
    .text_or_null(intent.detail.as_ref().map(PaymentDetail::as_str))
    .time(tx.now)
    .text_or_null(claim.as_ref().map(|claim| claim.route))
    .text_or_null(claim.as_ref().map(|claim| claim.key.as_str()))
    .bytes_or_null(claim.as_ref().map(|claim| *claim.fingerprint.as_bytes()))
    .run(tx.conn)?;
    Ok(())
}

/// Settles an intent; `None` means that it is declined.
pub(crate) fn settle(
    tx: &mut Tx<'_>,
    id: TransactionId,
    verdict: GatewayVerdict,
) -> Result<Option<Applied<Charged>>> {
    let row: Option<IntentRow> =
        sql("SELECT * FROM charge_intents WHERE id = ?").int(id).row(tx.conn)?;
    let row = row.ok_or_else(|| Error::bug("a charge that was never opened is settled"))?;
    let intent = row.intent()?;
    match (row.status.as_str(), verdict) {
        ("APPROVED", _) => Ok(Some(Applied::Replayed(charged_before(tx, &intent)?))),
        ("DECLINED", _) => Ok(None),
        (_, GatewayVerdict::Declined) => {
            close(tx, &intent, "DECLINED")?;
            Ok(None)
        }
        (_, GatewayVerdict::Approved) if row.given_up_at.is_some() => Ok(None),
        (_, GatewayVerdict::Approved) => approve(tx, intent, row).map(Some),
    }
}

fn approve(tx: &mut Tx<'_>, intent: ChargeIntent, row: IntentRow) -> Result<Applied<Charged>> {
    close(tx, &intent, "APPROVED")?;
    let entry = Entry {
        id: intent.id,
        user: intent.user_id,
        kind: EntryKind::Charge,
        amount: intent.amount,
        payment: None,
    };
    let charged = Charged {
        transaction_id: intent.id,
        user_id: intent.user_id,
        amount: intent.amount,
        balance: post(tx, &entry)?,
        charged_at: tx.now,
    };
    if let (Some(route), Some(key), Some(fingerprint)) =
        (row.route, row.idempotency_key, row.fingerprint)
    {
        let answer = serde_json::to_string(&charged).map_err(|e| Error::bug(e.to_string()))?;
        keep_answer(tx, intent.user_id, &route, &key, StoredAnswer { fingerprint, answer })?;
    }
    Ok(Applied::Fresh(charged))
}

/// Ends a pending intent and gives its room back.
fn close(tx: &mut Tx<'_>, intent: &ChargeIntent, status: &str) -> Result<()> {
    sql("UPDATE charge_intents SET status = ?, settled_at = ? WHERE id = ? AND status = 'PENDING'")
        .text(status)
        .time(tx.now)
        .int(intent.id)
        .run(tx.conn)?;
    sql("UPDATE point_accounts SET pending = pending - ? WHERE user_id = ?")
        .int(intent.amount)
        .int(intent.user_id)
        .run(tx.conn)?;
    Ok(())
}

/// From here on the intent can only be declined.
pub(crate) fn give_up(tx: &mut Tx<'_>, id: TransactionId) -> Result<bool> {
    sql("UPDATE charge_intents SET given_up_at = ?
         WHERE id = ? AND status = 'PENDING' AND given_up_at IS NULL")
    .time(tx.now)
    .int(id)
    .run(tx.conn)?;
    let given_up = sql("SELECT COUNT(*) AS n FROM charge_intents
         WHERE id = ? AND status <> 'APPROVED' AND given_up_at IS NOT NULL");
    Ok(given_up.int(id).count(tx.conn)? == 1)
}

pub(crate) fn take(tx: &mut Tx<'_>, age: Duration, limit: u32) -> Result<Vec<OpenCharge>> {
    let before = tx.now.minus(age);
    let rows: Vec<IntentRow> =
        sql("SELECT * FROM charge_intents WHERE status = 'PENDING' AND created_at <= ?
             AND (looked_at IS NULL OR looked_at <= ?)
         ORDER BY COALESCE(looked_at, created_at), id LIMIT ?")
        .time(before)
        .time(before)
        .int(limit)
        .rows(tx.conn)?;
    for row in &rows {
        sql("UPDATE charge_intents SET looked_at = ? WHERE id = ?")
            .time(tx.now)
            .int(row.id)
            .run(tx.conn)?;
    }
    rows.iter().map(IntentRow::open_charge).collect()
}

fn charged_before(tx: &mut Tx<'_>, intent: &ChargeIntent) -> Result<Charged> {
    let line = line(tx, intent.id)?;
    let line = line.ok_or_else(|| Error::bug("an approved charge has no ledger line"))?;
    Ok(Charged {
        transaction_id: intent.id,
        user_id: intent.user_id,
        amount: intent.amount,
        balance: line.balance_after,
        charged_at: line.created_at,
    })
}
