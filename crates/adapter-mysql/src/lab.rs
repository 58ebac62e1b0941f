//! A database of its own, for measuring: nothing that serves requests uses this.
//!
//! Statements are constants with integers for binds, prepared once per connection as everywhere
//! else, so that what is measured is the statement and not its preparation.

use concert_domain::{Error, Result};
use diesel::deserialize::{self, QueryableByName};
use diesel::mysql::Mysql as Backend;
use diesel::row::NamedRow;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::error::{Fault, fault, unavailable};
use crate::lease::connect;
use crate::sql::{Sql, Tx, sql};

/// Beginning of the names of such databases.
const PREFIX: &str = "concert_bench_";

/// A database that was made for one run.
pub struct Lab {
    server: String,
    name: String,
    url: String,
}

impl Lab {
    /// Makes a database beside the one that the URL names; its user must be allowed to.
    pub async fn create(url: &str) -> Result<Self> {
        let random = getrandom::u64().map_err(|error| Error::bug(error.to_string()))?;
        let name = format!("{PREFIX}{random:016x}");
        let (address, options) = url.split_once('?').unwrap_or((url, ""));
        let host = address.rsplit_once('/').map_or(address, |(host, _)| host);
        let with = |database: &str| match options {
            "" => format!("{host}/{database}?prefer_socket=false"),
            _ => format!("{host}/{database}?{options}&prefer_socket=false"),
        };
        let server = with(address.rsplit_once('/').map_or("", |(_, database)| database));
        Session::open(&server).await?.batch(&format!("CREATE DATABASE {name}")).await?;
        let url = with(&name);
        Ok(Self { server, name, url })
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection to it.
    pub async fn connect(&self) -> Result<Session> {
        Session::open(&self.url).await
    }

    /// How many connections there are to it.
    pub async fn connections(&self) -> Result<i64> {
        let text = format!(
            "SELECT COUNT(*) AS n FROM information_schema.processlist WHERE db = '{}'",
            self.name
        );
        let mut session = Session::open(&self.server).await?;
        let rows: Vec<crate::sql::Number> =
            diesel::sql_query(text).load(&mut session.0).await.map_err(refusal)?;
        Ok(rows.into_iter().next().map_or(0, |row| row.n))
    }

    /// Drops it with all that is in it.
    pub async fn remove(&self) -> Result<()> {
        Session::open(&self.server).await?.batch(&format!("DROP DATABASE {}", self.name)).await
    }
}

/// A connection that one caller has to itself.
pub struct Session(AsyncMysqlConnection);

/// How a statement ended that others may stand in the way of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// So many rows matched.
    Rows(usize),
    /// A unique key has the value already.
    Duplicate,
    /// A deadlock, or a lock that was waited for too long.
    Contended,
}

/// What the server means to do for a query: one line for each table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub key: String,
    pub rows: i64,
    pub extra: String,
}

impl Session {
    async fn open(url: &str) -> Result<Self> {
        let mut tx = connect(url).await.map_err(|_| unavailable())?;
        tx.batch_execute("SET SESSION max_execution_time = 0").await.map_err(refusal)?;
        Ok(Self(tx))
    }

    /// Runs statements without binds, whatever they are.
    pub async fn batch(&mut self, text: &str) -> Result<()> {
        self.0.batch_execute(text).await.map_err(refusal)
    }

    /// Runs a change.
    pub async fn run(&mut self, text: &'static str, binds: &[i64]) -> Result<Done> {
        match bound(text, binds).run(&mut self.0).await {
            Ok(rows) => Ok(Done::Rows(rows)),
            Err(Fault::Duplicate(_)) => Ok(Done::Duplicate),
            Err(Fault::Contended) => Ok(Done::Contended),
            Err(fault) => Err(fault.refusal()),
        }
    }

    /// The integer called `n` of the first row, 0 if there is none; `None` if a lock stood in the
    /// way.
    pub async fn number(&mut self, text: &'static str, binds: &[i64]) -> Result<Option<i64>> {
        match bound(text, binds).count(&mut self.0).await {
            Ok(number) => Ok(Some(number)),
            Err(Fault::Contended) => Ok(None),
            Err(fault) => Err(fault.refusal()),
        }
    }

