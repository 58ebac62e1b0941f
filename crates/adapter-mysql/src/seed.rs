mod past;

use async_trait::async_trait;
use concert_domain::seed::{Dataset, Part, SeedStore};
use concert_domain::{Error, IdKind, Result, Timestamp};
use diesel::QueryableByName;
use diesel::sql_types::Text;

use crate::Mysql;
use crate::error::Run;
use crate::sql::{Tx, now, sql};

/// Rows to a statement.
const CHUNK: usize = 5_000;

#[async_trait]
impl SeedStore for Mysql {
    async fn now(&self) -> Result<Timestamp> {
        self.read((), |tx, ()| Box::pin(now(tx))).await
    }

    async fn load_if_empty(&self, data: Dataset) -> Result<bool> {
        self.write_bulk(data, |tx, data| Box::pin(load_if_empty(tx, data))).await
    }

    async fn load(&self, data: Dataset) -> Result<()> {
        self.write_bulk(data, |tx, data| Box::pin(load(tx, data))).await
    }

    async fn keep_plan(&self, run: String, plan: String) -> Result<String> {
        self.write((run, plan), |tx, (run, plan)| Box::pin(keep_plan(tx, run, plan))).await
    }

    async fn load_part(&self, part: Part, data: Dataset) -> Result<bool> {
        let job = (part, data);
        self.write_bulk(job, |tx, (part, data)| Box::pin(load_part(tx, part, data))).await
    }

    async fn loaded_parts(&self, run: String) -> Result<Vec<u32>> {
        self.read(run, |tx, run| Box::pin(loaded_parts(tx, run))).await
    }
}

#[derive(QueryableByName)]
struct Plan {
    #[diesel(sql_type = Text)]
    plan: String,
}

async fn keep_plan(tx: &mut Tx, run: &str, plan: &str) -> Run<String> {
    // The first one is waited for, and seen afterwards although this transaction began before.
    sql("INSERT INTO seed_parts (run, part, plan) VALUES (?, 0, ?)
         ON DUPLICATE KEY UPDATE part = seed_parts.part")
    .text(run)
    .text(plan)
    .run(tx)
    .await?;
    let kept: Option<Plan> =
        sql("SELECT plan FROM seed_parts WHERE run = ? AND part = 0 FOR UPDATE")
            .text(run)
            .row(tx)
            .await?;
    Ok(kept.ok_or_else(|| Error::bug("a plan was not kept"))?.plan)
}

async fn load_part(tx: &mut Tx, part: &Part, data: &Dataset) -> Run<bool> {
    let noted = sql("INSERT INTO seed_parts (run, part) VALUES (?, ?)")
        .text(part.run.as_str())
        .int(part.number)
        .insert(tx)
        .await?;
    if noted {
        load(tx, data).await?;
    }
    Ok(noted)
}

async fn loaded_parts(tx: &mut Tx, run: &str) -> Run<Vec<u32>> {
    let parts: Vec<crate::sql::Number> =
        sql("SELECT part AS n FROM seed_parts WHERE run = ? AND part > 0")
            .text(run)
            .rows(tx)
            .await?;
    Ok(parts.iter().filter_map(|part| u32::try_from(part.n).ok()).collect())
}

async fn load_if_empty(tx: &mut Tx, data: &Dataset) -> Run<bool> {
    // Of instances that start at once the first has this row, and the others wait for it.
    raise(tx, IdKind::Concert, [0]).await?;
    let full = sql("SELECT EXISTS (SELECT 1 FROM concerts) AS n").count(tx).await? == 1;
    if !full {
        load(tx, data).await?;
    }
    Ok(!full)
}

async fn load(tx: &mut Tx, data: &Dataset) -> Run<()> {
    insert_users(tx, data).await?;
    past::insert_lines(tx, data).await?;
    insert_concerts(tx, data).await?;
    insert_schedules(tx, data).await?;
    past::insert_seats(tx, data).await?;
    past::insert_reservations(tx, data).await?;
    past::insert_payments(tx, data).await?;
    past::add_up_sales(tx, data).await?;
    raise_counters(tx, data).await
}

/// A name that is there already stays: users name themselves before anything is loaded.
async fn insert_users(tx: &mut Tx, data: &Dataset) -> Run<()> {
    let rows: Vec<_> = data
        .users
        .iter()
        .map(|user| (user.id, user.name.as_str(), user.created_at.as_millis()))
        .collect();
    for rows in rows.chunks(CHUNK) {
        sql("INSERT INTO users (id, name, created_at)
             SELECT t.id, t.name, t.created_at FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 id BIGINT PATH '$[0]', name VARCHAR(100) PATH '$[1]',
                 created_at BIGINT PATH '$[2]')) t
             ON DUPLICATE KEY UPDATE id = users.id")
        .json(rows)?
        .run(tx)
        .await?;
    }
    Ok(())
}

