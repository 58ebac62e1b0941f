//! What happened before: seats that are held or sold, and the money that was paid for them.

use std::collections::HashMap;

use concert_domain::reservation::{Reservation, ReservationStatus};
use concert_domain::seed::{Dataset, Sale};
use concert_domain::{Error, PaymentId, Result, SeatId, Timestamp, TransactionId, UserId};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;

use crate::consumer::add_up;
use crate::db::Tx;
use crate::sql::sql;

#[derive(QueryableByName)]
struct AccountRow {
    #[diesel(sql_type = BigInt)]
    balance: i64,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
}

/// A line of the ledger.
struct Line {
    id: TransactionId,
    user: UserId,
    kind: &'static str,
    amount: i64,
    at: Timestamp,
    payment: Option<PaymentId>,
}

pub(super) fn insert_lines(tx: &mut Tx<'_>, data: &Dataset) -> Result<()> {
    for (id, user, amount) in &data.charges {
        let (amount, at) = (amount.get(), tx.now);
        insert_line(tx, &Line { id: *id, user: *user, kind: "CHARGE", amount, at, payment: None })?;
    }
    for sale in &data.sales {
        let (user, at, id) = (sale.payment.user_id, sale.payment.paid_at, sale.charge_line);
        let amount = sale.charged.get();
        insert_line(tx, &Line { id, user, kind: "CHARGE", amount, at, payment: None })?;
        let (id, amount) = (sale.spend_line, -sale.payment.amount.get());
        let payment = Some(sale.payment.id);
        insert_line(tx, &Line { id, user, kind: "USE", amount, at, payment })?;
    }
    Ok(())
}

fn insert_line(tx: &mut Tx<'_>, line: &Line) -> Result<()> {
    sql("INSERT INTO point_accounts (user_id, balance, pending, sequence) VALUES (?, 0, 0, 0)
         ON CONFLICT DO NOTHING")
    .int(line.user)
    .run(tx.conn)?;
    let account: Option<AccountRow> =
        sql("UPDATE point_accounts SET balance = balance + ?, sequence = sequence + 1
         WHERE user_id = ? RETURNING balance, sequence")
        .int(line.amount)
        .int(line.user)
        .row(tx.conn)?;
    let account = account.ok_or_else(|| Error::bug("an account was not written"))?;
    sql("INSERT INTO point_ledger
         (id, user_id, sequence, kind, amount, balance_after, created_at, payment_id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
    .int(line.id)
    .int(line.user)
    .int(account.sequence)
    .text(line.kind)
    .int(line.amount)
    .int(account.balance)
    .time(line.at)
    .int_or_null(line.payment)
    .run(tx.conn)?;
    Ok(())
}

/// Seats in the state that their reservations give them.
pub(super) fn insert_seats(tx: &mut Tx<'_>, data: &Dataset) -> Result<()> {
    let owners = owners(&data.reservations);
    for (schedule, seat) in &data.seats {
        let owner = owners.get(&seat.id).copied();
        let held = owner.filter(|owner| owner.status == ReservationStatus::Pending);
        let status = match (owner, held) {
            (None, _) => "AVAILABLE",
            (_, Some(_)) => "TEMP_RESERVED",
            _ => "RESERVED",
        };
        sql(
            "INSERT INTO seats (id, schedule_id, number, price, status, reservation_id, held_until)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .int(seat.id)
        .int(*schedule)
        .int(seat.number)
        .int(seat.price)
        .text(status)
        .int_or_null(owner.map(|owner| owner.id))
        .int_or_null(held.map(|held| held.expires_at.as_millis()))
        .run(tx.conn)?;
    }
    Ok(())
}

fn owners(reservations: &[Reservation]) -> HashMap<SeatId, &Reservation> {
    let live = |held: &&Reservation| {
        matches!(held.status, ReservationStatus::Pending | ReservationStatus::Confirmed)
    };
    reservations.iter().filter(live).map(|held| (held.seat_id, held)).collect()
}

pub(super) fn insert_reservation(tx: &mut Tx<'_>, held: &Reservation) -> Result<()> {
    let status = match held.status {
        ReservationStatus::Pending => "PENDING",
        ReservationStatus::Confirmed => "CONFIRMED",
        ReservationStatus::Expired => "EXPIRED",
        ReservationStatus::Cancelled => "CANCELLED",
    };
    sql("INSERT INTO reservations (id, user_id, concert_id, schedule_id, seat_id, price, status,
             created_at, expires_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
    .int(held.id)
    .int(held.user_id)
    .int(held.concert_id)
    .int(held.schedule_id)
    .int(held.seat_id)
    .int(held.price)
    .text(status)
    .time(held.created_at)
    .time(held.expires_at)
    .run(tx.conn)?;
    Ok(())
}

pub(super) fn insert_sale(tx: &mut Tx<'_>, sale: &Sale) -> Result<()> {
    let paid = &sale.payment;
    let status = if paid.refunded_at.is_some() { "REFUNDED" } else { "COMPLETED" };
    sql("INSERT INTO payments (id, reservation_id, user_id, amount, status, paid_at, refunded_at)
         VALUES (?, ?, ?, ?, ?, ?, ?)")
    .int(paid.id)
    .int(paid.reservation_id)
    .int(paid.user_id)
    .int(paid.amount)
    .text(status)
    .time(paid.paid_at)
    .int_or_null(paid.refunded_at.map(Timestamp::as_millis))
    .run(tx.conn)?;
    add_up(tx, sale.concert, 1, paid.amount.get(), paid.paid_at)
}
