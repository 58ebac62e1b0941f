use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use concert_domain::event::{EventLog, Outbox, PAYMENT_TOPIC, PartitionLease};
use concert_domain::queue::{Counts, QueueStore};
use concert_domain::{ConcertId, Ports, Result};

use super::Worker;

/// Concerts with a series of their own at a time: the busiest.
const OWN_SERIES: usize = 20;
/// Concerts that ever got one in the life of a process; more are in the rest.
const MOST_SERIES: usize = 200;
/// Queues that one sample looks at.
const MOST_QUEUES: usize = 500;

/// Samples what all instances share. One look for all that scrape, however many they are.
pub(super) struct Sampler {
    queue: Arc<dyn QueueStore>,
    outbox: Arc<dyn Outbox>,
    log: Arc<dyn EventLog>,
    places: Places,
    shown: Mutex<BTreeSet<ConcertId>>,
}

/// Where this instance's consumer is in the partitions that it has.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<u32, Option<i64>>>>);

impl Places {
    /// The partitions that the consumer has now; of the others it knows nothing any more.
    pub(super) fn note(&self, leases: &[PartitionLease]) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.values_mut().for_each(|place| *place = None);
        places.extend(leases.iter().map(|lease| (lease.partition, Some(lease.next_offset))));
    }

    fn all(&self) -> Vec<(u32, Option<i64>)> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().map(|(partition, place)| (*partition, *place)).collect()
    }
}

impl Sampler {
    pub(super) fn new(ports: &Ports, places: Places) -> Self {
        Self {
            queue: ports.queue.clone(),
            outbox: ports.outbox.clone(),
            log: ports.log.clone(),
            places,
            shown: Mutex::default(),
        }
    }

    async fn outbox(&self) -> Result<()> {
        let backlog = self.outbox.backlog().await?;
        let age = backlog.oldest.map_or(0.0, |oldest| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let then = Duration::from_millis(u64::try_from(oldest.as_millis()).unwrap_or(0));
            now.saturating_sub(then).as_secs_f64()
        });
        metrics::gauge!("concert_outbox_pending").set(backlog.pending as f64);
        metrics::gauge!("concert_outbox_oldest_seconds").set(age);
        Ok(())
    }

    /// A partition that this instance has no more is at zero here; its new owner says how it is.
    async fn lag(&self) -> Result<()> {
        for (partition, place) in self.places.all() {
            let lag = match place {
                Some(place) => (self.log.end(PAYMENT_TOPIC, partition).await? - place).max(0),
                None => 0,
            };
            let label = partition.to_string();
            metrics::gauge!("concert_consumer_lag", "partition" => label).set(lag as f64);
        }
        Ok(())
    }

    async fn queues(&self) -> Result<()> {
        let mut queues = Vec::new();
        for concert in self.queue.live_concerts().await?.into_iter().take(MOST_QUEUES) {
            queues.push((concert, self.queue.counts(concert).await?));
        }
        queues.sort_unstable_by_key(|(_, seen)| std::cmp::Reverse(seen.waiting + seen.active));
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        show(&mut shown, &queues);
        Ok(())
    }
}

/// The busiest under their own names, the others together as `other`; who was shown before and is
/// not any more stands at zero.
fn show(shown: &mut BTreeSet<ConcertId>, queues: &[(ConcertId, Counts)]) {
    let mut gone = shown.clone();
    let (mut waiting, mut active) = (0, 0);
    for (at, (concert, seen)) in queues.iter().enumerate() {
        let has_room = shown.len() < MOST_SERIES || shown.contains(concert);
        if at < OWN_SERIES && has_room {
            shown.insert(*concert);
            gone.remove(concert);
            set(&concert.to_string(), seen.waiting, seen.active);
            metrics::gauge!("concert_queue_admitted", "concert" => concert.to_string())
                .set(seen.admitted as f64);
        } else {
            waiting += seen.waiting;
            active += seen.active;
        }
    }
    gone.iter().for_each(|concert| set(&concert.to_string(), 0, 0));
    set("other", waiting, active);
}

fn set(concert: &str, waiting: u64, active: u64) {
    let label = concert.to_owned();
    metrics::gauge!("concert_queue_waiting", "concert" => label.clone()).set(waiting as f64);
    metrics::gauge!("concert_queue_active", "concert" => label).set(active as f64);
}

#[async_trait]
impl Worker for Sampler {
    fn name(&self) -> &'static str {
        "sampler"
    }

    /// Each part is sampled whatever becomes of the others: while one server is down the figures of
    /// the others matter most.
    async fn step(&self) -> Result<bool> {
        let parts = [self.outbox().await, self.queues().await, self.lag().await];
        parts.into_iter().collect::<Result<Vec<()>>>().map(|_| false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_concerts_there_are_the_series_are_bounded() {
        let mut shown = BTreeSet::new();
        for round in 0..100 {
            let queues: Vec<_> = (1..=30)
                .map(|n| {
                    let concert = ConcertId::try_from(round * 30 + n).unwrap();
                    (concert, Counts { waiting: 1, active: 1, admitted: 1 })
                })
                .collect();
            show(&mut shown, &queues);
        }
        assert_eq!(shown.len(), MOST_SERIES);
    }

    #[test]
    fn a_partition_that_was_given_back_is_nobodys_here() {
        let places = Places::default();
        let lease = |partition| PartitionLease { partition, epoch: 1, next_offset: 7 };
        places.note(&[lease(0), lease(1)]);
        places.note(&[lease(1)]);
        let mut all = places.all();
        all.sort_unstable();
        assert_eq!(all, [(0, None), (1, Some(7))]);
    }
}
