use std::collections::HashMap;

use async_trait::async_trait;
use concert_domain::seed::{Dataset, SeedStore};
use concert_domain::{Error, IdKind, Result, Timestamp, TransactionId, UserId, Won};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;

use crate::Mysql;
use crate::concert_admin::{insert_seats, seat_row};
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
    for charges in data.charges.chunks(CHUNK) {
        insert_charges(tx, charges).await?;
    }
    insert_concerts(tx, data).await?;
    insert_schedules(tx, data).await?;
    let seats: Vec<_> =
        data.seats.iter().map(|(schedule, seat)| seat_row(*schedule, seat)).collect();
    if !insert_seats(tx, &seats).await? {
        return Err(Error::Conflict("a seat of the data set is there already").into());
    }
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

#[derive(QueryableByName, Clone, Copy)]
struct AccountRow {
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = BigInt)]
    balance: i64,
    #[diesel(sql_type = BigInt)]
    sequence: i64,
}

/// Adds the charges up on what the accounts have, then writes accounts and lines, each in one
/// statement.
async fn insert_charges(tx: &mut Tx, charges: &[(TransactionId, UserId, Won)]) -> Run<()> {
    let users: Vec<_> = charges.iter().map(|(_, user, _)| *user).collect();
    let before: Vec<AccountRow> = sql("SELECT DISTINCT a.user_id, a.balance, a.sequence
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) t
         STRAIGHT_JOIN point_accounts a ON a.user_id = t.id")
    .json(&users)?
    .rows(tx)
    .await?;
    let mut accounts: HashMap<_, _> = before.into_iter().map(|row| (row.user_id, row)).collect();
    let mut lines = Vec::with_capacity(charges.len());
    for (id, user, amount) in charges {
        let user_id = user.get();
        let account =
            accounts.entry(user_id).or_insert(AccountRow { user_id, balance: 0, sequence: 0 });
        account.balance += amount.get();
        account.sequence += 1;
        lines.push([id.get(), user_id, account.sequence, amount.get(), account.balance]);
    }
    write_accounts(tx, accounts.into_values()).await?;
    sql("INSERT INTO point_ledger
             (id, user_id, sequence, kind, amount, balance_after, created_at)
         SELECT t.id, t.user_id, t.sequence, 'CHARGE', t.amount, t.balance_after, {now}
         FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$[0]', user_id BIGINT PATH '$[1]',
             sequence BIGINT PATH '$[2]', amount BIGINT PATH '$[3]',
             balance_after BIGINT PATH '$[4]')) t")
    .json(&lines)?
    .run(tx)
    .await?;
    Ok(())
}

async fn write_accounts(tx: &mut Tx, accounts: impl Iterator<Item = AccountRow>) -> Run<()> {
    let rows: Vec<_> = accounts.map(|row| [row.user_id, row.balance, row.sequence]).collect();
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
    raise(tx, IdKind::User, users).await?;
    raise(tx, IdKind::Transaction, data.charges.iter().map(|(id, ..)| *id)).await?;
    raise(tx, IdKind::Concert, data.concerts.iter().map(|concert| concert.id)).await?;
    raise(tx, IdKind::Schedule, data.schedules.iter().map(|schedule| schedule.id)).await?;
    raise(tx, IdKind::Seat, data.seats.iter().map(|(_, seat)| seat.id)).await
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
