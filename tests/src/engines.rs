use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use concert_adapter_sqlite::{ManualClock, Sqlite, SystemClock};
use concert_app::{Config, composition};
use concert_domain::{Clock, Ports, Timestamp};
use tempfile::TempDir;

use crate::FullSet;

/// The engines that a service under test runs on, fresh and empty. Swapping them is one line of a
/// test: `TestApp::start(Engines::embedded().await)`. A clone is the same engines, for a second
/// process of the same service.
#[derive(Clone)]
pub struct Engines {
    /// What the service is given; a test may put something of its own in.
    pub ports: Ports,
    clock: Arc<dyn Clock>,
    hands: Option<Arc<ManualClock>>,
    /// Where the data lies; goes with the last clone.
    _place: Arc<dyn Any + Send + Sync>,
}

impl Engines {
    /// The embedded engine under a clock that stands still until a test moves it.
    pub async fn embedded() -> Self {
        let start = "2026-05-01T10:00:00.000Z".parse().expect("an instant");
        let hands = Arc::new(ManualClock::new(start));
        Self::sqlite(hands.clone(), Some(hands)).await
    }

    /// The embedded engine under the real clock, for tests in which many things race.
    pub async fn embedded_in_real_time() -> Self {
        Self::sqlite(Arc::new(SystemClock::default()), None).await
    }

    /// MySQL, Redis and Kafka, in a place of their own on the servers that tests share.
    pub async fn full() -> Self {
        Self::on(Arc::new(FullSet::shared().await)).await
    }

    /// The same in a given place.
    pub async fn on(set: Arc<FullSet>) -> Self {
        let ports = set.ports().await;
        Self { ports, clock: Arc::new(SystemClock::default()), hands: None, _place: set }
    }

    async fn sqlite(clock: Arc<dyn Clock>, hands: Option<Arc<ManualClock>>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("concert.db");
        let sqlite = Sqlite::open(&path, clock.clone()).await.expect("the engine opens");
        sqlite.migrate().await.expect("the engine migrates");
        let ports = composition::ports(&Config::default(), sqlite, clock.clone());
        Self { ports, clock, hands, _place: Arc::new(folder) }
    }

    pub(crate) async fn pass(&self, time: Duration) {
        match &self.hands {
            Some(clock) => clock.advance(time),
            None => tokio::time::sleep(time).await,
        }
    }

    /// How far what was just decided may lie behind [`Engines::now`]: a clock that a test holds
    /// stands still.
    pub(crate) fn drift(&self) -> Duration {
        match self.hands {
            Some(_) => Duration::ZERO,
            None => Duration::from_secs(10),
        }
    }

    /// The store's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
