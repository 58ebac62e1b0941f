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

use crate::Mysql;
use crate::error::{Run, typed, unknown_word};
use crate::idempotency::{keep_answer, stored};
use crate::sql::{Tx, sql};

#[async_trait]
impl PointStore for Mysql {
    async fn balance(&self, user: UserId) -> Result<Won> {
        self.read(user, |tx, user| Box::pin(balance(tx, *user))).await
    }

    async fn history(&self, user: UserId, page: PageRequest) -> Result<Page<LedgerLine>> {
        self.read((user, page), |tx, (user, page)| Box::pin(history(tx, *user, *page))).await
    }

    async fn open_charge(
        &self,
        intent: ChargeIntent,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Opened> {
        self.write_verified(
            (intent, claim),
            |tx, (intent, claim)| Box::pin(open(tx, intent, claim.as_ref())),
            |tx, (intent, _)| Box::pin(opened_before(tx, intent)),
        )
        .await
    }

    async fn settle_charge(
        &self,
        intent: TransactionId,
        verdict: GatewayVerdict,
    ) -> Result<Applied<Charged>> {
        // A decline is an answer, not a failure: it must be committed before it is told.
        let settled = self.write_verified(
            (intent, verdict),
            |tx, (intent, verdict)| Box::pin(settle(tx, *intent, *verdict)),
            |tx, (intent, _)| Box::pin(settled_before(tx, *intent)),
        );
        settled.await?.ok_or(Error::PaymentDeclined)
    }

    async fn unsettled(&self, age: Duration, limit: u32) -> Result<Vec<ChargeIntent>> {
        self.read((age, limit), |tx, (age, limit)| Box::pin(unsettled(tx, *age, *limit))).await
    }
}

async fn balance(tx: &mut Tx, user: UserId) -> Run<Won> {
    let balance = sql("SELECT balance AS n FROM point_accounts WHERE user_id = ?");
    Ok(typed("point_accounts.balance", balance.int(user).count(tx).await?)?)
}

async fn unsettled(tx: &mut Tx, age: Duration, limit: u32) -> Run<Vec<ChargeIntent>> {
    let rows: Vec<IntentRow> =
        sql("SELECT * FROM charge_intents WHERE status = 'PENDING' AND created_at <= {now} - ?
         ORDER BY created_at LIMIT ?")
        .millis(age)
        .int(limit)
        .rows(tx)
        .await?;
    Ok(rows.iter().map(IntentRow::intent).collect::<Result<_>>()?)
}

/// A ledger line to be written.
pub(crate) struct Entry {
    pub id: TransactionId,
    pub user: UserId,
    pub kind: EntryKind,
    pub amount: Won,
    pub payment: Option<PaymentId>,
}

/// Moves a balance and writes the ledger line. The conditional update refuses what would overdraw
/// the account or exceed its limit.
pub(crate) async fn post(tx: &mut Tx, entry: &Entry) -> Run<()> {
    let amount = entry.kind.signed(entry.amount);
    let moved = sql("UPDATE point_accounts SET balance = balance + ?, sequence = sequence + 1
         WHERE user_id = ? AND balance + ? >= 0 AND balance + pending + ? <= ?")
    .int(amount)
    .int(entry.user)
    .int(amount)
    .int(amount)
    .int(MAX_BALANCE)
    .run(tx)
    .await?;
    match (moved, entry.kind) {
        (0, EntryKind::Use) => Err(Error::InsufficientPoints.into()),
        (0, EntryKind::Charge | EntryKind::Refund) => Err(Error::PointLimitExceeded.into()),
        _ => write_line(tx, entry, amount).await,
    }
}

async fn write_line(tx: &mut Tx, entry: &Entry, amount: i64) -> Run<()> {
    let kind = match entry.kind {
        EntryKind::Charge => "CHARGE",
        EntryKind::Use => "USE",
        EntryKind::Refund => "REFUND",
    };
    sql("INSERT INTO point_ledger
             (id, user_id, sequence, kind, amount, balance_after, created_at, payment_id)
         SELECT ?, user_id, sequence, ?, ?, balance, {now}, ?
         FROM point_accounts WHERE user_id = ?")
    .int(entry.id)
    .text(kind)
    .int(amount)
    .int_or_null(entry.payment)
    .int(entry.user)
    .run(tx)
    .await?;
    Ok(())
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
async fn open(tx: &mut Tx, intent: &ChargeIntent, claim: Option<&IdempotencyClaim>) -> Run<Opened> {
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
    Ok(Some(row.intent()?))
}

async fn insert_intent(
    tx: &mut Tx,
    intent: &ChargeIntent,
    claim: Option<&IdempotencyClaim>,
) -> Run<()> {
    let method = match intent.method {
        PaymentMethod::Card => "CARD",
        PaymentMethod::Transfer => "TRANSFER",
    };
    sql("INSERT INTO charge_intents (id, user_id, amount, method, detail, status, created_at,
                                     route, idempotency_key, fingerprint)
         VALUES (?, ?, ?, ?, ?, 'PENDING', {now}, ?, ?, ?)")
    .int(intent.id)
    .int(intent.user_id)
    .int(intent.amount)
    .text(method)
    .text_or_null(intent.detail.as_ref().map(PaymentDetail::as_str))
    .text_or_null(claim.map(|claim| claim.route))
    .text_or_null(claim.map(|claim| claim.key.as_str()))
    .bytes_or_null(claim.map(|claim| *claim.fingerprint.as_bytes()))
    .run(tx)
    .await?;
    Ok(())
}

async fn opened_before(tx: &mut Tx, intent: &ChargeIntent) -> Run<Option<Opened>> {
    let there = sql("SELECT COUNT(*) AS n FROM charge_intents WHERE id = ?").int(intent.id);
    Ok((there.count(tx).await? == 1).then(|| Opened::Pending(intent.clone())))
}

/// Settles an intent; `None` means that it is declined.
async fn settle(
    tx: &mut Tx,
    id: TransactionId,
    verdict: GatewayVerdict,
) -> Run<Option<Applied<Charged>>> {
    let row: Option<IntentRow> =
        sql("SELECT * FROM charge_intents WHERE id = ? FOR UPDATE").int(id).row(tx).await?;
    let row = row.ok_or_else(|| Error::bug("a charge that was never opened is settled"))?;
    let intent = row.intent()?;
    match (row.status.as_str(), verdict) {
        ("APPROVED", _) => Ok(Some(Applied::Replayed(charge_of(tx, &intent).await?))),
        ("DECLINED", GatewayVerdict::Approved) => {
            tracing::error!(charge = %id, "the gateway approved a charge that it had declined");
            Err(Error::bug("a declined charge was approved").into())
        }
        ("DECLINED", GatewayVerdict::Declined) => Ok(None),
        (_, GatewayVerdict::Declined) => {
            close(tx, &intent, "DECLINED").await?;
            Ok(None)
        }
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
        let answer = serde_json::to_string(&charged).map_err(|e| Error::bug(e.to_string()))?;
        let answer = StoredAnswer { fingerprint, answer };
        keep_answer(tx, intent.user_id, &route, &key, &answer).await?;
    }
    Ok(Applied::Fresh(charged))
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
async fn settled_before(tx: &mut Tx, id: TransactionId) -> Run<Option<Option<Applied<Charged>>>> {
    let row: Option<IntentRow> =
        sql("SELECT * FROM charge_intents WHERE id = ?").int(id).row(tx).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(match row.status.as_str() {
        "APPROVED" => Some(Some(Applied::Fresh(charge_of(tx, &row.intent()?).await?))),
        "DECLINED" => Some(None),
        _ => None,
    })
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

/// The charge as its ledger line tells it.
async fn charge_of(tx: &mut Tx, intent: &ChargeIntent) -> Run<Charged> {
    let row: Option<LineRow> =
        sql("SELECT * FROM point_ledger WHERE id = ?").int(intent.id).row(tx).await?;
    let line = row.ok_or_else(|| Error::bug("an approved charge has no ledger line"))?.line()?;
    Ok(Charged {
        transaction_id: intent.id,
        user_id: intent.user_id,
        amount: intent.amount,
        balance: line.balance_after,
        charged_at: line.created_at,
    })
}

async fn history(tx: &mut Tx, user: UserId, page: PageRequest) -> Run<Page<LedgerLine>> {
    let before = page.after.map_or(i64::MAX, |cursor| cursor.key);
    let rows: Vec<LineRow> = sql("SELECT * FROM point_ledger WHERE user_id = ? AND sequence < ?
         ORDER BY sequence DESC LIMIT ?")
    .int(user)
    .int(before)
    .int(page.limit.get() + 1)
    .rows(tx)
    .await?;
    let lines = rows.into_iter().map(LineRow::line).collect::<Result<_>>()?;
    Ok(Page::from_rows(lines, page.limit, |line: &LedgerLine| Cursor {
        key: line.sequence,
        id: line.transaction_id.get(),
    }))
}
