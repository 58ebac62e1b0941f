//! What happened before: seats that are held or sold, and the money that was paid for them.

use std::collections::{BTreeMap, HashMap};

use concert_domain::reservation::{Reservation, ReservationStatus};
use concert_domain::seed::Dataset;
use concert_domain::{Error, SeatId, Timestamp};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;

use super::CHUNK;
use crate::consumer::add_up;
use crate::error::Run;
use crate::sql::{Tx, sql};

#[derive(QueryableByName, Clone, Copy)]
struct AccountRow {
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = BigInt)]
    balance: i64,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
}

/// A line of the ledger; one without a time is of now.
struct Line {
    id: i64,
    user: i64,
    kind: &'static str,
    amount: i64,
    at: Option<Timestamp>,
    payment: Option<i64>,
}

fn lines(data: &Dataset) -> Vec<Line> {
    let charges = data.charges.iter().map(|(id, user, amount)| Line {
        id: id.get(),
        user: user.get(),
        kind: "CHARGE",
        amount: amount.get(),
        at: None,
        payment: None,
    });
    let sales = data.sales.iter().flat_map(|sale| {
        let (user, at) = (sale.payment.user_id.get(), Some(sale.payment.paid_at));
        let (charge, spend) = (sale.charge_line.get(), sale.spend_line.get());
        let payment = Some(sale.payment.id.get());
        let (charged, paid) = (sale.charged.get(), -sale.payment.amount.get());
        [
            Line { id: charge, user, kind: "CHARGE", amount: charged, at, payment: None },
            Line { id: spend, user, kind: "USE", amount: paid, at, payment },
        ]
    });
    charges.chain(sales).collect()
}

/// Adds the lines up on what the accounts have, then writes accounts and lines, each in one
/// statement.
pub(super) async fn insert_lines(tx: &mut Tx, data: &Dataset) -> Run<()> {
    for lines in lines(data).chunks(CHUNK) {
        let mut accounts = accounts(tx, lines).await?;
        let mut rows = Vec::with_capacity(lines.len());
        for line in lines {
            let user_id = line.user;
            let new = AccountRow { user_id, balance: 0, sequence: 0 };
            let account = accounts.entry(user_id).or_insert(new);
            account.balance += line.amount;
            account.sequence += 1;
            let at = line.at.map(Timestamp::as_millis);
            let place = (line.id, user_id, account.sequence);
            rows.push((place, line.kind, line.amount, account.balance, at, line.payment));
        }
        write_accounts(tx, accounts.into_values()).await?;
        sql("INSERT INTO point_ledger (id, user_id, sequence, kind, amount, balance_after,
                 created_at, payment_id)
             SELECT t.id, t.user_id, t.sequence, t.kind, t.amount, t.balance_after,
                 COALESCE(t.at, {now}), t.payment
             FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0][0]',
                 user_id BIGINT PATH '$[0][1]', sequence BIGINT PATH '$[0][2]',
                 kind VARCHAR(16) PATH '$[1]', amount BIGINT PATH '$[2]',
                 balance_after BIGINT PATH '$[3]', at BIGINT PATH '$[4]',
                 payment BIGINT PATH '$[5]')) t")
        .json(&rows)?
        .run(tx)
        .await?;
    }
    Ok(())
}

async fn accounts(tx: &mut Tx, lines: &[Line]) -> Run<HashMap<i64, AccountRow>> {
    let users: Vec<_> = lines.iter().map(|line| line.user).collect();
    let before: Vec<AccountRow> = sql("SELECT DISTINCT a.user_id, a.balance, a.sequence
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN point_accounts a ON a.user_id = t.id")
    .json(&users)?
    .rows(tx)
    .await?;
    Ok(before.into_iter().map(|row| (row.user_id, row)).collect())
}

async fn write_accounts(tx: &mut Tx, accounts: impl Iterator<Item = AccountRow>) -> Run<()> {
    let mut rows: Vec<_> = accounts.map(|row| [row.user_id, row.balance, row.sequence]).collect();
    // In the order of the table, which costs least and never meets another loader crosswise.
    rows.sort_unstable();
    sql("INSERT INTO point_accounts (user_id, balance, pending, sequence)
         SELECT t.user_id, t.balance, 0, t.sequence
         FROM JSON_TABLE(?, '$[*]' COLUMNS (user_id BIGINT PATH '$[0]',
             balance BIGINT PATH '$[1]', sequence BIGINT PATH '$[2]')) t
         ON DUPLICATE KEY UPDATE balance = t.balance, sequence = t.sequence")
    .json(&rows)?
    .run(tx)
    .await?;
    Ok(())
}

/// Seats in the state that their reservations give them.
pub(super) async fn insert_seats(tx: &mut Tx, data: &Dataset) -> Run<()> {
    let owners = owners(&data.reservations);
    for seats in data.seats.chunks(CHUNK) {
        let row = |(schedule, seat): &(concert_domain::ScheduleId, _)| {
            let seat: &concert_domain::concert::NewSeat = seat;
            let place = [seat.id.get(), schedule.get(), i64::from(seat.number), seat.price.get()];
            let owner = owners.get(&seat.id).copied();
            let held = owner.filter(|owner| owner.status == ReservationStatus::Pending);
            let status = match (owner, held) {
                (None, _) => "AVAILABLE",
                (_, Some(_)) => "TEMP_RESERVED",
                _ => "RESERVED",
            };
            let until = held.map(|held| held.expires_at.as_millis());
            (place, status, owner.map(|owner| owner.id.get()), until)
        };
        let rows: Vec<_> = seats.iter().map(row).collect();
        let inserted = sql("INSERT INTO seats
                 (id, schedule_id, number, price, status, reservation_id, held_until)
             SELECT t.id, t.schedule_id, t.number, t.price, t.status, t.reservation, t.until
             FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0][0]',
                 schedule_id BIGINT PATH '$[0][1]', number BIGINT PATH '$[0][2]',
                 price BIGINT PATH '$[0][3]', status VARCHAR(16) PATH '$[1]',
                 reservation BIGINT PATH '$[2]', until BIGINT PATH '$[3]')) t")
        .json(&rows)?;
        if !inserted.insert(tx).await? {
            return Err(Error::Conflict("a seat of the data set is there already").into());
        }
    }
    Ok(())
}

