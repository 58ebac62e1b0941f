//! Connections to the server.
//!
//! The pool makes connections and does no more: to check one out for every command costs an
//! extra round trip and lets nobody else use it meanwhile. A few multiplexed connections are
//! taken out of it for good, the *lanes*, and all commands share them. A multiplexed connection
//! never reconnects, so one that failed is taken out of use and its lane is filled anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use concert_domain::{Error, Result};
use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult,
    ScriptInvocation, ServerErrorKind,
};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::budget::BudgetScripts;
use crate::cache::{Bumps, CacheScripts, Near, Owed, bumps};
use crate::lock::{LockScripts, Taken, Turns};
use crate::queue::{Finishes, Joins, Known, Lines, QueueScripts, Visits, finishes, joins, visits};

/// One is enough for the throughput; with two a slow answer does not hold up everybody.
const LANES: usize = 2;

/// Longer than any script runs, shorter than a client waits.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How long to wait between two attempts to fill a lane.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The address is no `redis://` address that can be used.
#[derive(Debug, thiserror::Error)]
#[error("not an address of a Redis server: {0}")]
pub struct BadAddress(String);

/// A Redis server as queue, lock, cache and probe. Copies share the connections.
#[derive(Clone)]
pub struct Redis {
    lanes: Arc<Lanes>,
    prefix: Arc<str>,
    pub(crate) known: Arc<Known>,
    pub(crate) lines: Arc<Lines>,
    pub(crate) joins: Arc<Joins>,
    pub(crate) finishes: Arc<Finishes>,
    pub(crate) visits: Arc<Visits>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) taken: Arc<Taken>,
    pub(crate) near: Arc<Near>,
    pub(crate) bumps: Arc<Bumps>,
    pub(crate) owed: Arc<Owed>,
    /// Tells this process from others.
    pub(crate) owner: Arc<str>,
    pub(crate) scripts: Arc<Scripts>,
}

/// Every script, with its digest computed once.
pub(crate) struct Scripts {
    pub queue: QueueScripts,
    pub lock: LockScripts,
    pub budget: BudgetScripts,
    pub cache: CacheScripts,
}

impl Redis {
    /// Connects to `redis://[user:password@]host:port[/db]`; every key starts with the prefix.
    ///
    /// A server that does not answer now is tried again in the background, as it is after any
    /// loss; until it answers everything is refused as unavailable. Connections live on the
    /// runtime of this call, which must be the one that ends last.
    pub async fn connect(address: &str, prefix: &str) -> Result<Self, BadAddress> {
        let known = Arc::<Known>::default();
        let lanes = Arc::new(Lanes::new(address, known.clone())?);
        for lane in 0..LANES {
            if lanes.fill(lane).await.is_err() {
                lanes.refill(lane);
            }
        }
        let scripts = Scripts {
            queue: QueueScripts::default(),
            lock: LockScripts::default(),
            budget: BudgetScripts::default(),
            cache: CacheScripts::default(),
        };
        Ok(Self {
            lanes,
            prefix: prefix.into(),
            known,
            lines: Arc::default(),
            joins: Arc::new(joins()),
            finishes: Arc::new(finishes()),
            visits: Arc::new(visits()),
            turns: Arc::default(),
            taken: Arc::default(),
            near: Arc::default(),
            bumps: Arc::new(bumps()),
            owed: Arc::default(),
            owner: format!("{:016x}", getrandom::u64().unwrap_or_default()).into(),
            scripts: Arc::new(scripts),
        })
    }

    /// A key of this service.
    pub(crate) fn key(&self, name: impl std::fmt::Display) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Runs a task that outlives its caller, where the connections live.
    pub(crate) fn on_runtime(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        self.lanes.runtime.spawn(task)
    }

