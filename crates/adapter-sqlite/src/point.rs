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

use crate::db::Tx;
use crate::sql::{sql, typed, unknown_word};
use crate::{Sqlite, charge};

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
        self.write(move |tx| charge::open(tx, intent, claim)).await
    }

    async fn settle_charge(
        &self,
        intent: TransactionId,
        verdict: GatewayVerdict,
    ) -> Result<Applied<Charged>> {
        // A decline is an answer, not a failure: it must be committed before it is told.
        let settled = self.write(move |tx| charge::settle(tx, intent, verdict)).await?;
        settled.ok_or(Error::PaymentDeclined)
    }

    async fn give_up_charge(&self, intent: TransactionId) -> Result<bool> {
        self.write(move |tx| charge::give_up(tx, intent)).await
    }

    async fn take_unsettled(&self, age: Duration, limit: u32) -> Result<Vec<OpenCharge>> {
        self.write(move |tx| charge::take(tx, age, limit)).await
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
pub(crate) fn line(tx: &mut Tx<'_>, id: TransactionId) -> Result<Option<LedgerLine>> {
    let row: Option<LineRow> =
        sql("SELECT * FROM point_ledger WHERE id = ?").int(id).row(tx.conn)?;
    row.map(LineRow::line).transpose()
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
