//! Waits in the queue as they were told and as they turned out, of a sample of users.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use concert_domain::queue::{Ticket, TicketStatus, TokenDigest};

/// So many users are watched at a time.
const MOST: usize = 4_096;
/// Who has not come back after so long is forgotten.
const LONGEST: Duration = Duration::from_secs(6 * 3_600);
/// How often those are looked for: while the sample is full, every join would have to look.
const SWEEP: Duration = Duration::from_secs(60);

/// Remembers what some users were told at their join, and compares it when they are admitted.
///
/// The admission's time is the store's, so it does not matter how late the user asks, or whom.
#[derive(Default)]
pub struct Waits {
    active_ttl: Duration,
    sample: Mutex<Sample>,
}

#[derive(Default)]
struct Sample {
    watched: HashMap<TokenDigest, Watched>,
    swept: Duration,
}

struct Watched {
    joined: Duration,
    predicted: Duration,
}

impl Waits {
    /// For a queue whose users may stay so long from their admission.
    pub fn new(active_ttl: Duration) -> Self {
        Self { active_ttl, sample: Mutex::default() }
    }

    /// A user has taken a new place.
    pub fn joined(&self, ticket: &Ticket) {
        metrics::counter!("concert_queue_joins_total").increment(1);
        if ticket.status == TicketStatus::Active {
            return record(Duration::ZERO, Duration::ZERO);
        }
        self.sample().add(since_epoch(), ticket);
    }

    /// A user has asked. Those who wait are most of all requests, and cost nothing here.
    pub fn asked(&self, ticket: &Ticket) {
        if ticket.status == TicketStatus::Waiting {
            return;
        }
        let digest = ticket.place.digest();
        let watched = self.sample().watched.remove(&digest);
        let (Some(user), Some(ends)) = (watched, ticket.expires_at) else { return };
        let ends = Duration::from_millis(u64::try_from(ends.as_millis()).unwrap_or(0));
        let admitted = ends.saturating_sub(self.active_ttl);
        record(user.predicted, admitted.saturating_sub(user.joined));
    }

    fn sample(&self) -> MutexGuard<'_, Sample> {
        self.sample.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sample {
    fn add(&mut self, now: Duration, ticket: &Ticket) {
        if self.watched.len() >= MOST && now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.watched.retain(|_, user| now.saturating_sub(user.joined) < LONGEST);
        }
        if self.watched.len() < MOST {
            let watched = Watched { joined: now, predicted: ticket.estimated_wait };
            self.watched.insert(ticket.place.digest(), watched);
        }
    }
}

fn record(predicted: Duration, observed: Duration) {
    metrics::histogram!("concert_queue_wait_predicted_seconds").record(predicted);
    metrics::histogram!("concert_queue_wait_observed_seconds").record(observed);
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use concert_domain::Timestamp;
    use concert_domain::queue::{QueueToken, Seal, SealKey};

    use super::*;

    fn ticket(user: u8, status: TicketStatus, expires_at: Option<Timestamp>) -> Ticket {
        let place = QueueToken::from_bytes([user; 16]);
        let token = Seal::new(&SealKey::from_bytes([1; 16])).seal(&place);
        let (wait, poll) = (Duration::from_secs(9), Duration::from_secs(1));
        Ticket { token, place, status, rank: 1, estimated_wait: wait, poll_after: poll, expires_at }
    }

    #[test]
    fn who_is_admitted_or_gone_is_watched_no_more() {
        let waits = Waits::new(Duration::from_secs(60));
        let watched = || waits.sample().watched.len();
        for user in 1..=3 {
            waits.joined(&ticket(user, TicketStatus::Waiting, None));
        }
        waits.asked(&ticket(1, TicketStatus::Waiting, None));
        assert_eq!(watched(), 3);
        waits.asked(&ticket(1, TicketStatus::Active, Some(Timestamp::MAX)));
        waits.asked(&ticket(2, TicketStatus::Expired, None));
        assert_eq!(watched(), 1);
    }

    #[test]
    fn the_sample_is_bounded() {
        let mut sample = Sample::default();
        let fill = |sample: &mut Sample, now, first: usize| {
            for n in first..first + 2 * MOST {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&n.to_be_bytes());
                let place = QueueToken::from_bytes(bytes);
                sample.add(now, &Ticket { place, ..ticket(0, TicketStatus::Waiting, None) });
            }
        };
        fill(&mut sample, SWEEP, 0);
        assert_eq!(sample.watched.len(), MOST);
        // Who never came back makes room for others.
        fill(&mut sample, SWEEP + LONGEST, 10 * MOST);
        assert_eq!(sample.watched.len(), MOST);
        assert!(sample.watched.values().all(|user| user.joined == SWEEP + LONGEST));
    }
}
