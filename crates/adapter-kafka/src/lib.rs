//! The event log over Kafka.
//!
//! A topic of the domain is a Kafka topic under the configured prefix, made on first use. The
//! client library has no deadlines and can keep a stale idea of who leads a partition, so every
//! call here runs against a deadline, and a call that fails ends the session it ran on: the next
//! one starts with fresh connections. See `docs/adr/0013-kafka-topics-and-partitions.md`.

mod cluster;
mod failure;
mod log;
mod session;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::{DEAD_LETTER_TOPIC, PAYMENT_TOPIC};
use concert_domain::health::Probe;
use concert_domain::{Error, Result};
use tokio::runtime::Handle;

use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::session::Session;
use crate::settings::Settings;
pub use crate::settings::SetupError;

/// How long a start waits for Kafka before it goes on without.
const START: Duration = Duration::from_secs(3);
/// How long the health check waits for an answer.
const CHECK: Duration = Duration::from_millis(1_500);

/// The event log in a Kafka cluster.
///
/// Connections belong to the runtime that [`Kafka::connect`] was called on; a call from any other
/// runtime (each worker of a web server may have its own) is carried out over there.
pub struct Kafka {
    cluster: Arc<Cluster>,
    runtime: Handle,
}

impl Kafka {
    /// An event log on the cluster that `brokers` (`host:port,...`) lead to, in topics named
    /// `<topic_prefix>.<topic>` of so many partitions each.
    ///
    /// The number of partitions is fixed for ever when a topic is made, because keys are spread
    /// by it. A topic that exists with another number is refused, here if Kafka answers, else by
    /// every call. A cluster that does not answer is no error: sales go on without it and the
    /// outbox keeps the events.
    pub async fn connect(
        brokers: &str,
        topic_prefix: &str,
        partitions: u32,
    ) -> Result<Self, SetupError> {
        let settings = Settings::new(brokers, topic_prefix, partitions)?;
        let kafka = Self { cluster: Arc::new(Cluster::new(settings)), runtime: Handle::current() };
        match kafka.prepare().await {
            Err(Failure::Partitions(mismatch)) => Err(SetupError::Partitions(mismatch)),
            Err(failure) => {
                tracing::warn!(%failure, brokers, "Kafka does not answer; starting without it");
                Ok(kafka)
            }
            Ok(()) => Ok(kafka),
        }
    }

    /// Makes the service's own topics, so that a wrong one stops the start.
    async fn prepare(&self) -> Result<(), Failure> {
        let names = [PAYMENT_TOPIC, DEAD_LETTER_TOPIC].map(|topic| self.full_name(topic));
        let work = async move |session: Arc<Session>| {
            for name in names {
                session.topic(&name).await?;
            }
            Ok(())
        };
        self.cluster.call(START, work).await
    }

    fn full_name(&self, topic: &str) -> String {
        self.cluster.settings().full_name(topic)
    }

    /// Carries a call out on the runtime of the connections, within its limit.
    async fn call<T, F, Fut>(&self, name: &'static str, limit: Duration, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Arc<Session>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, Failure>> + Send,
    {
        let cluster = self.cluster.clone();
        let task = self.runtime.spawn(async move { cluster.call(limit, work).await });
        let outcome = task.await.map_err(|e| Error::bug(format!("a call to Kafka ended: {e}")))?;
        outcome.map_err(|failure| {
            tracing::warn!(call = name, %failure, "Kafka");
            Error::unavailable("the event log")
        })
    }
}

#[async_trait]
impl Probe for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    /// Sales go on without it; the outbox keeps the events.
    fn required(&self) -> bool {
        false
    }

    /// Asks for what the service needs, the leader of its own topic: a broker alone is not enough.
    async fn check(&self) -> Result<()> {
        let name = self.full_name(PAYMENT_TOPIC);
        let work = async move |session: Arc<Session>| {
            session.topic(&name).await?.end(0).await?;
            Ok(())
        };
        self.call("check", CHECK, work).await
    }
}
