use async_trait::async_trait;
use concert_domain::concert::{Concert, NewSeat, Schedule};
use concert_domain::queue::{QueueToken, Rules};
use concert_domain::seed::{Dataset, QueueSeeds, SeedStore};
use concert_domain::user::User;
use concert_domain::{
    ConcertId, Error, IdKind, Result, ScheduleId, Timestamp, TransactionId, UserId, Won,
};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;

use crate::Sqlite;
use crate::db::Tx;
use crate::queue;
use crate::sql::sql;

#[async_trait]
impl SeedStore for Sqlite {
    async fn now(&self) -> Result<Timestamp> {
        self.read(|tx| Ok(tx.now)).await
    }

    async fn load_if_empty(&self, data: Dataset) -> Result<bool> {
        self.write(move |tx| {
            let full = sql("SELECT EXISTS (SELECT 1 FROM concerts) AS n").count(tx.conn)? == 1;
            if !full {
                load(tx, &data)?;
            }
            Ok(!full)
        })
        .await
    }

    async fn load(&self, data: Dataset) -> Result<()> {
        self.write(move |tx| load(tx, &data)).await
    }
}

#[async_trait]
impl QueueSeeds for Sqlite {
    async fn fill_queue(
        &self,
        concert: ConcertId,
        waiting: Vec<(UserId, QueueToken)>,
        rules: &Rules,
    ) -> Result<()> {
        let ttl = rules.waiting_ttl;
        self.write(move |tx| queue::fill(tx, concert, &waiting, ttl)).await
    }
}

fn load(tx: &mut Tx<'_>, data: &Dataset) -> Result<()> {
    data.users.iter().try_for_each(|user| insert_user(tx, user))?;
    data.charges.iter().try_for_each(|charge| charged(tx, *charge))?;
    data.concerts.iter().try_for_each(|concert| insert_concert(tx, concert))?;
    data.schedules.iter().try_for_each(|schedule| insert_schedule(tx, schedule))?;
    data.seats.iter().try_for_each(|(schedule, seat)| insert_seat(tx, *schedule, seat))?;
    raise_counters(tx, data)
}

/// A name that is there already stays: users name themselves before anything is loaded.
fn insert_user(tx: &mut Tx<'_>, user: &User) -> Result<()> {
    sql("INSERT INTO users (id, name, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
        .int(user.id)
        .text(user.name.as_str())
        .time(user.created_at)
        .run(tx.conn)?;
    Ok(())
}

#[derive(QueryableByName)]
struct AccountRow {
    #[diesel(sql_type = BigInt)]
    balance: i64,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
}

fn charged(tx: &mut Tx<'_>, (id, user, amount): (TransactionId, UserId, Won)) -> Result<()> {
    let account: Option<AccountRow> =
        sql("INSERT INTO point_accounts (user_id, balance, pending, sequence) VALUES (?, ?, 0, 1)
         ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, sequence = sequence + 1
         RETURNING balance, sequence")
        .int(user)
        .int(amount)
        .row(tx.conn)?;
    let account = account.ok_or_else(|| Error::bug("an account was not written"))?;
    sql("INSERT INTO point_ledger
         (id, user_id, sequence, kind, amount, balance_after, created_at)
         VALUES (?, ?, ?, 'CHARGE', ?, ?, ?)")
    .int(id)
    .int(user)
    .int(account.sequence)
    .int(amount)
    .int(account.balance)
    .time(tx.now)
    .run(tx.conn)?;
    Ok(())
}

fn insert_concert(tx: &mut Tx<'_>, concert: &Concert) -> Result<()> {
    sql("INSERT INTO concerts (id, title, description, version) VALUES (?, ?, ?, ?)")
        .int(concert.id)
        .text(concert.title.as_str())
        .text_or_null(concert.description.as_deref())
        .int(concert.version)
        .run(tx.conn)?;
    Ok(())
}

fn insert_schedule(tx: &mut Tx<'_>, schedule: &Schedule) -> Result<()> {
    sql("INSERT INTO schedules (id, concert_id, starts_at, reservation_opens_at, version)
         VALUES (?, ?, ?, ?, ?)")
    .int(schedule.id)
    .int(schedule.concert_id)
    .time(schedule.starts_at)
    .time(schedule.reservation_opens_at)
    .int(schedule.version)
    .run(tx.conn)?;
    Ok(())
}

fn insert_seat(tx: &mut Tx<'_>, schedule: ScheduleId, seat: &NewSeat) -> Result<()> {
    sql("INSERT INTO seats (id, schedule_id, number, price, status)
         VALUES (?, ?, ?, ?, 'AVAILABLE')")
    .int(seat.id)
    .int(schedule)
    .int(seat.number)
    .int(seat.price)
    .run(tx.conn)?;
    Ok(())
}

/// Ids handed out from now on lie above those that were loaded.
fn raise_counters(tx: &mut Tx<'_>, data: &Dataset) -> Result<()> {
    let users = data.users.iter().map(|user| user.id);
    let users = users.chain(data.charges.iter().map(|(_, user, _)| *user));
    raise(tx, IdKind::User, users)?;
    raise(tx, IdKind::Transaction, data.charges.iter().map(|(id, ..)| *id))?;
    raise(tx, IdKind::Concert, data.concerts.iter().map(|concert| concert.id))?;
    raise(tx, IdKind::Schedule, data.schedules.iter().map(|schedule| schedule.id))?;
    raise(tx, IdKind::Seat, data.seats.iter().map(|(_, seat)| seat.id))
}

fn raise(tx: &mut Tx<'_>, kind: IdKind, ids: impl Iterator<Item = impl Into<i64>>) -> Result<()> {
    let Some(highest) = ids.map(Into::into).max() else { return Ok(()) };
    sql("INSERT INTO id_counters (kind, next) VALUES (?, 1 + ?)
         ON CONFLICT DO UPDATE SET next = max(next, excluded.next)")
    .text(kind.name())
    .int(highest)
    .run(tx.conn)?;
    Ok(())
}
