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
    "The table '",
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

/// Each error as a real server says it: a release with other words fails here.
#[cfg(test)]
mod tests {
    use diesel_async::SimpleAsyncConnection;

    use super::*;
    use crate::common::Database;
    use crate::lease::connect;
    use crate::sql::{Tx, sql};

    const TABLES: &str = "
        CREATE TABLE parents (id BIGINT PRIMARY KEY);
        CREATE TABLE rows_of (id BIGINT PRIMARY KEY, v BIGINT NOT NULL, u BIGINT, p BIGINT,
            UNIQUE KEY uq_rows_u (u), CHECK (v >= 0), FOREIGN KEY (p) REFERENCES parents (id));
        INSERT INTO rows_of VALUES (1, 0, 1, NULL), (2, 0, 2, NULL)";

    async fn server() -> (Database, Tx, Tx) {
        let database = Database::create().await;
        let mut one = connect(&database.url).await.unwrap();
        let two = connect(&database.url).await.unwrap();
        one.batch_execute(TABLES).await.unwrap();
        (database, one, two)
    }

    async fn fault_of(tx: &mut Tx, statement: &'static str) -> Fault {
        sql(statement).run(tx).await.unwrap_err()
    }

    async fn id_of(tx: &mut Tx) -> i64 {
        sql("SELECT CAST(CONNECTION_ID() AS SIGNED) AS n").count(tx).await.unwrap()
    }

    fn is_bug(fault: &Fault) -> bool {
        matches!(fault, Fault::Refused(Error::Bug(_)))
    }

    #[tokio::test]
    async fn a_violated_rule_is_a_bug_and_a_unique_key_is_named() {
        let (_database, mut tx, _) = server().await;
        let twice = fault_of(&mut tx, "INSERT INTO rows_of VALUES (1, 0, 3, NULL)").await;
        assert_eq!(twice, Fault::Duplicate("rows_of.PRIMARY".to_owned()));
        let twice = fault_of(&mut tx, "INSERT INTO rows_of VALUES (3, 0, 1, NULL)").await;
        assert_eq!(twice, Fault::Duplicate("rows_of.uq_rows_u".to_owned()));
        for broken in [
            "INSERT INTO rows_of VALUES (3, -1, 3, NULL)",
            "INSERT INTO rows_of VALUES (3, NULL, 3, NULL)",
            "INSERT INTO rows_of VALUES (3, 0, 3, 7)",
            "INSERT INTO rows_of (id) VALUES (3)",
            "INSERT INTO nowhere VALUES (1)",
            "NONSENSE",
        ] {
            let fault = fault_of(&mut tx, broken).await;
            assert!(is_bug(&fault), "{broken}: {fault:?}");
        }
        assert_eq!(sql("SELECT 7 AS n").count(&mut tx).await, Ok(7), "the connection is good");
    }

    #[tokio::test]
    async fn a_deadlock_is_contention() {
        let (_database, mut one, mut two) = server().await;
        for (tx, lock) in [
            (&mut one, "START TRANSACTION; UPDATE rows_of SET v = 1 WHERE id = 1"),
            (&mut two, "START TRANSACTION; UPDATE rows_of SET v = 2 WHERE id = 2"),
        ] {
            tx.batch_execute(lock).await.unwrap();
        }
        let (first, second) = tokio::join!(
            sql("UPDATE rows_of SET v = 3 WHERE id = 2").run(&mut one),
            sql("UPDATE rows_of SET v = 3 WHERE id = 1").run(&mut two),
        );
        let mut both = [first, second];
        both.sort_by_key(Result::is_err);
        assert_eq!(both, [Ok(1), Err(Fault::Contended)]);
    }

    #[tokio::test]
    async fn a_lock_that_is_not_given_is_contention() {
        let (_database, mut one, mut two) = server().await;
        let lock = "START TRANSACTION; UPDATE rows_of SET v = 1 WHERE id = 1";
        one.batch_execute(lock).await.unwrap();
        two.batch_execute("SET innodb_lock_wait_timeout = 1").await.unwrap();
        let fault = fault_of(&mut two, "UPDATE rows_of SET v = 2 WHERE id = 1").await;
        assert_eq!(fault, Fault::Contended);
    }

    #[tokio::test]
    async fn a_killed_connection_is_lost_idle_or_at_work() {
        let (database, mut one, mut two) = server().await;
        let (idle, mut at_work) = (id_of(&mut two).await, connect(&database.url).await.unwrap());
        one.batch_execute(&format!("KILL {idle}")).await.unwrap();
        assert_eq!(fault_of(&mut two, "DO 1").await, Fault::Lost);
        assert_eq!(fault_of(&mut two, "DO 1").await, Fault::Lost);
        let kill = format!("KILL {}", id_of(&mut at_work).await);
        let (fault, killed) = tokio::join!(fault_of(&mut at_work, "DO SLEEP(20)"), async {
            crate::common::until_busy(&database, "SLEEP").await;
            one.batch_execute(&kill).await
        });
        assert_eq!((fault, killed), (Fault::Lost, Ok(())));
    }

    #[tokio::test]
    async fn a_read_that_takes_too_long_leaves_the_connection_good() {
        let (_database, mut tx, _) = server().await;
        tx.batch_execute("SET max_execution_time = 20").await.unwrap();
        let long = "SELECT COUNT(*) AS n FROM information_schema.collations a
            JOIN information_schema.collations b JOIN information_schema.collations c";
        assert_eq!(sql(long).count(&mut tx).await, Err(Fault::Refused(unavailable())));
        assert_eq!(sql("SELECT 7 AS n").count(&mut tx).await, Ok(7));
    }
}
