use async_trait::async_trait;
use concert_domain::event::{Event, PAYMENT_TOPIC};
use concert_domain::payment::{
    Payment, PaymentStatus, PaymentStore, Refund, RefundCase, Settlement,
};
use concert_domain::point::EntryKind;
use concert_domain::{
    Applied, Cursor, Error, IdempotencyClaim, Page, PageRequest, PaymentId, Result, Seen,
    Timestamp, TransactionId, UserId,
};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::Mysql;
use crate::error::{Run, typed, unknown_word};
use crate::idempotency::{keep, once};
use crate::point::{Entry, post};
use crate::sql::{Tx, sql};
use crate::{outbox, reservation};

#[async_trait]
impl PaymentStore for Mysql {
    async fn settle(&self, settlement: Settlement) -> Result<Applied<Payment>> {
        once(self, settlement.claim.clone(), self.batches.settlements.submit(self, settlement))
            .await
    }

    async fn refund(&self, refund: Refund) -> Result<Applied<Payment>> {
        let claim = refund.claim.clone();
        let refunded = self.write_verified(
            refund,
            |tx, refund| Box::pin(apply_refund(tx, refund)),
            |tx, r| Box::pin(posted_before(tx, r.transaction_id, &r.payment)),
        );
        once(self, claim, refunded).await
    }

    async fn find(&self, id: PaymentId) -> Result<Option<Payment>> {
        self.read(id, |tx, id| Box::pin(find(tx, *id))).await
    }

    async fn refund_case(&self, id: PaymentId) -> Result<Option<Seen<RefundCase>>> {
        self.read(id, |tx, id| Box::pin(refund_case(tx, *id))).await
    }

    async fn list(&self, user: UserId, page: PageRequest) -> Result<Page<Payment>> {
        self.read((user, page), |tx, (user, page)| Box::pin(list(tx, *user, *page))).await
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    reservation_id: i64,
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = BigInt)]
    amount: i64,
    #[diesel(sql_type = Text)]
    status: String,
    #[diesel(sql_type = BigInt)]
    paid_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    refunded_at: Option<i64>,
}

impl Row {
    fn payment(self) -> Result<Payment> {
        Ok(Payment {
            id: typed("payments.id", self.id)?,
            reservation_id: typed("payments.reservation_id", self.reservation_id)?,
            user_id: typed("payments.user_id", self.user_id)?,
            amount: typed("payments.amount", self.amount)?,
            status: match self.status.as_str() {
                "COMPLETED" => PaymentStatus::Completed,
                "REFUNDED" => PaymentStatus::Refunded,
                other => return Err(unknown_word("payments.status", other)),
            },
            paid_at: Timestamp::from_millis(self.paid_at),
            refunded_at: self.refunded_at.map(Timestamp::from_millis),
        })
    }
}

/// The payment as it was to be written, if the ledger line of that change is there.
pub(crate) async fn posted_before(
    tx: &mut Tx,
    id: TransactionId,
    payment: &Payment,
) -> Run<Option<Payment>> {
    let posted = sql("SELECT COUNT(*) AS n FROM point_ledger WHERE id = ?").int(id);
    Ok((posted.count(tx).await? == 1).then(|| payment.clone()))
}

pub(crate) fn entry(kind: EntryKind, id: TransactionId, payment: &Payment) -> Entry {
    Entry { id, user: payment.user_id, kind, amount: payment.amount, payment: Some(payment.id) }
}

async fn apply_refund(tx: &mut Tx, refund: &Refund) -> Run<Payment> {
    let Refund { payment, reservation, transaction_id, event, claim } = refund;
    let freed = sql("UPDATE seats SET status = 'AVAILABLE', reservation_id = NULL
         WHERE id = ? AND reservation_id = ? AND status = 'RESERVED'")
    .int(reservation.seat_id)
    .int(reservation.id)
    .run(tx)
    .await?;
    let refunded = sql("UPDATE payments SET status = 'REFUNDED', refunded_at = COALESCE(?, {now})
         WHERE id = ? AND user_id = ? AND status = 'COMPLETED'")
    .int_or_null(payment.refunded_at.map(Timestamp::as_millis))
    .int(payment.id)
    .int(payment.user_id)
    .run(tx)
    .await?;
    if refunded == 0 {
        return Err(Error::RefundNotAllowed.into());
    }
    one(freed, "the seat of a confirmed reservation is not sold to it")?;
    let cancelled =
        sql("UPDATE reservations SET status = 'CANCELLED' WHERE id = ? AND status = 'CONFIRMED'")
            .int(reservation.id)
            .run(tx)
            .await?;
    one(cancelled, "the reservation of a completed payment is not confirmed")?;
    post(tx, &entry(EntryKind::Refund, *transaction_id, payment)).await?;
    finish(tx, payment, event, claim.as_ref()).await
}

/// What ends every change of money: the event row and the kept answer.
pub(crate) async fn finish(
    tx: &mut Tx,
    payment: &Payment,
    event: &Event,
    claim: Option<&IdempotencyClaim>,
) -> Run<Payment> {
    outbox::record(tx, PAYMENT_TOPIC, event).await?;
    keep(tx, claim, payment).await?;
    Ok(payment.clone())
}

/// A guard that holds whenever the guards before it did; if not, the books are wrong and nothing
/// is written.
pub(crate) fn one(affected: usize, otherwise: &str) -> Run<()> {
    if affected == 1 { Ok(()) } else { Err(Error::bug(otherwise).into()) }
}

async fn find(tx: &mut Tx, id: PaymentId) -> Run<Option<Payment>> {
    let row: Option<Row> = sql("SELECT * FROM payments WHERE id = ?").int(id).row(tx).await?;
    Ok(row.map(Row::payment).transpose()?)
}

async fn refund_case(tx: &mut Tx, id: PaymentId) -> Run<Option<Seen<RefundCase>>> {
    let Some(payment) = find(tx, id).await? else { return Ok(None) };
    let Seen { now, value: reservation } = reservation::find(tx, payment.reservation_id)
        .await?
        .ok_or_else(|| Error::bug("a payment has no reservation"))?;
    // A refunded payment's schedule may be gone; nothing depends on its start any more.
    let starts_at = sql("SELECT starts_at AS n FROM schedules WHERE id = ?")
        .int(reservation.schedule_id)
        .count(tx)
        .await?;
    let starts_at = Timestamp::from_millis(starts_at);
    Ok(Some(Seen { now, value: RefundCase { payment, reservation, starts_at } }))
}

async fn list(tx: &mut Tx, user: UserId, page: PageRequest) -> Run<Page<Payment>> {
    let after = page.after.unwrap_or(Cursor { key: i64::MAX, id: i64::MAX });
    let rows: Vec<Row> = sql("SELECT * FROM payments
         WHERE user_id = ? AND (paid_at < ? OR (paid_at = ? AND id < ?))
         ORDER BY paid_at DESC, id DESC LIMIT ?")
    .int(user)
    .int(after.key)
    .int(after.key)
    .int(after.id)
    .int(page.limit.get() + 1)
    .rows(tx)
    .await?;
    let rows = rows.into_iter().map(Row::payment).collect::<Result<_>>()?;
    Ok(Page::from_rows(rows, page.limit, |payment: &Payment| Cursor {
        key: payment.paid_at.as_millis(),
        id: payment.id.get(),
    }))
}
