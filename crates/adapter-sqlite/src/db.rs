//! The threads that own the connections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use concert_domain::{Clock, Error, Result, Timestamp};
use crossbeam_channel::{Receiver, Sender, bounded};
use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use diesel::{Connection, ConnectionResult};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use tokio::sync::oneshot;

use crate::sql::sql;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");

/// How many jobs may wait for a thread; one more is refused as unavailable.
const QUEUE_BOUND: usize = 4_096;
/// How many jobs one commit takes along.
const BATCH: usize = 512;
/// A job that waited longer is refused without being run.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// How many threads read.
const READERS: usize = 4;

/// WAL so that readers and the writer do not meet; FULL so that what was committed survives a
/// power failure; a bounded wait for another process (`concert seed`, `concert outbox`).
const WRITER_SETUP: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
    PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -16000;";
const READER_SETUP: &str =
    "PRAGMA busy_timeout = 5000; PRAGMA query_only = ON; PRAGMA cache_size = -4000;";

/// What a job works with.
pub(crate) struct Tx<'c> {
    /// The connection, inside a transaction.
    pub conn: &'c mut SqliteConnection,
    /// The store's time.
    pub now: Timestamp,
}

/// The embedded engine over one file. Cloning shares it; the threads end with the last clone.
#[derive(Clone)]
pub struct Sqlite {
    path: PathBuf,
    writer: Sender<Job<Verdict>>,
    readers: Sender<Job<()>>,
}

/// Tells the caller of a write how it went, once it is known whether the commit did.
type Verdict = Box<dyn FnOnce(bool) + Send>;

/// Work for a thread, and when it was handed in. A write answers only when told how the commit
/// went; a read answers by itself.
struct Job<Answer> {
    work: Box<dyn FnOnce(&mut Tx<'_>) -> Answer + Send>,
    handed_in: Instant,
}

impl Sqlite {
    /// Opens the file, and makes it if it is missing. The schema is left as it is.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        let path = path.to_owned();
        blocking(move || {
            let (writer, jobs) = bounded(QUEUE_BOUND);
            let conn = connect(&path, WRITER_SETUP)?;
            let (at, time) = (path.clone(), clock.clone());
            spawn("sqlite-writer", move || write_loop(conn, &at, &jobs, &*time))?;

            let (readers, jobs) = bounded(QUEUE_BOUND);
            for _ in 0..READERS {
                let conn = connect(&path, READER_SETUP)?;
                let (at, jobs, time) = (path.clone(), jobs.clone(), clock.clone());
                spawn("sqlite-reader", move || read_loop(conn, &at, &jobs, &*time))?;
            }
            Ok(Self { path, writer, readers })
        })
        .await
    }

    /// Brings the schema to this program's version, in one transaction; answers how many steps
    /// that took. Safe when several processes start at once.
    pub async fn migrate(&self) -> Result<usize> {
        let path = self.path.clone();
        blocking(move || {
            let mut conn = connect(&path, WRITER_SETUP)?;
            conn.immediate_transaction(|conn| {
                let done = conn.run_pending_migrations(MIGRATIONS).map_err(MigrationError)?;
                Ok(done.len())
            })
            .map_err(|MigrationError(error)| Error::bug(format!("migration failed: {error}")))
        })
        .await
    }

    /// How many steps the schema is behind this program.
    pub async fn pending_migrations(&self) -> Result<usize> {
        let path = self.path.clone();
        blocking(move || {
            let mut conn = connect(&path, WRITER_SETUP)?;
            let pending = conn.pending_migrations(MIGRATIONS);
            Ok(pending.map_err(|error| Error::bug(error.to_string()))?.len())
        })
        .await
    }

    /// Runs a change. It is committed together with others, each in a savepoint of its own: an
    /// `Err` undoes this job only. Answers after the commit, so `Ok` is durable.
    ///
    /// Dropping the future does not stop a job that has begun; one that has not is left out.
    pub(crate) async fn write<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work = move |tx: &mut Tx<'_>| -> Verdict {
            if answer.is_closed() {
                return Box::new(|_| {});
            }
            let result = in_savepoint(tx, job);
            Box::new(move |committed| {
                let result = if committed { result } else { Err(unavailable()) };
                answer.send(result).ok();
            })
        };
        let job = Job { work: Box::new(work), handed_in: Instant::now() };
        self.writer.try_send(job).map_err(|_| unavailable())?;
        answered.await.unwrap_or_else(|_| Err(unavailable()))
    }

    /// Runs a read on one snapshot, beside the writer.
    pub(crate) async fn read<T, F>(&self, job: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let work = move |tx: &mut Tx<'_>| {
            if answer.is_closed() {
                return;
            }
            answer.send(job(tx)).ok();
        };
        let job = Job { work: Box::new(work), handed_in: Instant::now() };
        self.readers.try_send(job).map_err(|_| unavailable())?;
        answered.await.unwrap_or_else(|_| Err(unavailable()))
    }
}

