use std::time::Duration;

use async_trait::async_trait;
use concert_domain::point::{
    ChargeIntent, Charged, EntryKind, GatewayVerdict, LedgerLine, MAX_BALANCE, OpenCharge, Opened,
    PointStore,
};
use concert_domain::{
    Applied, Cursor, Error, IdempotencyClaim, Page, PageRequest, PaymentId, Result, Timestamp,
    TransactionId, UserId, Won,
};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::error::{Run, typed, unknown_word};
use crate::sql::{Tx, sql};
use crate::{Mysql, charge};

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
            |tx, (intent, claim)| Box::pin(charge::open(tx, intent, claim.as_ref())),
            |tx, (intent, _)| Box::pin(charge::opened_before(tx, intent)),
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
            |tx, (intent, verdict)| Box::pin(charge::settle(tx, *intent, *verdict)),
            |tx, (intent, _)| Box::pin(charge::settled_before(tx, *intent)),
        );
        settled.await?.ok_or(Error::PaymentDeclined)
    }

    async fn give_up_charge(&self, intent: TransactionId) -> Result<bool> {
        // Repeated after a lost answer it comes to the same.
        self.write_verified(
            intent,
            |tx, intent| Box::pin(charge::give_up(tx, *intent)),
            |tx, intent| Box::pin(charge::given_up_before(tx, *intent)),
        )
        .await
    }

    async fn take_unsettled(&self, age: Duration, limit: u32) -> Result<Vec<OpenCharge>> {
        self.write((age, limit), |tx, (age, limit)| Box::pin(charge::take(tx, *age, *limit))).await
    }
}

async fn balance(tx: &mut Tx, user: UserId) -> Run<Won> {
    let balance = sql("SELECT balance AS n FROM point_accounts WHERE user_id = ?");
    Ok(typed("point_accounts.balance", balance.int(user).count(tx).await?)?)
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

/// A line of the ledger.
pub(crate) async fn line(tx: &mut Tx, id: TransactionId) -> Run<Option<LedgerLine>> {
    let row: Option<LineRow> =
        sql("SELECT * FROM point_ledger WHERE id = ?").int(id).row(tx).await?;
    Ok(row.map(LineRow::line).transpose()?)
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
