//! What the clients want, and what they got.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::strategy::{Attempt, Outcome, SeatContention};

/// Clients and the seats they want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub title: &'static str,
    pub clients: i64,
    pub seats: i64,
    /// Attempts of each client, one after the other.
    pub attempts: i64,
    pub demand: Demand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Every client wants seats of their own.
    Apart,
    /// Half of all demand is for a fifth of the seats.
    Skewed,
}

/// The work of the table; `quick` has less of it.
pub(super) fn all(quick: bool) -> Vec<Work> {
    let hot =
        |title, clients| Work { title, clients, seats: 1, attempts: 1, demand: Demand::Apart };
    if quick {
        return vec![
            hot("one seat, 20 clients", 20),
            Work {
                title: "ten seats, skewed",
                clients: 10,
                seats: 10,
                attempts: 3,
                demand: Demand::Skewed,
            },
        ];
    }
    vec![
        hot("one seat, 50 clients", 50),
        hot("one seat, 200 clients", 200),
        hot("one seat, 1,000 clients", 1_000),
        Work {
            title: "100 seats, skewed, 200 clients",
            clients: 200,
            seats: 100,
            attempts: 5,
            demand: Demand::Skewed,
        },
        Work {
            title: "no contention, 100 clients",
            clients: 100,
            seats: 1_000,
            attempts: 10,
            demand: Demand::Apart,
        },
    ]
}

impl Work {
    /// The seat of a client's attempt, counted from 0.
    pub(super) fn seat(self, client: i64, attempt: i64) -> i64 {
        let number = client * self.attempts + attempt;
        match self.demand {
            Demand::Apart => number % self.seats,
            Demand::Skewed => {
                // The same crowd in every round and for every strategy.
                let share = (scrambled(number as u64) >> 11) as f64 / (1u64 << 53) as f64;
                ((share * share.sqrt() * share.sqrt() * share.sqrt()) * self.seats as f64) as i64
            }
        }
    }
}

/// A number that looks random (the end of SplitMix64).
fn scrambled(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What came of one round.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub won: Vec<Duration>,
    pub lost: Vec<Duration>,
    pub failed: usize,
    pub took: Duration,
}

impl Round {
    pub(super) fn attempts(&self) -> usize {
        self.won.len() + self.lost.len() + self.failed
    }
}

/// Lets all clients go at once; seats count from `first_seat`, users from `first_user`.
pub(super) async fn play(
    work: Work,
    strategy: Arc<dyn SeatContention>,
    first_seat: i64,
    first_user: i64,
) -> Result<Round> {
    let start = Arc::new(Barrier::new(work.clients as usize + 1));
    let mut running = JoinSet::new();
    for client in 0..work.clients {
        let (strategy, start) = (strategy.clone(), start.clone());
        running.spawn(async move {
            start.wait().await;
            let mut all = Vec::new();
            for attempt in 0..work.attempts {
                let asked = Instant::now();
                let attempt = Attempt {
                    seat: first_seat + work.seat(client, attempt),
                    user: first_user + client * work.attempts + attempt,
                    instance: client as usize,
                    stop: None,
                };
                // A server that refuses is a failure of the strategy, not of the benchmark.
                let outcome = strategy.attempt(attempt).await.unwrap_or(Outcome::Failed);
                all.push((outcome, asked.elapsed()));
            }
            all
        });
    }
    start.wait().await;
    let began = Instant::now();
    let mut round = Round::default();
    while let Some(done) = running.join_next().await {
        for (outcome, took) in done.context("a client panicked")? {
            match outcome {
                Outcome::Won => round.won.push(took),
                Outcome::Lost => round.lost.push(took),
                Outcome::Failed | Outcome::Died => round.failed += 1,
            }
        }
    }
    round.took = began.elapsed();
    Ok(round)
}

/// The time within which this share of the calls ended, in milliseconds; 0 if there is none.
pub(super) fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    let at = (times.len() as f64 * share).ceil() as usize;
    let time = times.get(at.saturating_sub(1)).copied().unwrap_or_default();
    time.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    #[test]
    fn demand_stays_within_its_seats_and_is_skewed() {
        for work in all(false) {
            let mut wanted = vec![0; work.seats as usize];
            for client in 0..work.clients {
                for attempt in 0..work.attempts {
                    wanted[work.seat(client, attempt) as usize] += 1;
                }
            }
            let total = work.clients * work.attempts;
            match work.demand {
                Demand::Apart => assert!(wanted.iter().all(|n| *n == total / work.seats)),
                Demand::Skewed => {
                    let fifth: i64 = wanted[..wanted.len() / 5].iter().sum();
                    assert!(fifth * 5 > total * 2, "{fifth} of {total}");
                }
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_times() {
        let mut times: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!((quantile(&mut times, 0.5), quantile(&mut times, 0.99)), (50.0, 99.0));
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }

    struct FirstWins(std::sync::atomic::AtomicBool);

    #[async_trait]
    impl SeatContention for FirstWins {
        async fn attempt(&self, _: Attempt) -> Result<Outcome> {
            let taken = self.0.swap(true, std::sync::atomic::Ordering::SeqCst);
            Ok(if taken { Outcome::Lost } else { Outcome::Won })
        }
    }

    #[tokio::test]
    async fn every_attempt_is_counted_once() {
        let round = play(all(false)[0], Arc::new(FirstWins(false.into())), 1, 1).await.unwrap();
        assert_eq!((round.won.len(), round.lost.len(), round.failed), (1, 49, 0));
        assert_eq!(round.attempts(), 50);
    }
}
