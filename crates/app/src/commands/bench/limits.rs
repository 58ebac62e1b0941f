//! What the servers themselves can do, beside which a path of the service is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::load::on_own_thread;
use super::sql::Sql;
use crate::config::ServerUrl;

/// Members of the sorted set that is asked.
const MEMBERS: usize = 1_000;

/// Redis, asked for one rank per command over one connection that all clients share; answers
/// commands in a second.
pub(super) async fn redis_ranks(url: &ServerUrl, clients: usize, during: Duration) -> Result<f64> {
    let client = redis::Client::open(url.expose()).context("REDIS_URL")?;
    on_own_thread(async move || {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let key = format!("concert_bench_rank_{}", std::process::id());
        let mut fill = redis::cmd("ZADD");
        fill.arg(&key);
        (0..MEMBERS).for_each(|member| {
            fill.arg(member).arg(format!("m{member}"));
        });
        fill.exec_async(&mut connection).await?;
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for client in 0..clients {
            let (mut connection, key) = (connection.clone(), key.clone());
            running.spawn_local(async move {
                let (mut count, mut member) = (0u64, client);
                while begun.elapsed() < during {
                    member = (member + 7) % MEMBERS;
                    let mut ask = redis::cmd("ZRANK");
                    ask.arg(&key).arg(format!("m{member}"));
                    let _: Option<i64> = ask.query_async(&mut connection).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            });
        }
        let count = sum(running).await?;
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        redis::cmd("UNLINK").arg(&key).exec_async(&mut connection).await?;
        Ok(rate)
    })
    .await
}

/// A value of so many bytes in Redis, asked for by one caller over a connection that lives where
/// those of the service do.
pub(super) struct BareGet {
    connection: redis::aio::MultiplexedConnection,
    key: String,
}

impl BareGet {
    pub(super) async fn of(url: &str, bytes: usize) -> Result<Self> {
        let client = redis::Client::open(url).context("REDIS_URL")?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let key = format!("concert_bench_get_{}", std::process::id());
        redis::Cmd::set(&key, vec![b'x'; bytes]).exec_async(&mut connection).await?;
        Ok(Self { connection, key })
    }

    pub(super) async fn timed(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        let _: Vec<u8> = redis::Cmd::get(&self.key).query_async(&mut self.connection).await?;
        Ok(begun.elapsed())
    }

    pub(super) async fn clear(mut self) -> Result<()> {
        Ok(redis::Cmd::unlink(&self.key).exec_async(&mut self.connection).await?)
    }
}

async fn sum(mut running: JoinSet<Result<u64>>) -> Result<u64> {
    let mut total = 0;
    while let Some(done) = running.join_next().await {
        total += done.context("a client panicked")??;
    }
    Ok(total)
}

/// The statement with this number.
pub(super) type Statement = fn(i64) -> String;

/// A seat that is taken by one conditional update, which commits by itself: the least that a hold
/// can be.
pub(super) fn take_seat(number: i64) -> String {
    format!(
        "UPDATE bench_seats SET status = 'TEMP_RESERVED', reservation_id = id, held_until = 1
         WHERE id = {number} AND status = 'AVAILABLE'"
    )
}

/// The rows that a payment writes, in one round trip: the least that a payment can be.
pub(super) fn pay(number: i64) -> String {
    format!(
        "START TRANSACTION;
         UPDATE bench_held SET status = 'RESERVED', held_until = NULL
         WHERE id = {number} AND reservation_id = {number} AND status = 'TEMP_RESERVED';
         UPDATE bench_reservations SET status = 'CONFIRMED'
         WHERE id = {number} AND status = 'PENDING';
         UPDATE bench_accounts SET balance = balance - 10, sequence = sequence + 1
         WHERE user_id = {number} AND balance >= 10;
         INSERT INTO bench_ledger
             (id, user_id, sequence, kind, amount, balance_after, created_at, payment_id)
         VALUES ({number}, {number}, 2, 'USE', -10, 990, 1, {number});
         INSERT INTO bench_payments (id, reservation_id, user_id, amount, status, paid_at)
         VALUES ({number}, {number}, {number}, 10, 'COMPLETED', 1);
         INSERT INTO bench_outbox (name, topic, record_key, value, created_at)
         VALUES ('payment-{number}', 'payment.v1', '{number}', REPEAT('x', 400), 1);
         COMMIT"
    )
}

/// An account that is charged, with its line in the ledger, in one round trip.
pub(super) fn charge(number: i64) -> String {
    format!(
        "START TRANSACTION;
         UPDATE bench_accounts SET balance = balance + 100, sequence = sequence + 1
         WHERE user_id = {number} AND balance <= 999900;
         INSERT INTO bench_ledger
             (id, user_id, sequence, kind, amount, balance_after, created_at)
         VALUES ({number} + 1000000000, {number}, 3, 'CHARGE', 100, 1100, 1);
         COMMIT"
    )
}

/// The same account again and again: every statement waits for the one before.
pub(super) fn charge_one(_number: i64) -> String {
    "UPDATE bench_accounts SET sequence = sequence + 1 WHERE user_id = 0".to_owned()
}

/// Tables like the service's with rows that nobody else uses.
#[derive(Clone)]
pub(super) struct Bare {
    sql: Sql,
    /// The first row that is not used up.
    next: Arc<AtomicI64>,
}

impl Bare {
    /// A hundred thousand rows in each table: more than are used up, and few enough to stay in the
    /// server's memory beside the service's own.
    pub(super) async fn new(sql: Sql) -> Result<Self> {
        sql.run(TABLES).await?;
        Ok(Self { sql, next: Arc::default() })
    }

    /// The same tables for a kind of statement that begins with the first row.
    pub(super) fn rewound(&self) -> Self {
        Self { sql: self.sql.clone(), next: Arc::default() }
    }

    /// Runs statements on so many connections; answers how many a second.
    pub(super) async fn rate(
        &self,
        connections: usize,
        during: Duration,
        statement: Statement,
    ) -> Result<f64> {
        let mut sessions = Vec::new();
        for _ in 0..connections {
            sessions.push(self.sql.connect().await?);
        }
        let begun = Instant::now();
        let mut running = JoinSet::new();
        for mut session in sessions {
            let next = self.next.clone();
            running.spawn(async move {
                let mut count = 0u64;
                while begun.elapsed() < during {
                    session.run(&statement(next.fetch_add(1, Ordering::Relaxed))).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            });
        }
        let count = sum(running).await?;
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    }
}

/// `LIKE` takes the keys and the checks along, so that a row costs what it costs the service; the
/// foreign keys it leaves behind.
const TABLES: &str = "
    CREATE TABLE bench_digits (d INT PRIMARY KEY);
    INSERT INTO bench_digits VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9);
    CREATE TABLE bench_rows (id BIGINT PRIMARY KEY);
    INSERT INTO bench_rows
        SELECT a.d * 10000 + b.d * 1000 + c.d * 100 + d.d * 10 + e.d
        FROM bench_digits a, bench_digits b, bench_digits c, bench_digits d, bench_digits e;
    CREATE TABLE bench_seats LIKE seats;
    INSERT INTO bench_seats (id, schedule_id, number, price, status)
        SELECT id, id DIV 50, id, 10, 'AVAILABLE' FROM bench_rows;
    CREATE TABLE bench_held LIKE seats;
    INSERT INTO bench_held (id, schedule_id, number, price, status, reservation_id, held_until)
        SELECT id, id DIV 50, id, 10, 'TEMP_RESERVED', id, 1 FROM bench_rows;
    CREATE TABLE bench_reservations LIKE reservations;
    INSERT INTO bench_reservations (id, user_id, concert_id, schedule_id, seat_id, price, status,
                                    created_at, expires_at)
        SELECT id, id, 1, 1, id, 10, 'PENDING', 1, 1 FROM bench_rows;
    CREATE TABLE bench_accounts LIKE point_accounts;
    INSERT INTO bench_accounts (user_id, balance, pending, sequence)
        SELECT id, 1000, 0, 1 FROM bench_rows;
    CREATE TABLE bench_ledger LIKE point_ledger;
    CREATE TABLE bench_payments LIKE payments;
    CREATE TABLE bench_outbox LIKE outbox;";
