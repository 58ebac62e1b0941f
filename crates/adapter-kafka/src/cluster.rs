use std::collections::HashMap;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout, timeout_at};

use crate::failure::Failure;
use crate::session::Session;
use crate::settings::Settings;

/// How long one attempt to reach any broker may take.
const OPEN: Duration = Duration::from_secs(3);

/// Whose turn it is to write to a partition.
pub(crate) type Turn = Arc<Mutex<()>>;

/// The cluster as calls see it: a session that is opened when it is needed and replaced when a
/// call on it has failed.
pub(crate) struct Cluster {
    settings: Arc<Settings>,
    session: Mutex<Option<Arc<Session>>>,
    turns: SyncMutex<HashMap<(String, u32), Turn>>,
}

impl Cluster {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            session: Mutex::default(),
            turns: SyncMutex::default(),
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Runs one call against a deadline. The library has tried several times before it reports an
    /// error, so one failure is enough to give the session up.
    pub async fn call<T, F, Fut>(&self, limit: Duration, work: F) -> Result<T, Failure>
    where
        F: FnOnce(Arc<Session>) -> Fut,
        Fut: Future<Output = Result<T, Failure>>,
    {
        let deadline = Instant::now() + limit;
        let session = timeout_at(deadline, self.session()).await.map_err(|_| Failure::Late)??;
        let outcome = timeout_at(deadline, work(session.clone())).await;
        let outcome = outcome.unwrap_or(Err(Failure::Late));
        if outcome.is_err() {
            session.end();
        }
        outcome
    }

    async fn session(&self) -> Result<Arc<Session>, Failure> {
        let mut current = self.session.lock().await;
        if let Some(session) = current.as_ref().filter(|session| !session.has_ended()) {
            return Ok(session.clone());
        }
        // The old connections go before the new ones come.
        *current = None;
        let opening = timeout(OPEN, Session::open(self.settings.clone()));
        let session = Arc::new(opening.await.map_err(|_| Failure::Late)??);
        *current = Some(session.clone());
        Ok(session)
    }

    /// The turn to write to a partition. It outlives sessions, so that a write that still runs on
    /// an ended one is not overtaken by the next.
    pub fn turn(&self, topic: &str, partition: u32) -> Turn {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry((topic.to_owned(), partition)).or_default().clone()
    }
}
