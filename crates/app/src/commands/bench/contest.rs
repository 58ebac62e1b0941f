//! Paths and their limits, measured in rounds that take turns: what disturbs the machine for a
//! while disturbs all of them, and ratios within a run can be trusted more than figures.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::ProgressBar;

use super::limits::{Bare, Statement, redis_ranks};
use super::load::{self, Class, Load, Pace, Shots, Tally};
use super::meter::{Cost, Meter};
use super::report::median;
use crate::config::ServerUrl;

/// Requests for all rounds.
#[derive(Clone)]
pub(super) enum Supply {
    /// The same in every round.
    Again(Arc<Shots>),
    /// Others in each round, dealt out beforehand.
    Dealt(VecDeque<Arc<Shots>>),
}

impl Supply {
    pub(super) fn again(requests: Vec<Vec<u8>>) -> Self {
        Self::Again(Arc::new(Shots::again(requests)))
    }

    fn next(&mut self) -> Option<Arc<Shots>> {
        match self {
            Self::Again(shots) => Some(shots.clone()),
            Self::Dealt(rounds) => rounds.pop_front(),
        }
    }
}

/// Who is measured.
pub(super) enum Runner {
    /// A path of the service, or the bare handler, at these addresses.
    Http(Vec<SocketAddr>, Supply),
    /// The bare Redis.
    Redis(ServerUrl),
    /// The bare database, by one kind of statement over so many connections.
    Sql(Bare, usize, Statement),
}

/// One that takes part.
pub(super) struct Lane {
    name: String,
    runner: Runner,
    meter: Option<Arc<Meter>>,
}

/// What came of one round: how many in a second, and of requests the rest too.
type Round = (f64, Option<Tally>, Option<Cost>);

/// What came of it with so many clients, a figure for each round.
pub(super) struct Outcome {
    pub name: String,
    pub rates: Vec<f64>,
    pub tallies: Vec<Tally>,
    /// What a request took, of lanes with a meter.
    pub costs: Vec<Cost>,
}

impl Lane {
    pub(super) fn new(name: impl Into<String>, runner: Runner) -> Self {
        Self { name: name.into(), runner, meter: None }
    }

    /// The same, with a look at what its requests cost.
    pub(super) fn metered(self, meter: &Arc<Meter>) -> Self {
        Self { meter: Some(meter.clone()), ..self }
    }

    async fn round(&mut self, clients: usize, during: Duration) -> Result<Round> {
        let meter = self.meter.clone();
        let rate = match &mut self.runner {
            Runner::Http(addrs, supply) => {
                let shots = supply.next().context("requests for one more round")?;
                let before = match &meter {
                    Some(meter) => Some(meter.read().await?),
                    None => None,
                };
                let tally = closed(addrs.clone(), clients, during, shots).await?;
                let cost = match (&meter, before) {
                    (Some(meter), Some(before)) => {
                        Some(meter.read().await?.since(before, tally.sent()))
                    }
                    _ => None,
                };
                return Ok((tally.per_second(), Some(tally), cost));
            }
            Runner::Redis(url) => redis_ranks(url, clients, during).await?,
            Runner::Sql(bare, connections, statement) => {
                bare.rate(clients.min(*connections), during, *statement).await?
            }
        };
        Ok((rate, None, None))
    }
}

impl Outcome {
    /// The middle of the rounds' figures.
    pub(super) fn median(&self) -> f64 {
        median(&self.rates)
    }

    /// All rounds together.
    pub(super) fn whole(&self) -> Result<Tally> {
        let mut whole = Tally::new()?;
        self.tallies.iter().try_for_each(|tally| whole.add(tally))?;
        Ok(whole)
    }
}

/// One kind of request by so many clients that each wait for their answer.
pub(super) async fn closed(
    addrs: Vec<SocketAddr>,
    clients: usize,
    during: Duration,
    shots: Arc<Shots>,
) -> Result<Tally> {
    let load = Load { addrs, clients, pace: Pace::Closed, during };
    let mut tallies = load::run(load, vec![Class { shots, weight: 1 }]).await?;
    tallies.pop().context("a tally")
}

/// Lets all take turns.
pub(super) async fn play(
    lanes: &mut [Lane],
    clients: usize,
    rounds: u32,
    during: Duration,
    bar: &ProgressBar,
) -> Result<Vec<Outcome>> {
    let fresh = |lane: &Lane| Outcome {
        name: lane.name.clone(),
        rates: Vec::new(),
        tallies: Vec::new(),
        costs: Vec::new(),
    };
    let mut outcomes: Vec<_> = lanes.iter().map(fresh).collect();
    for _ in 0..rounds {
        for (lane, outcome) in lanes.iter_mut().zip(&mut outcomes) {
            let what = format!("{}, {clients} clients", lane.name);
            bar.set_message(what.clone());
            let (rate, tally, cost) = lane.round(clients, during).await.context(what)?;
            outcome.rates.push(rate);
            outcome.tallies.extend(tally);
            outcome.costs.extend(cost);
            bar.inc(1);
        }
    }
    Ok(outcomes)
}

/// One figure by another, 0 if there is nothing to compare with.
pub(super) fn ratio(figure: f64, to: f64) -> f64 {
    if to > 0.0 { figure / to } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!((ratio(1.0, 2.0), ratio(1.0, 0.0)), (0.5, 0.0));
    }

    #[test]
    fn what_is_dealt_out_ends_and_the_rest_does_not() {
        let shots = || Arc::new(Shots::once(Vec::new()));
        let mut dealt = Supply::Dealt([shots(), shots()].into());
        assert!(dealt.next().is_some() && dealt.next().is_some() && dealt.next().is_none());
        let mut again = Supply::again(Vec::new());
        assert!((0..9).all(|_| again.next().is_some()));
    }
}