async fn insert_concerts(tx: &mut Tx, data: &Dataset) -> Run<()> {
    let rows: Vec<_> = data
        .concerts
        .iter()
        .map(|concert| (concert.id, &concert.title, &concert.description, concert.version))
        .collect();
    for rows in rows.chunks(CHUNK) {
        sql("INSERT INTO concerts (id, title, description, version)
             SELECT t.id, t.title, t.description, t.version FROM JSON_TABLE(?, '$[*]' COLUMNS (
                 id BIGINT PATH '$[0]', title VARCHAR(200) PATH '$[1]',
                 description TEXT PATH '$[2]', version BIGINT PATH '$[3]')) t")
        .json(rows)?
        .run(tx)
        .await?;
    }
    Ok(())
}

async fn insert_schedules(tx: &mut Tx, data: &Dataset) -> Run<()> {
    let row = |schedule: &concert_domain::concert::Schedule| {
        let times = [schedule.starts_at, schedule.reservation_opens_at].map(Timestamp::as_millis);
        [schedule.id.get(), schedule.concert_id.get(), times[0], times[1], schedule.version]
    };
    let rows: Vec<_> = data.schedules.iter().map(row).collect();
    for rows in rows.chunks(CHUNK) {
        sql("INSERT INTO schedules (id, concert_id, starts_at, reservation_opens_at, version)
             SELECT t.id, t.concert_id, t.starts_at, t.opens_at, t.version
             FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]',
                 concert_id BIGINT PATH '$[1]', starts_at BIGINT PATH '$[2]',
                 opens_at BIGINT PATH '$[3]', version BIGINT PATH '$[4]')) t")
        .json(rows)?
        .run(tx)
        .await?;
    }
    Ok(())
}

/// Ids handed out from now on lie above those that were loaded.
async fn raise_counters(tx: &mut Tx, data: &Dataset) -> Run<()> {
    let users = data.users.iter().map(|user| user.id);
    let users = users.chain(data.charges.iter().map(|(_, user, _)| *user));
    let users = users.chain(data.reservations.iter().map(|reservation| reservation.user_id));
    raise(tx, IdKind::User, users).await?;
    let lines = data.charges.iter().map(|(id, ..)| *id);
    let lines = lines.chain(data.sales.iter().flat_map(|s| [s.charge_line, s.spend_line]));
    raise(tx, IdKind::Transaction, lines).await?;
    raise(tx, IdKind::Concert, data.concerts.iter().map(|concert| concert.id)).await?;
    raise(tx, IdKind::Schedule, data.schedules.iter().map(|schedule| schedule.id)).await?;
    raise(tx, IdKind::Seat, data.seats.iter().map(|(_, seat)| seat.id)).await?;
    raise(tx, IdKind::Reservation, data.reservations.iter().map(|held| held.id)).await?;
    raise(tx, IdKind::Payment, data.sales.iter().map(|sale| sale.payment.id)).await
}

async fn raise(
    tx: &mut Tx,
    kind: IdKind,
    ids: impl IntoIterator<Item = impl Into<i64>>,
) -> Run<()> {
    let Some(highest) = ids.into_iter().map(Into::into).max() else { return Ok(()) };
    sql("INSERT INTO id_counters (kind, next) VALUES (?, 1 + ?) AS loaded
         ON DUPLICATE KEY UPDATE next = GREATEST(id_counters.next, loaded.next)")
    .text(kind.name())
    .int(highest)
    .run(tx)
    .await?;
    Ok(())
}
