use std::sync::Arc;
use std::time::Duration;

use super::{EventLog, Outbox, OutboxEntry, Record};
use crate::Result;

/// How many rows one pass claims.
pub const BATCH: u32 = 500;
/// How long a claim lasts if its relay dies: longer than an append may take.
const LEASE: Duration = Duration::from_secs(30);

/// Takes recorded events to the log: claim, append, and only then mark.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    log: Arc<dyn EventLog>,
    owner: String,
}

impl Relay {
    /// A relay under a name that no other running relay has.
    pub fn new(outbox: Arc<dyn Outbox>, log: Arc<dyn EventLog>, owner: String) -> Self {
        Self { outbox, log, owner }
    }

    /// Publishes one batch; answers how many events were taken to the log. On a failure the
    /// claimed rows are given back, and some of them may be published a second time.
    pub async fn step(&self) -> Result<u32> {
        let entries = self.outbox.claim(&self.owner, BATCH, LEASE).await?;
        if entries.is_empty() {
            return Ok(0);
        }
        let published = self.publish(entries).await;
        if published.is_err() {
            self.outbox.release(&self.owner).await.ok();
        }
        published
    }

    /// Gives claimed rows back, so that another relay can go on at once.
    pub async fn stop(&self) -> Result<()> {
        self.outbox.release(&self.owner).await
    }

    async fn publish(&self, entries: Vec<OutboxEntry>) -> Result<u32> {
        let sequences: Vec<i64> = entries.iter().map(|entry| entry.sequence).collect();
        for (topic, records) in by_topic(entries) {
            self.log.append(&topic, &records).await?;
        }
        self.outbox.published(&self.owner, &sequences).await
    }
}

/// Groups the rows by topic; within a topic they keep their order.
fn by_topic(entries: Vec<OutboxEntry>) -> Vec<(String, Vec<Record>)> {
    let mut topics: Vec<(String, Vec<Record>)> = Vec::new();
    for entry in entries {
        match topics.iter_mut().find(|(topic, _)| *topic == entry.topic) {
            Some((_, records)) => records.push(entry.record),
            None => topics.push((entry.topic, vec![entry.record])),
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::super::{MockEventLog, MockOutbox};
    use super::*;
    use crate::Error;

    fn entry(sequence: i64) -> OutboxEntry {
        let record = Record::new("1", vec![]);
        OutboxEntry { sequence, topic: "t".to_owned(), record }
    }

    /// S8: a row was marked published before the broker's acknowledgement.
    #[test]
    fn s8_a_row_is_not_marked_when_the_log_did_not_acknowledge() {
        let mut outbox = MockOutbox::new();
        outbox.expect_claim().returning(|_, _, _| Ok(vec![entry(1), entry(2)]));
        outbox.expect_published().never();
        outbox.expect_release().times(1).returning(|_| Ok(()));
        let mut log = MockEventLog::new();
        log.expect_append().returning(|_, _| Err(Error::unavailable("log")));
        let relay = Relay::new(Arc::new(outbox), Arc::new(log), "me".to_owned());
        assert_eq!(block_on(relay.step()), Err(Error::unavailable("log")));
    }

    #[test]
    fn rows_are_marked_after_the_acknowledgement_in_one_go() {
        let mut sequence = mockall::Sequence::new();
        let mut log = MockEventLog::new();
        log.expect_append().times(1).in_sequence(&mut sequence).returning(|_, _| Ok(()));
        let mut outbox = MockOutbox::new();
        outbox.expect_claim().returning(|_, _, _| Ok(vec![entry(1), entry(2)]));
        outbox
            .expect_published()
            .withf(|_, rows| rows == [1, 2])
            .times(1)
            .in_sequence(&mut sequence)
            .returning(|_, _| Ok(2));
        let relay = Relay::new(Arc::new(outbox), Arc::new(log), "me".to_owned());
        assert_eq!(block_on(relay.step()), Ok(2));
    }
}
