use std::sync::Mutex;
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::background::in_background;

/// How many databases tests may use at a time.
const SLOTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// A database that nobody else uses until this value is dropped.
///
/// To make one with all its tables takes longer than most tests, so it is not dropped but emptied
/// by whoever uses it next. Whose it is says a lock of the server, which ends with its connection,
/// so that a test program that was killed leaves nothing behind.
pub struct Database {
    url: String,
    _lock: Mutex<AsyncMysqlConnection>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

impl Database {
    /// An empty database, or one with empty tables, on the server that the URL names.
    pub async fn on(server: &str) -> Self {
        let server = server.to_owned();
        in_background(async move {
            let mut lock = connect(&server).await;
            let name = free_slot(&mut lock).await;
            run(&mut lock, &format!("CREATE DATABASE IF NOT EXISTS {name}")).await;
            empty(&mut lock, &name).await;
            let (host, _) = server.rsplit_once('/').expect("the server's URL names a database");
            Self { url: format!("{host}/{name}"), _lock: Mutex::new(lock) }
        })
        .await
    }

    /// What the service is told.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection that is none of the service's.
    pub async fn connect(&self) -> Session {
        let url = self.url.clone();
        Session(in_background(async move { connect(&url).await }).await)
    }
}

/// A connection to look behind the service's back, or to stand in its way.
pub struct Session(AsyncMysqlConnection);

impl Session {
    /// Runs a statement.
    pub async fn run(&mut self, statement: &str) {
        run(&mut self.0, statement).await;
    }

    /// The one number that a query answers under the name `n`.
    pub async fn number(&mut self, query: &str) -> i64 {
        let rows: Vec<Number> = diesel::sql_query(query)
            .load(&mut self.0)
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        let [row] = rows.as_slice() else { panic!("one row for: {query}") };
        row.n
    }

    /// The texts that a query answers under the name `name`.
    pub async fn names(&mut self, query: &str) -> Vec<String> {
        names(&mut self.0, query).await
    }
}

async fn connect(url: &str) -> AsyncMysqlConnection {
    // The driver would move to the server's socket file on a local machine; the URL says TCP.
    let url = format!("{url}?prefer_socket=false");
    AsyncMysqlConnection::establish(&url).await.expect("MySQL answers")
}

async fn run(conn: &mut AsyncMysqlConnection, statement: &str) {
    let done = conn.batch_execute(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

async fn names(conn: &mut AsyncMysqlConnection, query: &str) -> Vec<String> {
    let rows: Vec<Name> = diesel::sql_query(query)
        .load(conn)
        .await
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    rows.into_iter().map(|row| row.name).collect()
}

/// Takes the first database that is free, as soon as one is.
async fn free_slot(lock: &mut AsyncMysqlConnection) -> String {
    loop {
        for slot in 0..SLOTS {
            let name = format!("concert_test_{slot}");
            let query = format!("SELECT CAST(GET_LOCK('{name}', 0) AS SIGNED) AS n");
            let got: Vec<Number> =
                diesel::sql_query(query).load(lock).await.expect("MySQL answers");
            if got.iter().any(|row| row.n == 1) {
                return name;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Deletes every row but the marks of the migrations. Keys between tables do not matter meanwhile.
async fn empty(conn: &mut AsyncMysqlConnection, name: &str) {
    let query = format!(
        "SELECT table_name AS name FROM information_schema.tables
         WHERE table_schema = '{name}' AND table_name <> '__diesel_schema_migrations'"
    );
    let tables = names(conn, &query).await;
    let deletes = tables.iter().map(|table| format!("DELETE FROM {name}.{table};"));
    let deletes: String = deletes.collect();
    run(conn, &format!("SET foreign_key_checks = 0; START TRANSACTION; {deletes} COMMIT")).await;
}
