//! A database of its own for every test, on the server that `TEST_MYSQL_URL` names.
#![allow(dead_code)] // Each test program uses a part of this.

use diesel_async::{AsyncConnection, AsyncMysqlConnection, SimpleAsyncConnection};

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
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(execute(&server, &format!("DROP DATABASE {name}")));
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
