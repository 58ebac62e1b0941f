use async_trait::async_trait;
use concert_domain::event::{Event, PAYMENT_TOPIC};
use concert_domain::payment::{
    Payment, PaymentStatus, PaymentStore, Refund, RefundCase, Settlement,
};
use concert_domain::point::EntryKind;
use concert_domain::reservation::{Reservation, ReservationStatus};
use concert_domain::{
    Applied, Cursor, Error, IdempotencyClaim, Page, PageRequest, PaymentId, Result, Seen,
    Timestamp, UserId,
};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::Sqlite;
use crate::db::Tx;
use crate::idempotency::{keep, replayed};
use crate::point::{Entry, post};
use crate::sql::{sql, typed, unknown_word};
use crate::{outbox, reservation};

#[async_trait]
impl PaymentStore for Sqlite {
    async fn settle(&self, settlement: Settlement) -> Result<Applied<Payment>> {
        self.write(move |tx| settle(tx, settlement)).await
    }

    async fn refund(&self, refund: Refund) -> Result<Applied<Payment>> {
        self.write(move |tx| apply_refund(tx, refund)).await
    }

    async fn find(&self, id: PaymentId) -> Result<Option<Payment>> {
        self.read(move |tx| find(tx, id)).await
    }

    async fn refund_case(&self, id: PaymentId) -> Result<Option<Seen<RefundCase>>> {
        self.read(move |tx| refund_case(tx, id)).await
    }

