mod past;

use async_trait::async_trait;
use concert_domain::concert::{Concert, Schedule};
use concert_domain::queue::{QueueToken, Rules};
use concert_domain::seed::{Dataset, Part, QueueSeeds, SeedStore};
use concert_domain::user::User;
use concert_domain::{ConcertId, Error, IdKind, Result, Timestamp, UserId};
use diesel::QueryableByName;
use diesel::sql_types::Text;

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

    async fn keep_plan(&self, run: String, plan: String) -> Result<String> {
        self.write(move |tx| keep_plan(tx, &run, &plan)).await
    }

    async fn load_part(&self, part: Part, data: Dataset) -> Result<bool> {
        self.write(move |tx| load_part(tx, &part, &data)).await
    }

    async fn loaded_parts(&self, run: String) -> Result<Vec<u32>> {
        self.read(move |tx| loaded_parts(tx, &run)).await
    }
}

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Text)]
    plan: String,
}

fn keep_plan(tx: &mut Tx<'_>, run: &str, plan: &str) -> Result<String> {
    sql("INSERT INTO seed_parts (run, part, plan) VALUES (?, 0, ?) ON CONFLICT DO NOTHING")
        .text(run)
        .text(plan)
        .run(tx.conn)?;
    let kept: Option<Plan> =
        sql("SELECT plan FROM seed_parts WHERE run = ? AND part = 0").text(run).row(tx.conn)?;
    Ok(kept.ok_or_else(|| Error::bug("a plan was not kept"))?.plan)
}

fn load_part(tx: &mut Tx<'_>, part: &Part, data: &Dataset) -> Result<bool> {
    let noted = sql("INSERT INTO seed_parts (run, part) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .text(part.run.as_str())
        .int(part.number)
        .run(tx.conn)?;
    if noted == 1 {
        load(tx, data)?;
    }
    Ok(noted == 1)
}

fn loaded_parts(tx: &mut Tx<'_>, run: &str) -> Result<Vec<u32>> {
    let parts: Vec<crate::sql::Number> =
        sql("SELECT part AS n FROM seed_parts WHERE run = ? AND part > 0")
            .text(run)
            .rows(tx.conn)?;
    Ok(parts.iter().filter_map(|part| u32::try_from(part.n).ok()).collect())
}

#[async_trait]
impl QueueSeeds for Sqlite {
    async fn fill_queue(
        &self,
        concert: ConcertId,
        waiting: Vec<(UserId, QueueToken)>,
        rules: &Rules,
    ) -> Result<()> {
        let rules = *rules;
        self.write(move |tx| queue::fill(tx, concert, &waiting, &rules)).await
    }
}

fn load(tx: &mut Tx<'_>, data: &Dataset) -> Result<()> {
    data.users.iter().try_for_each(|user| insert_user(tx, user))?;
    past::insert_lines(tx, data)?;
    data.concerts.iter().try_for_each(|concert| insert_concert(tx, concert))?;
    data.schedules.iter().try_for_each(|schedule| insert_schedule(tx, schedule))?;
    past::insert_seats(tx, data)?;
    data.reservations.iter().try_for_each(|held| past::insert_reservation(tx, held))?;
    data.sales.iter().try_for_each(|sale| past::insert_sale(tx, sale))?;
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

/// Ids handed out from now on lie above those that were loaded.
fn raise_counters(tx: &mut Tx<'_>, data: &Dataset) -> Result<()> {
    let users = data.users.iter().map(|user| user.id);
    let users = users.chain(data.charges.iter().map(|(_, user, _)| *user));
    let users = users.chain(data.reservations.iter().map(|reservation| reservation.user_id));
    raise(tx, IdKind::User, users)?;
    let lines = data.charges.iter().map(|(id, ..)| *id);
    let lines = lines.chain(data.sales.iter().flat_map(|s| [s.charge_line, s.spend_line]));
    raise(tx, IdKind::Transaction, lines)?;
    raise(tx, IdKind::Concert, data.concerts.iter().map(|concert| concert.id))?;
    raise(tx, IdKind::Schedule, data.schedules.iter().map(|schedule| schedule.id))?;
    raise(tx, IdKind::Seat, data.seats.iter().map(|(_, seat)| seat.id))?;
    raise(tx, IdKind::Reservation, data.reservations.iter().map(|held| held.id))?;
    raise(tx, IdKind::Payment, data.sales.iter().map(|sale| sale.payment.id))
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
