//! Many buyers at once: as many as there are connections, or as many as come.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::super::load::on_own_thread;
use super::buyer::{End, Pool, Wish, buy};

/// More reasons than this are counted as one.
const REASONS: usize = 20;

/// What came of all of them.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub came: u64,
    pub paid: u64,
    pub waiting: u64,
    pub sold_out: u64,
    /// Who were refused, by reason. Whoever was admitted and is here did not finish.
    pub failed: BTreeMap<String, u64>,
    /// How often somebody was told to come back later.
    pub put_off: u64,
    pub requests: u64,
    /// From the first join to the last answer.
    pub took: Duration,
    whole: Histogram<u64>,
    inside: Histogram<u64>,
}

impl Told {
    fn new() -> Result<Self> {
        let micros = Histogram::new_with_bounds(1, 3_600_000_000, 3)?;
        Ok(Self {
            came: 0,
            paid: 0,
            waiting: 0,
            sold_out: 0,
            failed: BTreeMap::new(),
            put_off: 0,
            requests: 0,
            took: Duration::ZERO,
            whole: micros.clone(),
            inside: micros,
        })
    }

    fn note(&mut self, end: Result<End>) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.came += 1;
        match end {
            Ok(End::Paid { whole, inside }) => {
                self.paid += 1;
                self.whole.saturating_record(micros(whole));
                self.inside.saturating_record(micros(inside));
            }
            Ok(End::Waiting) => self.waiting += 1,
            Ok(End::SoldOut) => self.sold_out += 1,
            Err(error) => {
                let reason = format!("{error:#}");
                let full = self.failed.len() >= REASONS && !self.failed.contains_key(&reason);
                let reason = if full { "others".to_owned() } else { reason };
                *self.failed.entry(reason).or_default() += 1;
            }
        }
    }

    pub(super) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// The time from the join to the payment below which this share of the buyers lies.
    pub(super) fn whole_millis(&self, quantile: f64) -> f64 {
        self.whole.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// The same from the admission.
    pub(super) fn inside_millis(&self, quantile: f64) -> f64 {
        self.inside.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// What all buyers share.
struct Crowd {
    pool: Pool,
    told: RefCell<Told>,
    begun: Cell<Instant>,
}

impl Crowd {
    async fn gather(addr: SocketAddr, connections: usize) -> Result<Rc<Self>> {
        let pool = Pool::open(addr, connections).await?;
        let (told, begun) = (RefCell::new(Told::new()?), Cell::new(Instant::now()));
        Ok(Rc::new(Self { pool, told, begun }))
    }

    async fn buy(
        &self,
        user: i64,
        concert: i64,
        patience: Duration,
        wish: impl FnOnce() -> Option<Wish>,
    ) {
        let end = buy(&self.pool, user, concert, patience, wish).await;
        let mut told = self.told.borrow_mut();
        told.note(end);
        told.took = self.begun.get().elapsed();
    }

    async fn finish(self: Rc<Self>, mut running: JoinSet<()>) -> Result<Told> {
        while let Some(done) = running.join_next().await {
            done.context("a buyer panicked")?;
        }
        let crowd = Rc::into_inner(self).context("a buyer is still there")?;
        let mut told = crowd.told.into_inner();
        (told.put_off, told.requests) = (crowd.pool.put_off.get(), crowd.pool.requests.get());
        Ok(told)
    }
}

/// So many clients who each make one journey after the other, until the time is up or every wish
/// is fulfilled.
pub(super) async fn in_turn(
    addr: SocketAddr,
    clients: usize,
    during: Duration,
    first_user: i64,
    wishes: Vec<Wish>,
) -> Result<Told> {
    on_own_thread(async move || {
        let crowd = Crowd::gather(addr, clients).await?;
        let wishes: Rc<[Wish]> = wishes.into();
        let next = Rc::new(Cell::new(0));
        let mut running = JoinSet::new();
        crowd.begun.set(Instant::now());
        for _ in 0..clients {
            let (crowd, wishes, next) = (crowd.clone(), wishes.clone(), next.clone());
            running.spawn_local(async move {
                while crowd.begun.get().elapsed() < during {
                    let number = next.replace(next.get() + 1);
                    let Some(wish) = wishes.get(number) else { break };
                    let user = first_user + number as i64;
                    crowd.buy(user, wish.concert, Duration::MAX / 2, || Some(*wish)).await;
                }
            });
        }
        crowd.finish(running).await
    })
    .await
}

/// A storm: how it comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storm {
    pub arrivals_per_second: f64,
    pub during: Duration,
    /// How long after it began the last of those who wait give up.
    pub patience: Duration,
    pub connections: usize,
}

/// Buyers who come whether or not the earlier ones are done. Whoever is admitted takes the next
/// seat.
pub(super) async fn all_at_once(
    addr: SocketAddr,
    storm: Storm,
    concert: i64,
    first_user: i64,
    wishes: Vec<Wish>,
) -> Result<Told> {
    on_own_thread(async move || {
        let crowd = Crowd::gather(addr, storm.connections).await?;
        let wishes = Rc::new(RefCell::new(wishes.into_iter()));
        let mut running = JoinSet::new();
        let begun = Instant::now();
        crowd.begun.set(begun);
        let comers = (storm.arrivals_per_second * storm.during.as_secs_f64()) as i64;
        for number in 0..comers {
            let due = Duration::from_secs_f64(number as f64 / storm.arrivals_per_second);
            sleep_until((begun + due).into()).await;
            let (crowd, wishes) = (crowd.clone(), wishes.clone());
            running.spawn_local(async move {
                let patience = storm.patience.saturating_sub(due);
                let wish = || wishes.borrow_mut().next();
                crowd.buy(first_user + number, concert, patience, wish).await;
            });
        }
        crowd.finish(running).await
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buyer_is_counted_once() {
        let mut told = Told::new().unwrap();
        let paid = End::Paid { whole: Duration::from_millis(20), inside: Duration::from_millis(5) };
        for end in [Ok(paid), Ok(End::Waiting), Ok(End::SoldOut)] {
            told.note(end);
        }
        for reason in 0..100 {
            told.note(Err(anyhow::anyhow!("reason {reason}")));
        }
        assert_eq!((told.came, told.paid, told.waiting, told.sold_out), (103, 1, 1, 1));
        assert_eq!((told.failures(), told.failed.len()), (100, REASONS + 1));
        assert!((19.0..21.0).contains(&told.whole_millis(0.5)));
        assert!((4.0..6.0).contains(&told.inside_millis(0.99)));
    }
}
