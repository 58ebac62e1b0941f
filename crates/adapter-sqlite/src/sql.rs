//! SQL text with binds, prepared once per connection.
//!
//! Diesel prepares `UPDATE`, `sql_query` and many inserts anew at every call. This is a query of
//! diesel's own trait that stays cacheable: the text is a constant and only the binds differ.

use concert_domain::{Error, Result};
use diesel::deserialize::QueryableByName;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::methods::LoadQuery;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Binary, Double, Nullable, Text, Untyped};
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel::{QueryResult, RunQueryDsl};

enum Bind {
    Int(Option<i64>),
    Real(f64),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// A statement. The text has one `?` per bind and no other question mark.
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
    pub fn time(self, at: concert_domain::Timestamp) -> Self {
        self.bind(Bind::Int(Some(at.as_millis())))
    }

    /// Binds a floating-point number.
    pub fn real(self, value: f64) -> Self {
        self.bind(Bind::Real(value))
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

    /// Runs the statement; answers how many rows it touched.
    pub fn run(self, conn: &mut SqliteConnection) -> Result<usize> {
        self.execute(conn).map_err(store_error)
    }

    /// Runs an insert; answers `false` if a unique key already has such a row.
    pub fn insert(self, conn: &mut SqliteConnection) -> Result<bool> {
        match self.execute(conn) {
            Ok(_) => Ok(true),
            Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(false),
            Err(error) => Err(store_error(error)),
        }
    }

    /// All rows of the answer.
    pub fn rows<'a, T>(self, conn: &mut SqliteConnection) -> Result<Vec<T>>
    where
        Self: LoadQuery<'a, SqliteConnection, T>,
    {
        self.load(conn).map_err(store_error)
    }

    /// The first row of the answer.
    pub fn row<'a, T>(self, conn: &mut SqliteConnection) -> Result<Option<T>>
    where
        Self: LoadQuery<'a, SqliteConnection, T>,
    {
        Ok(self.rows(conn)?.into_iter().next())
    }

    /// The integer called `n` in the first row; 0 if there is no row.
    pub fn count(self, conn: &mut SqliteConnection) -> Result<i64> {
        Ok(self.row::<Number>(conn)?.map_or(0, |row| row.n))
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

impl QueryFragment<Sqlite> for Sql {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut parts = self.text.split('?');
        out.push_sql(parts.next().unwrap_or_default());
        for (bind, part) in self.binds.iter().zip(parts) {
            match bind {
                Bind::Int(value) => out.push_bind_param::<Nullable<BigInt>, _>(value)?,
                Bind::Real(value) => out.push_bind_param::<Double, _>(value)?,
                Bind::Text(value) => out.push_bind_param::<Nullable<Text>, _>(value)?,
                Bind::Bytes(value) => out.push_bind_param::<Nullable<Binary>, _>(value)?,
            }
            out.push_sql(part);
        }
        Ok(())
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

impl RunQueryDsl<SqliteConnection> for Sql {}

/// What a failed statement means to a caller: the file is busy or broken, or a rule of the schema
/// was violated that the program should have kept.
pub(crate) fn store_error(error: DieselError) -> Error {
    match &error {
        DieselError::DatabaseError(
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::NotNullViolation
            | DatabaseErrorKind::ForeignKeyViolation,
            _,
        ) => Error::bug(error.to_string()),
        DieselError::DatabaseError(_, info) if !is_passing(info.message()) => {
            Error::bug(error.to_string())
        }
        _ => {
            tracing::warn!(%error, "the embedded store did not answer");
            Error::unavailable("the embedded store")
        }
    }
}

/// Messages of SQLite that say something about the machine, not about the statement.
fn is_passing(message: &str) -> bool {
    ["locked", "busy", "disk", "I/O", "full", "unable to open", "readonly", "interrupted"]
        .iter()
        .any(|word| message.contains(word))
}

/// A stored word that the program does not know.
pub(crate) fn unknown_word(column: &str, word: &str) -> Error {
    Error::bug(format!("{column} has the unknown value {word:?}"))
}

/// A stored number as the domain's type.
pub(crate) fn typed<T: TryFrom<i64>>(column: &str, value: i64) -> Result<T> {
    T::try_from(value).map_err(|_| Error::bug(format!("{column} has the bad value {value}")))
}
