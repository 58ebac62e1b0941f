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
use crate::group::all;
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
        self.batches.openings.submit(self, (intent, claim)).await
    }

    async fn settle_charge(
        &self,
        intent: TransactionId,
        verdict: GatewayVerdict,
    ) -> Result<Applied<Charged>> {
        // A decline is an answer, not a failure: it must be committed before it is told.
        let settled = match verdict {
            GatewayVerdict::Approved => self.batches.approvals.submit(self, intent).await?,
            GatewayVerdict::Declined => self.decline(intent).await?,
        };
        settled.ok_or(Error::PaymentDeclined)
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

impl Mysql {
    async fn decline(&self, intent: TransactionId) -> Result<charge::Settled> {
        self.write_verified(
            intent,
            |tx, intent| Box::pin(charge::settle(tx, *intent, GatewayVerdict::Declined)),
            |tx, intent| Box::pin(charge::settled_before(tx, *intent)),
        )
        .await
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
    sql("INSERT INTO point_ledger
             (id, user_id, sequence, kind, amount, balance_after, created_at, payment_id)
         SELECT ?, user_id, sequence, ?, ?, balance, {now}, ?
         FROM point_accounts WHERE user_id = ?")
    .int(entry.id)
    .text(word(entry.kind))
    .int(amount)
    .int_or_null(entry.payment)
    .int(entry.user)
    .run(tx)
    .await?;
    Ok(())
}

fn word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Charge => "CHARGE",
        EntryKind::Use => "USE",
        EntryKind::Refund => "REFUND",
    }
}

/// A ledger line that was judged: where it stands in its account's history is known.
pub(crate) struct Line {
    pub id: TransactionId,
    pub user: UserId,
    pub sequence: i64,
    pub kind: EntryKind,
    pub amount: Won,
    pub balance_after: i64,
    pub payment: Option<PaymentId>,
    /// Now, if it is not told.
    pub at: Option<Timestamp>,
}

/// Writes the lines of many changes whose accounts this transaction has locked.
pub(crate) async fn write_lines(tx: &mut Tx, lines: &[Line]) -> Run<()> {
    let row = |line: &Line| {
        let amount = line.kind.signed(line.amount);
        let at = line.at.map(Timestamp::as_millis);
        let (kind, payment) = (word(line.kind), line.payment);
        (line.id, line.user, line.sequence, kind, amount, line.balance_after, at, payment)
    };
    let written = sql("INSERT INTO point_ledger
             (id, user_id, sequence, kind, amount, balance_after, created_at, payment_id)
         SELECT t.id, t.user_id, t.sequence, t.kind, t.amount, t.balance_after,
             COALESCE(t.at, {now}), t.payment_id
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]',
             sequence BIGINT PATH '$[2]', kind VARCHAR(16) PATH '$[3]', amount BIGINT PATH '$[4]',
             balance_after BIGINT PATH '$[5]', at BIGINT PATH '$[6]',
             payment_id BIGINT PATH '$[7]')) t")
    .json(&lines.iter().map(row).collect::<Vec<_>>())?
    .run(tx)
    .await?;
    all(written, lines.len(), "ledger lines")
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
