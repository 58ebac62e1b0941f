//! Units of work: one transaction each, run to its end whatever becomes of the caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use concert_domain::{Error, Result};
use diesel_async::SimpleAsyncConnection;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use crate::batches::Batches;
use crate::error::{Fault, Run, fault, unavailable};
use crate::lease::{Connections, Lease};
use crate::sql::Tx;

/// How often a unit of work is tried that met a deadlock, a lock or a lost connection.
const TRIES: u32 = 5;
/// No further try is begun after so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the statements of one try may take; a server that stands still answers nothing, and
/// its connection is given up then.
const WORK: Duration = Duration::from_secs(6);
/// The same for work on many rows at once.
const BULK: Duration = Duration::from_secs(600);
/// How long beginning, committing, rolling back or looking an outcome up may take.
const STEP: Duration = Duration::from_secs(3);

tokio::task_local! {
    /// Closed when the caller of a unit of work has gone away.
    static CALLER: oneshot::Sender<()>;
}

/// How the engine uses its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The most connections of this process, 1 to 64.
    pub connections: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 24 }
    }
}

/// The shared engine over one database. Cloning shares its connections.
#[derive(Clone)]
pub struct Mysql {
    pub(crate) url: Arc<str>,
    connections: Connections,
    runtime: Handle,
    pub(crate) batches: Arc<Batches>,
}

/// A step of a unit of work. It borrows its connection and its data and captures nothing, so that
/// it can be tried again.
pub(crate) type Job<D, T> = for<'c> fn(&'c mut Tx, &'c D) -> BoxFuture<'c, Run<T>>;

/// A change, and how to find out whether it happened when the answer to its COMMIT is lost: a
/// look for a row that only this change writes. Without one, nobody can tell.
pub(crate) struct Change<D: 'static, T: 'static> {
    pub data: D,
    job: Job<D, T>,
    verify: Option<Job<D, Option<T>>>,
    limit: Duration,
}

impl<D, T> Change<D, T> {
    /// A change whose outcome can be found out.
    pub fn verified(data: D, job: Job<D, T>, verify: Job<D, Option<T>>) -> Self {
        Self { data, job, verify: Some(verify), limit: WORK }
    }

    /// Changes of many callers, whose outcome is found out one by one.
    pub fn together(data: D, job: Job<D, T>) -> Self {
        Self { data, job, verify: None, limit: WORK }
    }
}

/// Why a try ended without a value.
#[derive(Debug)]
pub(crate) enum End {
    Refused(Error),
    /// Nothing was changed.
    Again,
    /// The answer to COMMIT is lost.
    Unknown,
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Contended | Fault::Lost => Self::Again,
            other => Self::Refused(other.refusal()),
        }
    }
}

impl Mysql {
    /// Opens the database that the URL names (`mysql://user:password@host:port/database`), and
    /// makes sure that it answers. The schema is left as it is.
    ///
    /// Must be called on the runtime that outlives all requests: every query runs there.
    pub async fn connect(url: &str, options: Options) -> Result<Self> {
        if !(1..=64).contains(&options.connections) {
            return Err(Error::invalid("connections", "must be 1 to 64"));
        }
        // The driver would move to the server's socket file on a local machine; the URL says TCP.
        let url = match url {
            _ if url.contains("prefer_socket=") => url.to_owned(),
            _ if url.contains('?') => format!("{url}&prefer_socket=false"),
            _ => format!("{url}?prefer_socket=false"),
        };
        let connections = Connections::new(&url, options.connections)?;
        connections.lease().await.map_err(Fault::refusal)?.give_back();
        let (url, runtime) = (url.into(), Handle::current());
        Ok(Self { url, connections, runtime, batches: Arc::default() })
    }