    async fn list(&self, user: UserId, page: PageRequest) -> Result<Page<Payment>> {
        self.read(move |tx| list(tx, user, page)).await
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

fn settle(tx: &mut Tx<'_>, settlement: Settlement) -> Result<Applied<Payment>> {
    if let Some(before) = replayed(tx, settlement.claim.as_ref())? {
        return Ok(before);
    }
    let Settlement { payment, reservation, transaction_id, event, claim } = settlement;
    confirm(tx, &reservation)?;
    let entry = Entry {
        id: transaction_id,
        user: payment.user_id,
        kind: EntryKind::Use,
        amount: payment.amount,
        payment: Some(payment.id),
    };
    post(tx, &entry)?;
    insert(tx, &payment)?;
    finish(tx, payment, &event, claim.as_ref())
}

/// The reservation and its seat, each by one conditional update.
fn confirm(tx: &mut Tx<'_>, reservation: &Reservation) -> Result<()> {
    let confirmed = sql("UPDATE reservations SET status = 'CONFIRMED'
         WHERE id = ? AND user_id = ? AND seat_id = ? AND status = 'PENDING' AND expires_at > ?")
    .int(reservation.id)
    .int(reservation.user_id)
    .int(reservation.seat_id)
    .time(tx.now)
    .run(tx.conn)?;
    if confirmed == 0 {
        return Err(why_not_payable(tx, reservation)?);
    }
    let sold = sql("UPDATE seats SET status = 'RESERVED', held_until = NULL
         WHERE id = ? AND reservation_id = ? AND status = 'TEMP_RESERVED'")
    .int(reservation.seat_id)
    .int(reservation.id)
    .run(tx.conn)?;
    one(sold, "the seat of a pending reservation is not held by it")
}

fn why_not_payable(tx: &mut Tx<'_>, reservation: &Reservation) -> Result<Error> {
    let now = reservation::find(tx, reservation.id)?;
    Ok(match now.map(|reservation| reservation.status) {
        Some(ReservationStatus::Expired) => Error::ReservationExpired,
        Some(_) => Error::ReservationNotPending,
        None => Error::ReservationNotFound,
    })
}

fn insert(tx: &mut Tx<'_>, payment: &Payment) -> Result<()> {
    let inserted =
        sql("INSERT INTO payments (id, reservation_id, user_id, amount, status, paid_at)
         VALUES (?, ?, ?, ?, 'COMPLETED', ?)")
        .int(payment.id)
        .int(payment.reservation_id)
        .int(payment.user_id)
        .int(payment.amount)
        .time(payment.paid_at)
        .insert(tx.conn)?;
    one(usize::from(inserted), "a pending reservation has a payment")
}

fn apply_refund(tx: &mut Tx<'_>, refund: Refund) -> Result<Applied<Payment>> {
    if let Some(before) = replayed(tx, refund.claim.as_ref())? {
        return Ok(before);
    }
    let Refund { payment, reservation, transaction_id, event, claim } = refund;
    let refunded_at = payment.refunded_at.unwrap_or(tx.now);
    let refunded = sql("UPDATE payments SET status = 'REFUNDED', refunded_at = ?
         WHERE id = ? AND user_id = ? AND status = 'COMPLETED'")
    .time(refunded_at)
    .int(payment.id)
    .int(payment.user_id)
    .run(tx.conn)?;
    if refunded == 0 {
        return Err(Error::RefundNotAllowed);
    }
    undo_sale(tx, &reservation)?;
    let entry = Entry {
        id: transaction_id,
        user: payment.user_id,
        kind: EntryKind::Refund,
        amount: payment.amount,
        payment: Some(payment.id),
    };
    post(tx, &entry)?;
    finish(tx, payment, &event, claim.as_ref())
}

fn undo_sale(tx: &mut Tx<'_>, reservation: &Reservation) -> Result<()> {
    let cancelled =
        sql("UPDATE reservations SET status = 'CANCELLED' WHERE id = ? AND status = 'CONFIRMED'")
            .int(reservation.id)
            .run(tx.conn)?;
    one(cancelled, "the reservation of a completed payment is not confirmed")?;
    let freed = sql("UPDATE seats SET status = 'AVAILABLE', reservation_id = NULL
         WHERE id = ? AND reservation_id = ? AND status = 'RESERVED'")
    .int(reservation.seat_id)
    .int(reservation.id)
    .run(tx.conn)?;
    one(freed, "the seat of a confirmed reservation is not sold to it")
}

/// What ends every change of money: the event row and the kept answer.
fn finish(
    tx: &mut Tx<'_>,
    payment: Payment,
    event: &Event,
    claim: Option<&IdempotencyClaim>,
) -> Result<Applied<Payment>> {
    outbox::record(tx, PAYMENT_TOPIC, event)?;
    keep(tx, claim, &payment)?;
    Ok(Applied::Fresh(payment))
}

/// A guard that holds whenever the guards before it did; if not, the books are wrong and nothing
/// is written.
fn one(affected: usize, otherwise: &str) -> Result<()> {
    if affected == 1 { Ok(()) } else { Err(Error::bug(otherwise)) }
}

fn find(tx: &mut Tx<'_>, id: PaymentId) -> Result<Option<Payment>> {
    let row: Option<Row> = sql("SELECT * FROM payments WHERE id = ?").int(id).row(tx.conn)?;
    row.map(Row::payment).transpose()
}

fn refund_case(tx: &mut Tx<'_>, id: PaymentId) -> Result<Option<Seen<RefundCase>>> {
    let Some(payment) = find(tx, id)? else { return Ok(None) };
    let reservation = reservation::find(tx, payment.reservation_id)?
        .ok_or_else(|| Error::bug("a payment has no reservation"))?;
    // A refunded payment's schedule may be gone; nothing depends on its start any more.
    let starts_at = sql("SELECT starts_at AS n FROM schedules WHERE id = ?")
        .int(reservation.schedule_id)
        .count(tx.conn)?;
    let starts_at = Timestamp::from_millis(starts_at);
    Ok(Some(Seen { now: tx.now, value: RefundCase { payment, reservation, starts_at } }))
}

fn list(tx: &mut Tx<'_>, user: UserId, page: PageRequest) -> Result<Page<Payment>> {
    let after = page.after.unwrap_or(Cursor { key: i64::MAX, id: i64::MAX });
    let rows: Vec<Row> = sql("SELECT * FROM payments WHERE user_id = ? AND (paid_at, id) < (?, ?)
         ORDER BY paid_at DESC, id DESC LIMIT ?")
    .int(user)
    .int(after.key)
    .int(after.id)
    .int(page.limit.get() + 1)
    .rows(tx.conn)?;
    let rows = rows.into_iter().map(Row::payment).collect::<Result<_>>()?;
    Ok(Page::from_rows(rows, page.limit, |payment: &Payment| Cursor {
        key: payment.paid_at.as_millis(),
        id: payment.id.get(),
    }))
}
