use std::time::Duration;

use async_trait::async_trait;
use concert_domain::idempotency::StoredAnswer;
use concert_domain::point::{
    ChargeIntent, Charged, EntryKind, GatewayVerdict, LedgerLine, MAX_BALANCE, Opened,
    PaymentDetail, PaymentMethod, PointStore,
};
use concert_domain::{
    Applied, Cursor, Error, IdempotencyClaim, Page, PageRequest, PaymentId, Result, Timestamp,
    TransactionId, UserId, Won,
};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use crate::Sqlite;
use crate::db::Tx;
use crate::idempotency::{keep_answer, replayed};
use crate::sql::{sql, typed, unknown_word};

#[async_trait]
impl PointStore for Sqlite {
    async fn balance(&self, user: UserId) -> Result<Won> {
        self.read(move |tx| {
            let balance = sql("SELECT balance AS n FROM point_accounts WHERE user_id = ?");
            typed("point_accounts.balance", balance.int(user).count(tx.conn)?)
        })
        .await
    }

    async fn history(&self, user: UserId, page: PageRequest) -> Result<Page<LedgerLine>> {
        self.read(move |tx| history(tx, user, page)).await
    }

    async fn open_charge(
        &self,
        intent: ChargeIntent,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Opened> {
        self.write(move |tx| open(tx, intent, claim)).await
    }

    async fn settle_charge(
        &self,
        intent: TransactionId,
        verdict: GatewayVerdict,
    ) -> Result<Applied<Charged>> {
        // A decline is an answer, not a failure: it must be committed before it is told.
        let settled = self.write(move |tx| settle(tx, intent, verdict)).await?;
        settled.ok_or(Error::PaymentDeclined)
    }

    async fn unsettled(&self, age: Duration, limit: u32) -> Result<Vec<ChargeIntent>> {
        self.read(move |tx| {
            let rows: Vec<IntentRow> =
                sql("SELECT * FROM charge_intents WHERE status = 'PENDING' AND created_at <= ?
                 ORDER BY created_at LIMIT ?")
                .time(tx.now.minus(age))
                .int(limit)
                .rows(tx.conn)?;
            rows.into_iter().map(|row| row.intent()).collect()
        })
        .await
    }
}

/// A ledger line to be written.
pub(crate) struct Entry {
    pub id: TransactionId,
    pub user: UserId,
    pub kind: EntryKind,
    pub amount: Won,
    pub payment: Option<PaymentId>,
}

/// Moves a balance and writes the ledger line; answers the balance afterwards. The conditional
/// update refuses what would overdraw the account or exceed its limit.
pub(crate) fn post(tx: &mut Tx<'_>, entry: &Entry) -> Result<Won> {
    let amount = entry.kind.signed(entry.amount);
    let moved = sql("UPDATE point_accounts SET balance = balance + ?, sequence = sequence + 1
         WHERE user_id = ? AND balance + ? >= 0 AND balance + pending + ? <= ?")
    .int(amount)
    .int(entry.user)
    .int(amount)
    .int(amount)
    .int(MAX_BALANCE)
    .run(tx.conn)?;
    match (moved, entry.kind) {
        (0, EntryKind::Use) => Err(Error::InsufficientPoints),
        (0, EntryKind::Charge | EntryKind::Refund) => Err(Error::PointLimitExceeded),
        _ => write_line(tx, entry, amount),
    }
}

fn write_line(tx: &mut Tx<'_>, entry: &Entry, amount: i64) -> Result<Won> {
    let kind = match entry.kind {
        EntryKind::Charge => "CHARGE",
        EntryKind::Use => "USE",
        EntryKind::Refund => "REFUND",
    };
    let balance = sql("INSERT INTO point_ledger
             (id, user_id, sequence, kind, amount, balance_after, created_at, payment_id)
         SELECT ?, user_id, sequence, ?, ?, balance, ?, ? FROM point_accounts WHERE user_id = ?
         RETURNING balance_after AS n")
    .int(entry.id)
    .text(kind)
    .int(amount)
    .time(tx.now)
    .int_or_null(entry.payment)
    .int(entry.user)
    .count(tx.conn)?;
    typed("point_ledger.balance_after", balance)
}

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
            detail: self.detail.clone().map(PaymentDetail::try_from).transpose()?,
        })
    }
}

/// Records an intent and keeps its room free under the limit.
fn open(tx: &mut Tx<'_>, intent: ChargeIntent, claim: Option<IdempotencyClaim>) -> Result<Opened> {
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
fn settle(
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
        ("DECLINED", GatewayVerdict::Approved) => {
            tracing::error!(charge = %id, "the gateway approved a charge that it had declined");
            Err(Error::bug("a declined charge was approved"))
        }
        ("DECLINED", GatewayVerdict::Declined) => Ok(None),
        (_, GatewayVerdict::Declined) => {
            close(tx, &intent, "DECLINED")?;
            Ok(None)
        }
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

#[derive(QueryableByName)]
struct LineRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    amount: i64,
    #[diesel(sql_type = BigInt)]
    balance_after: i64,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    payment_id: Option<i64>,
}

impl LineRow {
    fn line(self) -> Result<LedgerLine> {
        Ok(LedgerLine {
            transaction_id: typed("point_ledger.id", self.id)?,
            sequence: self.sequence,
            kind: match self.kind.as_str() {
                "CHARGE" => EntryKind::Charge,
                "USE" => EntryKind::Use,
                "REFUND" => EntryKind::Refund,
                other => return Err(unknown_word("point_ledger.kind", other)),
            },
            amount: self.amount,
            balance_after: typed("point_ledger.balance_after", self.balance_after)?,
            created_at: Timestamp::from_millis(self.created_at),
            payment_id: self
                .payment_id
                .map(|id| typed("point_ledger.payment_id", id))
                .transpose()?,
        })
    }
}

fn charged_before(tx: &mut Tx<'_>, intent: &ChargeIntent) -> Result<Charged> {
    let row: Option<LineRow> =
        sql("SELECT * FROM point_ledger WHERE id = ?").int(intent.id).row(tx.conn)?;
    let line = row.ok_or_else(|| Error::bug("an approved charge has no ledger line"))?.line()?;
    Ok(Charged {
        transaction_id: intent.id,
        user_id: intent.user_id,
        amount: intent.amount,
        balance: line.balance_after,
        charged_at: line.created_at,
    })
}

fn history(tx: &mut Tx<'_>, user: UserId, page: PageRequest) -> Result<Page<LedgerLine>> {
    let before = page.after.map_or(i64::MAX, |cursor| cursor.key);
    let rows: Vec<LineRow> = sql("SELECT * FROM point_ledger WHERE user_id = ? AND sequence < ?
         ORDER BY sequence DESC LIMIT ?")
    .int(user)
    .int(before)
    .int(page.limit.get() + 1)
    .rows(tx.conn)?;
    let lines = rows.into_iter().map(LineRow::line).collect::<Result<_>>()?;
    Ok(Page::from_rows(lines, page.limit, |line: &LedgerLine| Cursor {
        key: line.sequence,
        id: line.transaction_id.get(),
    }))
}