fn unavailable() -> Error {
    Error::unavailable("the embedded store")
}

struct MigrationError(Box<dyn std::error::Error + Send + Sync>);

impl From<diesel::result::Error> for MigrationError {
    fn from(error: diesel::result::Error) -> Self {
        Self(Box::new(error))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(Error::bug(e.to_string())))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(drop).map_err(|e| Error::bug(format!("cannot start a thread: {e}")))
}

fn connect(path: &Path, setup: &str) -> Result<SqliteConnection> {
    let open = || -> ConnectionResult<SqliteConnection> {
        let mut conn = SqliteConnection::establish(&path.to_string_lossy())?;
        conn.batch_execute(setup).map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
        Ok(conn)
    };
    open().map_err(|error| {
        tracing::error!(%error, path = %path.display(), "cannot open the embedded store");
        unavailable()
    })
}

/// Runs work that can be undone on its own.
pub(crate) fn in_savepoint<T>(
    tx: &mut Tx<'_>,
    job: impl FnOnce(&mut Tx<'_>) -> Result<T>,
) -> Result<T> {
    sql("SAVEPOINT job").run(tx.conn)?;
    let result = job(tx);
    if result.is_err() {
        sql("ROLLBACK TO job").run(tx.conn)?;
    }
    sql("RELEASE job").run(tx.conn)?;
    result
}

fn write_loop(
    mut conn: SqliteConnection,
    path: &Path,
    jobs: &Receiver<Job<Verdict>>,
    clock: &dyn Clock,
) {
    while let Ok(first) = jobs.recv() {
        let batch = std::iter::once(first).chain(jobs.try_iter().take(BATCH - 1));
        let outcome = catch_unwind(AssertUnwindSafe(|| commit_together(&mut conn, batch, clock)));
        // After a panic or a failed transaction nothing is known of the connection's state.
        if !matches!(outcome, Ok(Ok(()))) {
            tracing::error!("a batch of changes failed; the connection is replaced");
            conn = reconnect(path, WRITER_SETUP);
        }
    }
}

/// Runs the jobs in one transaction and tells each how the commit went. A job that is dropped
/// without an answer reads as unavailable at its caller.
fn commit_together(
    conn: &mut SqliteConnection,
    jobs: impl Iterator<Item = Job<Verdict>>,
    clock: &dyn Clock,
) -> Result<()> {
    sql("BEGIN IMMEDIATE").run(conn)?;
    let mut answers = Vec::new();
    for job in jobs.filter(is_fresh) {
        answers.push((job.work)(&mut Tx { conn, now: clock.now() }));
    }
    let committed = sql("COMMIT").run(conn);
    answers.into_iter().for_each(|answer| answer(committed.is_ok()));
    committed.map(drop)
}

fn read_loop(mut conn: SqliteConnection, path: &Path, jobs: &Receiver<Job<()>>, clock: &dyn Clock) {
    while let Ok(job) = jobs.recv() {
        if !is_fresh(&job) {
            continue;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| on_snapshot(&mut conn, job, clock)));
        if !matches!(outcome, Ok(Ok(()))) {
            tracing::error!("a read failed; the connection is replaced");
            conn = reconnect(path, READER_SETUP);
        }
    }
}

fn on_snapshot(conn: &mut SqliteConnection, job: Job<()>, clock: &dyn Clock) -> Result<()> {
    sql("BEGIN").run(conn)?;
    (job.work)(&mut Tx { conn, now: clock.now() });
    sql("COMMIT").run(conn).map(drop)
}

fn is_fresh<Answer>(job: &Job<Answer>) -> bool {
    job.handed_in.elapsed() < MAX_WAIT
}

/// Tries until the file can be opened again; the jobs wait meanwhile, and are refused when they
/// waited too long.
fn reconnect(path: &Path, setup: &str) -> SqliteConnection {
    loop {
        match connect(path, setup) {
            Ok(conn) => return conn,
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::testing::TestStore;

    #[tokio::test]
    async fn what_has_not_begun_when_its_caller_goes_is_left_out() {
        let test = TestStore::at(1_000).await;
        let store = &test.sqlite;
        let (go, told) = mpsc::channel::<()>();
        let name = |id: i64| {
            store.write(move |tx| {
                sql("INSERT INTO users VALUES (?, 'x', 0)").int(id).run(tx.conn).map(drop)
            })
        };
        let mut first = Box::pin(store.write(move |_| {
            told.recv().ok();
            Ok(())
        }));
        let mut left = Box::pin(name(1));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut left).is_pending());
        drop(left);
        go.send(()).unwrap();
        first.await.unwrap();
        name(2).await.unwrap();
        let users = store.read(|tx| sql("SELECT sum(id) AS n FROM users").count(tx.conn)).await;
        assert_eq!(users, Ok(2));
    }
}
