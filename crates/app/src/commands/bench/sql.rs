//! A connection to MySQL that is none of the service's: to look behind its back, and to measure
//! what the server itself can do.

use anyhow::{Context, Result};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};

/// A MySQL database by its URL.
#[derive(Clone)]
pub(super) struct Sql {
    url: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

#[derive(QueryableByName)]
struct Status {
    #[diesel(sql_type = Text, column_name = "Value")]
    value: String,
}

impl Sql {
    pub(super) fn new(url: &str) -> Self {
        // The driver would move to the server's socket file on a local machine; the URL says TCP,
        // which is what the service uses too.
        let mark = if url.contains('?') { '&' } else { '?' };
        Self { url: format!("{url}{mark}prefer_socket=false") }
    }

    pub(super) async fn connect(&self) -> Result<Session> {
        let connected = AsyncMysqlConnection::establish(&self.url).await;
        connected.map(Session).context("a connection to MySQL")
    }

    /// Runs statements.
    pub(super) async fn run(&self, statements: &str) -> Result<()> {
        self.connect().await?.run(statements).await
    }

    /// How many statements the server was sent since it started, this one included.
    pub(super) async fn statements(&self) -> Result<u64> {
        let query = "SHOW GLOBAL STATUS LIKE 'Questions'";
        let mut session = self.connect().await?;
        let rows: Vec<Status> = diesel::sql_query(query).load(&mut session.0).await?;
        let value = rows.as_slice().first().context("a counter of the server")?;
        value.value.parse().context("a counter of the server")
    }
}

/// One connection.
pub(super) struct Session(AsyncMysqlConnection);

impl Session {
    /// Runs statements in one round trip.
    pub(super) async fn run(&mut self, statements: &str) -> Result<()> {
        let done = self.0.batch_execute(statements).await;
        done.with_context(|| {
            format!("MySQL: {}", statements.split_whitespace().collect::<Vec<_>>().join(" "))
        })
    }

    /// The one number that a query answers under the name `n`.
    pub(super) async fn number(&mut self, query: &str) -> Result<i64> {
        let rows: Vec<Number> = diesel::sql_query(query)
            .load(&mut self.0)
            .await
            .with_context(|| format!("MySQL: {query}"))?;
        Ok(rows.as_slice().first().with_context(|| format!("no row for: {query}"))?.n)
    }
}
