//! What a failed statement means.

use concert_domain::Error;
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// What the store is called in an answer.
const STORE: &str = "the database";

/// Why a unit of work ended without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An answer for the caller.
    Refused(Error),
    /// Another row has the value of this unique key (`table.key`).
    Duplicate(String),
    /// A deadlock, or a lock that was waited for too long: roll back, then run all of it again.
    Contended,
    /// The connection cannot be used any more. Whether its last statement was done is unknown.
    Lost,
}

pub(crate) type Run<T> = std::result::Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// What a caller is told if nothing handles the fault.
    pub(crate) fn refusal(self) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Duplicate(key) => Error::bug(format!("a row of the key {key} is there already")),
            Self::Contended | Self::Lost => unavailable(),
        }
    }
}

pub(crate) fn unavailable() -> Error {
    Error::unavailable(STORE)
}

/// Diesel hands on the texts of MySQL, not its numbers: sessions speak `en_US`, and a test provokes
/// each of these on a real server.
pub(crate) fn fault(error: DieselError) -> Fault {
    let DieselError::DatabaseError(kind, info) = &error else {
        return Fault::Refused(Error::bug(error.to_string()));
    };
    let text = info.message();
    let says = |texts: &[&str]| texts.iter().any(|start| text.starts_with(start));
    match kind {
        DatabaseErrorKind::UniqueViolation => Fault::Duplicate(violated_key(text)),
        DatabaseErrorKind::Unknown if says(&CONTENDED) => Fault::Contended,
        DatabaseErrorKind::Unknown if says(&OVERLOADED) => {
            tracing::warn!(%error, "the database refused a statement");
            Fault::Refused(unavailable())
        }
        DatabaseErrorKind::Unknown if says(&LOST) => {
            tracing::warn!(%error, "a connection to the database is lost");
            Fault::Lost
        }
        _ => Fault::Refused(Error::bug(error.to_string())),
    }
}

const CONTENDED: [&str; 2] = ["Deadlock found", "Lock wait timeout exceeded"];
/// The connection is as good as before. (The first is a SELECT that ran for too long; its text
/// starts like that of a killed connection and must be looked for before it.)
const OVERLOADED: [&str; 5] = [
    "Query execution was interrupted, maximum statement execution time exceeded",
    "The table",
    "The MySQL server is running with the",
    "Can't create more than max_prepared_stmt_count",
    "Too many connections",
];
/// The server's farewells, then what the driver says of a broken connection.
const LOST: [&str; 7] = [
    "Query execution was interrupted",
    "Server shutdown in progress",
    "The client was disconnected by the server",
    "Connection was killed",
    "Input/output error",
    "Driver error",
    "Other error",
];

/// The key's name in `Duplicate entry '7' for key 'seats.PRIMARY'`.
fn violated_key(text: &str) -> String {
    let name = text.rsplit_once("for key '").map_or(text, |(_, key)| key.trim_end_matches('\''));
    name.to_owned()
}

/// A stored word that the program does not know.
pub(crate) fn unknown_word(column: &str, word: &str) -> Error {
    Error::bug(format!("{column} has the unknown value {word:?}"))
}

/// A stored number as the domain's type.
pub(crate) fn typed<T: TryFrom<i64>>(column: &str, value: i64) -> concert_domain::Result<T> {
    T::try_from(value).map_err(|_| Error::bug(format!("{column} has the bad value {value}")))
}
