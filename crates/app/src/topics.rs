//! The configured first part of every topic's name.

use std::sync::Arc;

use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::event::{EventLog, LogEntry, Record};

/// An event log in which every topic's name begins with the prefix and a dot.
///
/// Everything above the log (the outbox, the places of consumers, dead letters) knows the bare
/// name, so the prefix is added here and nowhere else, and it is the same for every engine.
pub struct PrefixedLog {
    log: Arc<dyn EventLog>,
    prefix: String,
}

impl PrefixedLog {
    /// The log with the prefix in front of its topics.
    pub fn new(log: Arc<dyn EventLog>, prefix: &str) -> Self {
        Self { log, prefix: format!("{prefix}.") }
    }

    fn full(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }
}

#[async_trait]
impl EventLog for PrefixedLog {
    fn partitions(&self) -> u32 {
        self.log.partitions()
    }

    async fn append(&self, topic: &str, records: &[Record]) -> Result<()> {
        self.log.append(&self.full(topic), records).await
    }

    async fn read(
        &self,
        topic: &str,
        partition: u32,
        offset: i64,
        limit: u32,
    ) -> Result<Vec<LogEntry>> {
        self.log.read(&self.full(topic), partition, offset, limit).await
    }

    async fn end(&self, topic: &str, partition: u32) -> Result<i64> {
        self.log.end(&self.full(topic), partition).await
    }
}