fn owners(reservations: &[Reservation]) -> HashMap<SeatId, &Reservation> {
    let live = |held: &&Reservation| {
        matches!(held.status, ReservationStatus::Pending | ReservationStatus::Confirmed)
    };
    reservations.iter().filter(live).map(|held| (held.seat_id, held)).collect()
}

pub(super) async fn insert_reservations(tx: &mut Tx, data: &Dataset) -> Run<()> {
    for reservations in data.reservations.chunks(CHUNK) {
        let row = |held: &Reservation| {
            let what = [held.id.get(), held.user_id.get(), held.concert_id.get()];
            let seat = [held.schedule_id.get(), held.seat_id.get(), held.price.get()];
            let times = [held.created_at, held.expires_at].map(Timestamp::as_millis);
            (what, seat, held.status, times)
        };
        let rows: Vec<_> = reservations.iter().map(row).collect();
        sql("INSERT INTO reservations (id, user_id, concert_id, schedule_id, seat_id, price,
                 status, created_at, expires_at)
             SELECT t.id, t.user_id, t.concert_id, t.schedule_id, t.seat_id, t.price,
                 t.status, t.created_at, t.expires_at
             FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0][0]',
                 user_id BIGINT PATH '$[0][1]', concert_id BIGINT PATH '$[0][2]',
                 schedule_id BIGINT PATH '$[1][0]', seat_id BIGINT PATH '$[1][1]',
                 price BIGINT PATH '$[1][2]', status VARCHAR(16) PATH '$[2]',
                 created_at BIGINT PATH '$[3][0]', expires_at BIGINT PATH '$[3][1]')) t")
        .json(&rows)?
        .run(tx)
        .await?;
    }
    Ok(())
}

pub(super) async fn insert_payments(tx: &mut Tx, data: &Dataset) -> Run<()> {
    for sales in data.sales.chunks(CHUNK) {
        let row = |sale: &concert_domain::seed::Sale| {
            let paid = &sale.payment;
            let ids = [paid.id.get(), paid.reservation_id.get(), paid.user_id.get()];
            let refunded = paid.refunded_at.map(Timestamp::as_millis);
            (ids, paid.amount, paid.status, paid.paid_at.as_millis(), refunded)
        };
        let rows: Vec<_> = sales.iter().map(row).collect();
        sql("INSERT INTO payments
                 (id, reservation_id, user_id, amount, status, paid_at, refunded_at)
             SELECT t.id, t.reservation_id, t.user_id, t.amount, t.status, t.paid_at, t.refunded
             FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0][0]',
                 reservation_id BIGINT PATH '$[0][1]', user_id BIGINT PATH '$[0][2]',
                 amount BIGINT PATH '$[1]', status VARCHAR(16) PATH '$[2]',
                 paid_at BIGINT PATH '$[3]', refunded BIGINT PATH '$[4]')) t")
        .json(&rows)?
        .run(tx)
        .await?;
    }
    Ok(())
}

/// What the consumer of the events has added up. The last statement of all: it locks the rows of
/// concerts, which other parts have sales of too.
pub(super) async fn add_up_sales(tx: &mut Tx, data: &Dataset) -> Run<()> {
    let mut figures = BTreeMap::new();
    for sale in &data.sales {
        let paid = &sale.payment;
        let figure = figures.entry(sale.concert).or_insert((0, 0, paid.paid_at));
        figure.0 += 1;
        figure.1 += paid.amount.get();
        figure.2 = figure.2.max(paid.paid_at);
    }
    for (concert, (seats, amount, at)) in figures {
        add_up(tx, concert, seats, amount, at).await?;
    }
    Ok(())
}