    /// The runtime that outlives all requests.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs statements that only read, each on what is committed when it begins.
    pub(crate) async fn read<D, T>(&self, data: D, job: Job<D, T>) -> Result<T>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        let store = self.clone();
        self.spawn(async move { store.read_patiently(&data, job).await }).await
    }

    /// Runs a change in a transaction; any `Err` undoes it. `Ok` is durable.
    ///
    /// If the answer to the COMMIT is lost, the caller is told that the store is unavailable.
    pub(crate) async fn write<D, T>(&self, data: D, job: Job<D, T>) -> Result<T>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.change(Change { data, job, verify: None, limit: WORK }).await
    }

    /// The same for many rows at once, which takes its time.
    pub(crate) async fn write_bulk<D, T>(&self, data: D, job: Job<D, T>) -> Result<T>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.change(Change { data, job, verify: None, limit: BULK }).await
    }

    /// Runs a change whose outcome can be found out: `verify` answers what the job answered if the
    /// change is in the store, and `None` if it is not.
    pub(crate) async fn write_verified<D, T>(
        &self,
        data: D,
        job: Job<D, T>,
        verify: Job<D, Option<T>>,
    ) -> Result<T>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.change(Change::verified(data, job, verify)).await
    }

    async fn change<D, T>(&self, change: Change<D, T>) -> Result<T>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        let store = self.clone();
        self.spawn(async move { store.change_patiently(&change, Instant::now(), false).await })
            .await
    }

    /// Runs work in a task of its own: a caller that is dropped leaves alone what has begun. What
    /// still waits for a connection then is not begun: nobody has time for it any more.
    pub(crate) async fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (caller, _here) = oneshot::channel();
        let work = CALLER.scope(caller, work).in_current_span();
        self.runtime.spawn(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a unit of work on the database failed");
            Err(Error::bug("a unit of work on the database failed"))
        })
    }

    pub(crate) async fn read_patiently<D, T>(&self, data: &D, job: Job<D, T>) -> Result<T> {
        let start = Instant::now();
        for again in 0..TRIES {
            pause(again).await;
            match self.look(data, job, WORK).await.map_err(End::from) {
                Ok(value) => return Ok(value),
                Err(End::Refused(error)) => return Err(error),
                Err(End::Again | End::Unknown) if start.elapsed() > PATIENCE => break,
                Err(End::Again | End::Unknown) => {}
            }
        }
        Err(unavailable())
    }

    /// Once lost, a COMMIT may still come through later: the change is then tried again, which
    /// waits for the locks of the try before, and what refuses it may be that try's own effect.
    /// `start` is when the first try began, and `in_doubt` says that its COMMIT was lost.
    pub(crate) async fn change_patiently<D, T>(
        &self,
        change: &Change<D, T>,
        start: Instant,
        mut in_doubt: bool,
    ) -> Result<T> {
        if in_doubt && let Some(value) = self.outcome(change).await? {
            return Ok(value);
        }
        for again in 0..TRIES {
            if start.elapsed() > PATIENCE {
                break;
            }
            pause(again).await;
            match self.attempt(change).await {
                Ok(value) => return Ok(value),
                Err(End::Refused(error)) if !in_doubt => return Err(error),
                Err(End::Refused(error)) => return self.outcome(change).await?.ok_or(error),
                Err(End::Again) => {}
                Err(End::Unknown) => {
                    in_doubt = true;
                    if let Some(value) = self.outcome(change).await? {
                        return Ok(value);
                    }
                }
            }
        }
        Err(unavailable())
    }

    /// Looks for the effect of a change whose COMMIT was not answered.
    async fn outcome<D, T>(&self, change: &Change<D, T>) -> Result<Option<T>> {
        let verify = change.verify.ok_or_else(unavailable)?;
        self.look(&change.data, verify, STEP).await.map_err(Fault::refusal)
    }

    /// A connection, for a caller who is still there.
    async fn lease(&self) -> Run<Lease> {
        let lease = self.connections.lease().await?;
        if CALLER.try_with(oneshot::Sender::is_closed) == Ok(true) {
            metrics::counter!("concert_db_abandoned_total").increment(1);
            lease.give_back();
            return Err(unavailable().into());
        }
        Ok(lease)
    }

    /// One try outside a transaction.
    async fn look<D, T>(&self, data: &D, job: Job<D, T>, limit: Duration) -> Run<T> {
        let mut lease = self.lease().await?;
        let result = self.within(limit, job(lease.conn()?, data)).await;
        if !matches!(result, Err(Fault::Lost)) {
            lease.give_back();
        }
        result
    }

    /// One try of a change. What is lost before the COMMIT is undone by the server.
    pub(crate) async fn attempt<D, T>(&self, change: &Change<D, T>) -> Result<T, End> {
        let mut lease = self.lease().await?;
        let tx = lease.conn()?;
        self.command(tx, "START TRANSACTION").await?;
        let result = self.within(change.limit, (change.job)(tx, &change.data)).await;
        match result {
            Ok(value) => match self.command(tx, "COMMIT").await {
                Ok(()) => {
                    lease.give_back();
                    Ok(value)
                }
                Err(fault) => {
                    tracing::warn!(?fault, "a commit was not answered; its outcome is unknown");
                    Err(End::Unknown)
                }
            },
            Err(Fault::Lost) => Err(End::Again),
            Err(fault) => {
                self.roll_back(lease).await;
                Err(fault.into())
            }
        }
    }

    async fn roll_back(&self, mut lease: Lease) {
        let Ok(tx) = lease.conn() else { return };
        if self.command(tx, "ROLLBACK").await.is_ok() {
            lease.give_back();
        }
    }

    async fn command(&self, tx: &mut Tx, text: &str) -> Run<()> {
        self.within(STEP, async { tx.batch_execute(text).await.map_err(fault) }).await
    }

    /// Runs a step within its time. After that its connection counts as lost.
    async fn within<T>(&self, limit: Duration, step: impl Future<Output = Run<T>>) -> Run<T> {
        let result = timeout(limit, step).await.unwrap_or(Err(Fault::Lost));
        if matches!(result, Err(Fault::Lost)) {
            self.connections.forget_idle();
        }
        result
    }
}

/// A short pause of random length before another try, so that those who met do not meet again.
async fn pause(again: u32) {
    if again > 0 {
        let jitter = getrandom::u32().unwrap_or(0) % (10 * again);
        sleep(Duration::from_millis(u64::from(again + jitter))).await;
    }
}
