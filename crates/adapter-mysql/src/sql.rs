//! SQL text with binds, prepared once per connection.
//!
//! Diesel prepares `UPDATE`, `sql_query` and many inserts anew at every call, two round trips
//! more each. This is a query of diesel's own trait that stays cacheable: the text is a constant
//! and only the binds differ.

use diesel::QueryResult;
use diesel::deserialize::QueryableByName;
use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Binary, Nullable, Text, Untyped};
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncMysqlConnection, RunQueryDsl};
use serde::Serialize;

use concert_domain::{Error, Timestamp};

use crate::error::{Fault, Run, fault};

/// A connection, inside a transaction if it is there to write.
pub(crate) type Tx = AsyncMysqlConnection;

/// What `{now}` in a statement stands for: the server's time when the statement began, in
/// milliseconds since 1970. (Sessions are in UTC.)
const NOW: &str = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";

enum Bind {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A statement. The text has one `?` per bind and no other question mark; `{now}` is the server's
/// time.
pub(crate) struct Sql {
    text: &'static str,
    binds: Vec<Bind>,
}

/// A statement without binds yet.
pub(crate) fn sql(text: &'static str) -> Sql {
    Sql { text, binds: Vec::new() }
}

impl Sql {
    /// Binds an integer, an id, an amount...
    pub fn int(self, value: impl Into<i64>) -> Self {
        self.bind(Bind::Int(Some(value.into())))
    }

    /// Binds an integer or NULL.
    pub fn int_or_null(self, value: Option<impl Into<i64>>) -> Self {
        self.bind(Bind::Int(value.map(Into::into)))
    }

    /// Binds an instant.
    pub fn time(self, at: Timestamp) -> Self {
        self.int(at.as_millis())
    }

    /// Binds a length of time, in milliseconds.
    pub fn millis(self, time: std::time::Duration) -> Self {
        self.int(i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2))
    }

    /// Binds text.
    pub fn text(self, value: impl Into<String>) -> Self {
        self.bind(Bind::Text(Some(value.into())))
    }

    /// Binds text or NULL.
    pub fn text_or_null(self, value: Option<impl Into<String>>) -> Self {
        self.bind(Bind::Text(value.map(Into::into)))
    }

    /// Binds bytes.
    pub fn bytes(self, value: impl Into<Vec<u8>>) -> Self {
        self.bind(Bind::Bytes(Some(value.into())))
    }

    /// Binds bytes or NULL.
    pub fn bytes_or_null(self, value: Option<impl Into<Vec<u8>>>) -> Self {
        self.bind(Bind::Bytes(value.map(Into::into)))
    }

    /// Binds a list as JSON, to be read by `JSON_TABLE`: a list of any length in one statement.
    pub fn json(self, rows: &[impl Serialize]) -> Run<Self> {
        let rows = serde_json::to_string(rows).map_err(|e| Error::bug(e.to_string()))?;
        Ok(self.text(rows))
    }

    /// Runs the statement; answers how many rows it matched (an UPDATE: changed or not).
    pub async fn run(self, tx: &mut Tx) -> Run<usize> {
        self.execute(tx).await.map_err(fault)
    }

    /// Runs an insert; answers `false` if a unique key already has such a row.
    pub async fn insert(self, tx: &mut Tx) -> Run<bool> {
        match self.run(tx).await {
            Ok(_) => Ok(true),
            Err(Fault::Duplicate(_)) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// All rows of the answer.
    pub async fn rows<T: Send>(self, tx: &mut Tx) -> Run<Vec<T>>
    where
        Self: LoadQuery<'static, Tx, T>,
    {
        self.load(tx).await.map_err(fault)
    }

    /// The first row of the answer.
    pub async fn row<T: Send>(self, tx: &mut Tx) -> Run<Option<T>>
    where
        Self: LoadQuery<'static, Tx, T>,
    {
        Ok(self.rows(tx).await?.into_iter().next())
    }

    /// The integer called `n` in the first row; 0 if there is no row.
    pub async fn count(self, tx: &mut Tx) -> Run<i64> {
        Ok(self.row::<Number>(tx).await?.map_or(0, |row| row.n))
    }

    fn bind(mut self, bind: Bind) -> Self {
        self.binds.push(bind);
        self
    }
}

/// A row of one integer called `n`.
#[derive(QueryableByName)]
pub(crate) struct Number {
    #[diesel(sql_type = BigInt)]
    pub n: i64,
}

/// The server's time.
pub(crate) async fn now(tx: &mut Tx) -> Run<Timestamp> {
    Ok(Timestamp::from_millis(sql("SELECT {now} AS n").count(tx).await?))
}

impl QueryFragment<Mysql> for Sql {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        let mut parts = self.text.split('?');
        push(&mut out, parts.next());
        for bind in &self.binds {
            match bind {
                Bind::Int(value) => out.push_bind_param::<Nullable<BigInt>, _>(value)?,
                Bind::Text(value) => out.push_bind_param::<Nullable<Text>, _>(value)?,
                Bind::Bytes(value) => out.push_bind_param::<Nullable<Binary>, _>(value)?,
            }
            push(&mut out, parts.next());
        }
        match parts.next() {
            None => Ok(()),
            Some(_) => Err(DieselError::QueryBuilderError("a bind is missing".into())),
        }
    }
}

fn push(out: &mut AstPass<'_, '_, Mysql>, part: Option<&str>) {
    for (index, text) in part.unwrap_or_default().split("{now}").enumerate() {
        if index > 0 {
            out.push_sql(NOW);
        }
        out.push_sql(text);
    }
}

impl QueryId for Sql {
    type QueryId = ();
    // Cached by its text and the types of its binds.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Sql {
    type SqlType = Untyped;
}
