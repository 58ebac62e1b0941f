use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rskafka::BackoffConfig;
use rskafka::client::error::{Error as ClientError, ProtocolError};
use rskafka::client::partition::{OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use tokio::sync::{Mutex, OnceCell};

use crate::failure::Failure;
use crate::settings::Settings;

/// How long the library goes on trying by itself; without it, for ever.
const RETRIES: Duration = Duration::from_secs(2);
/// How long the controller may take to make a topic.
const CREATION_MS: i32 = 2_000;
/// The broker's default, which operators set; rskafka can send no other setting of a topic.
const DEFAULT_REPLICATION: i16 = -1;
/// How often it is looked whether a topic that was made has become known to the broker.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One client and all connections made from it.
pub(crate) struct Session {
    settings: Arc<Settings>,
    client: Arc<Client>,
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    ended: AtomicBool,
}

impl Session {
    pub async fn open(settings: Arc<Settings>) -> Result<Self, Failure> {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_millis(500),
            base: 2.0,
            deadline: Some(RETRIES),
        };
        let builder = ClientBuilder::new(settings.brokers.clone()).client_id("concert");
        let client = Arc::new(builder.backoff_config(backoff).build().await?);
        Ok(Self { settings, client, topics: Mutex::default(), ended: AtomicBool::default() })
    }

    /// Says that no further call should use this session. Calls under way go on.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// A topic by its full name, made if it does not exist.
    pub async fn topic(&self, name: &str) -> Result<Arc<Topic>, Failure> {
        let mut topics = self.topics.lock().await;
        if let Some(topic) = topics.get(name) {
            return Ok(topic.clone());
        }
        if self.count_partitions(name).await?.is_none() {
            self.create(name).await?;
        }
        let found = loop {
            match self.count_partitions(name).await? {
                Some(found) => break found,
                None => tokio::time::sleep(LOOK_AGAIN).await,
            }
        };
        self.settings.check(name, found)?;
        let topic = Arc::new(Topic::new(self.client.clone(), name, found));
        topics.insert(name.to_owned(), topic.clone());
        Ok(topic)
    }

    async fn count_partitions(&self, name: &str) -> Result<Option<usize>, Failure> {
        let topics = self.client.list_topics().await?;
        Ok(topics.iter().find(|topic| topic.name == name).map(|topic| topic.partitions.len()))
    }

    async fn create(&self, name: &str) -> Result<(), Failure> {
        let partitions = partition_number(self.settings.partitions);
        let controller = self.client.controller_client()?;
        match controller.create_topic(name, partitions, DEFAULT_REPLICATION, CREATION_MS).await {
            Ok(()) => tracing::info!(topic = name, partitions, "Kafka topic made"),
            Err(error) if is(&error, ProtocolError::TopicAlreadyExists) => {
                tracing::info!(topic = name, "another instance made the Kafka topic first");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// A topic and the connections to its partitions.
pub(crate) struct Topic {
    client: Arc<Client>,
    pub name: String,
    lanes: Vec<Lane>,
}

/// A partition's connections. Kafka serves the requests of a connection one after another, so
/// writes have one that no read can hold up.
#[derive(Default)]
struct Lane {
    writer: OnceCell<PartitionClient>,
    reader: OnceCell<PartitionClient>,
}

impl Topic {
    fn new(client: Arc<Client>, name: &str, partitions: usize) -> Self {
        let lanes = (0..partitions).map(|_| Lane::default()).collect();
        Self { client, name: name.to_owned(), lanes }
    }

    pub async fn writer(&self, partition: u32) -> Result<&PartitionClient, Failure> {
        self.connected(partition, &self.lane(partition)?.writer).await
    }

    pub async fn reader(&self, partition: u32) -> Result<&PartitionClient, Failure> {
        self.connected(partition, &self.lane(partition)?.reader).await
    }

    /// The offset that the next record will get.
    pub async fn end(&self, partition: u32) -> Result<i64, Failure> {
        Ok(self.reader(partition).await?.get_offset(OffsetAt::Latest).await?)
    }

    fn lane(&self, partition: u32) -> Result<&Lane, Failure> {
        let lane = usize::try_from(partition).ok().and_then(|index| self.lanes.get(index));
        lane.ok_or_else(|| Failure::NoPartition { topic: self.name.clone(), partition })
    }

    async fn connected<'a>(
        &self,
        partition: u32,
        cell: &'a OnceCell<PartitionClient>,
    ) -> Result<&'a PartitionClient, Failure> {
        // Right after a topic was made, its leader may not have heard of it yet.
        let unknown = UnknownTopicHandling::Retry;
        let connect =
            || self.client.partition_client(&self.name, partition_number(partition), unknown);
        Ok(cell.get_or_try_init(connect).await?)
    }
}

/// Whether the broker answered with this refusal.
pub(crate) fn is(error: &ClientError, refusal: ProtocolError) -> bool {
    matches!(error, ClientError::ServerError { protocol_error, .. } if *protocol_error == refusal)
}

/// The number as Kafka writes it; partitions are few ([`Settings`] checks it).
fn partition_number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
