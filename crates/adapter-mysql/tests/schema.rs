//! Both engines end in the same logical schema, however many instances bring it about.
// Test code: a failure is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{Database, connect};
use concert_adapter_mysql::{Mysql, Options};
use concert_adapter_sqlite::{Sqlite, SystemClock};
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection, QueryableByName, SqliteConnection};

/// Tables that only the embedded engine needs: beside MySQL others keep the queue and the log.
const EMBEDDED_ONLY: [&str; 4] = ["event_log", "queue_counts", "queue_states", "queue_tokens"];
/// SQLite's partial unique indexes are unique keys over these generated columns.
const MYSQL_ONLY: [&str; 2] = ["charge_intents.is_open", "reservations.live_seat_id"];

#[derive(QueryableByName, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Column {
    #[diesel(sql_type = Text)]
    of: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    required: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

type Schema = (BTreeSet<Column>, BTreeSet<String>);

/// Columns, and the names of the indexes that have one.
async fn embedded() -> Schema {
    use diesel::RunQueryDsl;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let clock = Arc::new(SystemClock::default());
    Sqlite::open(&path, clock).await.unwrap().migrate().await.unwrap();
    let mut conn = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
    // The engine's threads end after it and lock the file for a moment when the last one closes it.
    diesel::connection::SimpleConnection::batch_execute(&mut conn, "PRAGMA busy_timeout = 5000")
        .unwrap();
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT t.name AS \"of\", c.name AS name, (c.\"notnull\" OR c.pk > 0) AS required
         FROM sqlite_master t JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE '\\_\\_%' ESCAPE '\\'",
    )
    .load(&mut conn)
    .unwrap();
    let indexes: Vec<Name> = diesel::sql_query(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite%'
         AND tbl_name <> 'outbox'",
    )
    .load(&mut conn)
    .unwrap();
    let columns = columns.into_iter().filter(|c| !EMBEDDED_ONLY.contains(&c.of.as_str()));
    let indexes = indexes.into_iter().map(|i| i.name).filter(|name| !name.contains("queue"));
    (columns.collect(), indexes.collect())
}

async fn server(database: &Database) -> Schema {
    use diesel_async::RunQueryDsl;
    let mut conn = connect(&database.url).await;
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT table_name AS `of`, column_name AS `name`,
             CAST(is_nullable = 'NO' AS SIGNED) AS required
         FROM information_schema.columns
         WHERE table_schema = DATABASE() AND table_name NOT LIKE '\\_\\_%'",
    )
    .load(&mut conn)
    .await
    .unwrap();
    let indexes: Vec<Name> = diesel::sql_query(
        "SELECT DISTINCT index_name AS `name` FROM information_schema.statistics
         WHERE table_schema = DATABASE() AND index_name <> 'PRIMARY' AND table_name <> 'outbox'",
    )
    .load(&mut conn)
    .await
    .unwrap();
    let is_shared = |c: &Column| !MYSQL_ONLY.contains(&format!("{}.{}", c.of, c.name).as_str());
    (
        columns.into_iter().filter(is_shared).collect(),
        indexes.into_iter().map(|index| index.name).collect(),
    )
}

async fn migrated() -> Database {
    let database = Database::create().await;
    let engine = Mysql::connect(&database.url, Options::default()).await.unwrap();
    engine.migrate().await.unwrap();
    database
}

/// The outbox is indexed otherwise: SQLite has partial indexes for what is not published.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_have_the_same_tables_columns_and_indexes() {
    let (database, (columns, indexes)) = (migrated().await, embedded().await);
    let (there, there_indexes) = server(&database).await;
    let differences: Vec<_> = columns.symmetric_difference(&there).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(indexes, there_indexes);
    for index in [
        "idx_seats_schedule_status",
        "idx_reservations_status_expires",
        "idx_payments_user_id",
        "idx_payments_reservation_id",
    ] {
        assert!(indexes.contains(index), "{index}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_instances_that_migrate_at_once_each_step_is_done_by_one() {
    let database = Database::create().await;
    let engine = Mysql::connect(&database.url, Options::default()).await.unwrap();
    let behind = engine.pending_migrations().await.unwrap();
    assert!(behind > 0);
    let (a, b, c) = tokio::join!(engine.migrate(), engine.migrate(), engine.migrate());
    assert_eq!(a.unwrap() + b.unwrap() + c.unwrap(), behind);
    assert_eq!(engine.pending_migrations().await, Ok(0));
}

/// MySQL commits a change of the schema at once, so a process may die between it and its note.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_that_were_done_and_not_noted_can_be_repeated() {
    use diesel_async::SimpleAsyncConnection;
    let database = migrated().await;
    let mut conn = connect(&database.url).await;
    conn.batch_execute("DELETE FROM __diesel_schema_migrations").await.unwrap();
    let engine = Mysql::connect(&database.url, Options::default()).await.unwrap();
    let behind = engine.pending_migrations().await.unwrap();
    assert_eq!(engine.migrate().await, Ok(behind));
    assert_eq!(server(&database).await, server(&migrated().await).await);
}

/// While a release is rolled out or back, instances of the one before write rows as they know them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_the_release_before_are_read() {
    use concert_domain::event::{Outbox, Record};
    use diesel_async::SimpleAsyncConnection;
    let database = migrated().await;
    let mut conn = connect(&database.url).await;
    conn.batch_execute(
        "INSERT INTO outbox (name, topic, record_key, value, created_at)
         VALUES ('old', 't', 'k', '{}', 1)",
    )
    .await
    .unwrap();
    let engine = Mysql::connect(&database.url, Options::default()).await.unwrap();
    let rows = engine.claim("relay", 9, std::time::Duration::from_secs(9)).await.unwrap();
    assert_eq!(rows[0].record, Record::new("k", b"{}"));
}
