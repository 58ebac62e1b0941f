//! A database of its own for every test, on the server that `TEST_MYSQL_URL` names.
#![allow(dead_code)] // Each test program uses a part of this.

use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};

/// A database that is dropped with this value.
pub struct Database {
    pub name: String,
    pub url: String,
    server: String,
}

impl Database {
    /// An empty database.
    pub async fn create() -> Self {
        let server = server_url();
        let random = getrandom::u64().unwrap();
        let name = format!("concert_test_{random:016x}");
        let url = match server.rsplit_once('/') {
            Some((host, _)) => format!("{host}/{name}"),
            None => panic!("TEST_MYSQL_URL must name a database"),
        };
        execute(&server, &format!("CREATE DATABASE {name}")).await;
        Self { name, url, server }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A thread of its own, as the test's runtime may be the one that waits here; whatever is
        // still connected would keep the database from going away.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                kill_all_of(&server, &name).await;
                execute(&server, &format!("DROP DATABASE {name}")).await;
            });
        });
        dropping.join().ok();
    }
}

/// A connection that is none of the engine's.
pub async fn connect(url: &str) -> AsyncMysqlConnection {
    AsyncMysqlConnection::establish(&format!("{url}?prefer_socket=false")).await.unwrap()
}

async fn execute(url: &str, statement: &str) {
    connect(url).await.batch_execute(statement).await.unwrap();
}

#[allow(clippy::disallowed_methods)] // Which server is tested on is the test run's configuration.
fn server_url() -> String {
    std::env::var("TEST_MYSQL_URL").unwrap_or_else(|_| {
        panic!(
            "these tests need a MySQL server in TEST_MYSQL_URL: \
             scripts/services run -- cargo test -p concert-adapter-mysql"
        )
    })
}

#[derive(QueryableByName)]
struct Busy {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Waits until a connection to the database runs a statement that starts like this; answers which.
pub async fn until_busy_with(database: &Database, statement: &str) -> i64 {
    let mut conn = connect(&database.server).await;
    let query = format!(
        "SELECT CAST(id AS SIGNED) AS id FROM information_schema.processlist
         WHERE db = '{}' AND info LIKE '%{statement}%' AND command IN ('Query', 'Execute')",
        database.name
    );
    loop {
        let busy: Vec<Busy> = diesel::sql_query(&query).load(&mut conn).await.unwrap();
        match busy.as_slice() {
            [busy, ..] => return busy.id,
            [] => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Waits until a connection to the database runs such a statement.
pub async fn until_busy(database: &Database, statement: &str) {
    until_busy_with(database, statement).await;
}

/// Kills every connection to the database, as a restarted server would.
pub async fn kill_all(database: &Database) {
    kill_all_of(&database.server, &database.name).await;
}

async fn kill_all_of(server: &str, name: &str) {
    let mut conn = connect(server).await;
    let query = format!(
        "SELECT CAST(id AS SIGNED) AS id FROM information_schema.processlist WHERE db = '{name}'"
    );
    let all: Vec<Busy> = diesel::sql_query(query).load(&mut conn).await.unwrap();
    for one in all {
        // It may have ended by itself since.
        conn.batch_execute(&format!("KILL {}", one.id)).await.ok();
    }
}