    /// Reads all rows of the answer; answers how many there are.
    pub async fn fetch(&mut self, text: &'static str, binds: &[i64]) -> Result<usize> {
        let rows: Vec<AnyRow> =
            bound(text, binds).rows(&mut self.0).await.map_err(Fault::refusal)?;
        Ok(rows.len())
    }

    /// What the server means to do for a query.
    pub async fn explain(&mut self, text: &str, binds: &[i64]) -> Result<Plan> {
        let text = format!("EXPLAIN FORMAT=TRADITIONAL {}", filled(text, binds));
        let lines: Vec<PlanRow> =
            diesel::sql_query(text).load(&mut self.0).await.map_err(refusal)?;
        let join = |part: fn(&PlanRow) -> &Option<String>| {
            let all: Vec<_> = lines.iter().map(|l| part(l).as_deref().unwrap_or("none")).collect();
            all.join("; ")
        };
        Ok(Plan {
            key: join(|line| &line.key),
            rows: lines.iter().filter_map(|line| line.rows).sum(),
            extra: join(|line| &line.extra),
        })
    }

    /// How many rows and index entries the server touches for a query (`Handler_read_*`).
    pub async fn touched(&mut self, text: &'static str, binds: &[i64]) -> Result<i64> {
        let tx = &mut self.0;
        let first = handler_reads(tx).await?;
        let idle = handler_reads(tx).await?;
        bound(text, binds).rows::<AnyRow>(tx).await.map_err(Fault::refusal)?;
        let after = handler_reads(tx).await?;
        Ok((after - idle - (idle - first)).max(0))
    }
}

async fn handler_reads(tx: &mut Tx) -> Result<i64> {
    sql("SELECT CAST(SUM(variable_value) AS SIGNED) AS n
         FROM performance_schema.session_status WHERE variable_name LIKE 'Handler_read%'")
    .count(tx)
    .await
    .map_err(Fault::refusal)
}

fn bound(text: &'static str, binds: &[i64]) -> Sql {
    binds.iter().fold(sql(text), |sql, bind| sql.int(*bind))
}

/// The statement with its binds written out.
fn filled(text: &str, binds: &[i64]) -> String {
    let mut parts = text.split('?');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for (bind, part) in binds.iter().zip(parts) {
        filled.push_str(&bind.to_string());
        filled.push_str(part);
    }
    filled
}

fn refusal(error: diesel::result::Error) -> Error {
    fault(error).refusal()
}

/// A row that nobody looks at; the driver has read it.
struct AnyRow;

impl QueryableByName<Backend> for AnyRow {
    fn build<'a>(_row: &impl NamedRow<'a, Backend>) -> deserialize::Result<Self> {
        Ok(Self)
    }
}

#[derive(QueryableByName)]
struct PlanRow {
    #[diesel(sql_type = Nullable<Text>)]
    key: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    rows: Option<i64>,
    #[diesel(sql_type = Nullable<Text>, column_name = "Extra")]
    extra: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::Database;

    #[test]
    fn binds_are_written_out_in_order() {
        assert_eq!(filled("a = ? AND b < ?", &[1, -2]), "a = 1 AND b < -2");
        assert_eq!(filled("a", &[]), "a");
    }

    #[tokio::test]
    async fn a_lab_counts_plans_and_goes_away() {
        let database = Database::create().await;
        let lab = Lab::create(&database.url).await.unwrap();
        let mut session = lab.connect().await.unwrap();
        session
            .batch("CREATE TABLE t (id BIGINT PRIMARY KEY, a BIGINT, KEY by_a (a))")
            .await
            .unwrap();
        let insert = "INSERT INTO t VALUES (?, ?)";
        for id in 1..=9 {
            assert_eq!(session.run(insert, &[id, id % 3]).await, Ok(Done::Rows(1)));
        }
        assert_eq!(session.run(insert, &[9, 0]).await, Ok(Done::Duplicate));
        let query = "SELECT id FROM t WHERE a = ?";
        assert_eq!(session.fetch(query, &[1]).await, Ok(3));
        assert_eq!(session.touched(query, &[1]).await, Ok(4));
        let plan = session.explain(query, &[1]).await.unwrap();
        assert_eq!((plan.key.as_str(), plan.rows, plan.extra.as_str()), ("by_a", 3, "Using index"));
        assert_eq!(lab.connections().await, Ok(1));
        let url = lab.url().to_owned();
        lab.remove().await.unwrap();
        assert!(Session::open(&url).await.is_err());
    }
}