    /// Runs one command. `what` names the part of the service that is gone if it fails.
    pub(crate) async fn command<T>(&self, what: &'static str, command: &Cmd) -> Result<T>
    where
        T: FromRedisValue,
    {
        let lane = self.lanes.pick(what)?;
        let answer = command.query_async(&mut lane.connection()).await;
        self.lanes.judge(what, lane, answer)
    }

    /// Runs several commands in one round trip; they are not atomic together.
    pub(crate) async fn commands<T>(&self, what: &'static str, commands: &Pipeline) -> Result<T>
    where
        T: FromRedisValue,
    {
        let lane = self.lanes.pick(what)?;
        let answer = commands.query_async(&mut lane.connection()).await;
        self.lanes.judge(what, lane, answer)
    }

    /// Runs a script, which is loaded again if the server has lost it.
    pub(crate) async fn script<T>(
        &self,
        what: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T>
    where
        T: FromRedisValue,
    {
        let lane = self.lanes.pick(what)?;
        let answer = script.invoke_async(&mut lane.connection()).await;
        self.lanes.judge(what, lane, answer)
    }
}

struct Lanes {
    pool: Pool,
    runtime: Handle,
    next: AtomicUsize,
    /// What is remembered of the server's data.
    known: Arc<Known>,
    /// Empty while no connection works.
    lanes: [ArcSwapOption<MultiplexedConnection>; LANES],
}

/// A lane in use by one command.
struct Used {
    lane: usize,
    connection: Arc<MultiplexedConnection>,
}

impl Used {
    fn connection(&self) -> MultiplexedConnection {
        MultiplexedConnection::clone(&self.connection)
    }
}

impl Lanes {
    fn new(address: &str, known: Arc<Known>) -> Result<Self, BadAddress> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let bad = |error: &dyn std::fmt::Display| BadAddress(error.to_string());
        let manager = Manager::new_with_config(address, config).map_err(|error| bad(&error))?;
        let pool = Pool::builder(manager)
            .max_size(LANES)
            .create_timeout(Some(CONNECT_WITHIN))
            .wait_timeout(Some(CONNECT_WITHIN))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| bad(&error))?;
        let (runtime, next) = (Handle::current(), AtomicUsize::new(0));
        let lanes = std::array::from_fn(|_| ArcSwapOption::empty());
        Ok(Self { pool, runtime, next, known, lanes })
    }

    /// A lane that works, in turn. None: refused at once rather than after a deadline.
    fn pick(&self, what: &'static str) -> Result<Used> {
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        (0..LANES)
            .map(|step| first.wrapping_add(step) % LANES)
            .find_map(|lane| Some(Used { lane, connection: self.lanes[lane].load_full()? }))
            .ok_or_else(|| Error::unavailable(what))
    }

    /// Turns the server's answer into the port's, and takes a broken lane out of use.
    fn judge<T>(
        self: &Arc<Self>,
        what: &'static str,
        used: Used,
        answer: RedisResult<T>,
    ) -> Result<T> {
        answer.map_err(|error| {
            if connects_to_nothing(&error) {
                self.break_lane(used, &error);
            }
            refusal(what, &error)
        })
    }

    /// The first command that sees a connection fail empties its lane; the others, which may come
    /// back much later, find another connection there or none, and change nothing.
    fn break_lane(self: &Arc<Self>, used: Used, error: &RedisError) {
        let before = self.lanes[used.lane].compare_and_swap(&used.connection, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &used.connection)) {
            tracing::warn!(%error, lane = used.lane, "lost a connection to Redis");
            // What comes next may have less than this one had.
            self.known.forget_all();
            self.refill(used.lane);
        }
    }

    /// Fills an empty lane in the background, however long it takes. There is one such task for a
    /// lane, since only who emptied it starts one.
    fn refill(self: &Arc<Self>, lane: usize) {
        let weak = Arc::downgrade(self);
        self.runtime.spawn(async move {
            let mut pause = FIRST_PAUSE;
            // Whoever let go of the adapter needs no connection any more.
            while let Some(lanes) = weak.upgrade() {
                match lanes.fill(lane).await {
                    Ok(()) => return tracing::info!(lane, "connected to Redis"),
                    Err(error) => tracing::debug!(%error, lane, "no connection to Redis"),
                }
                drop(lanes);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    async fn fill(&self, lane: usize) -> Result<(), PoolError> {
        let connection = Connection::take(self.pool.get().await?);
        self.lanes[lane].store(Some(Arc::new(connection)));
        Ok(())
    }
}

/// Whether another connection may do better: this one is dead or slow, or what it leads to is no
/// master any more.
fn connects_to_nothing(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Server(ServerErrorKind::ReadOnly))
}

/// What a failed command means to the caller: a server that does not answer, or refuses for now,
/// is unavailable; an answer that cannot be is a mistake of this program.
fn refusal(what: &'static str, error: &RedisError) -> Error {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError)
        | ErrorKind::UnexpectedReturnType
        | ErrorKind::Client => Error::bug(format!("{what}: {error}")),
        ErrorKind::Io => Error::unavailable(what),
        _ => {
            tracing::warn!(%error, what, "Redis refused a command");
            Error::unavailable(what)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_address_is_refused_in_one_sentence() {
        let error = Redis::connect("mysql://localhost", "").await.map(drop).unwrap_err();
        assert!(error.to_string().starts_with("not an address of a Redis server: "), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unavailable_at_once() {
        // Nothing can listen on this path.
        let redis = Redis::connect("redis+unix:///dev/null/nothing", "").await.unwrap();
        let answer: Result<()> = redis.command("the test", &redis::cmd("PING")).await;
        assert_eq!(answer, Err(Error::unavailable("the test")));
    }
}
