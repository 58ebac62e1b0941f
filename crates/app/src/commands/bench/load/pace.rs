use std::time::Duration;

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in super::super) enum Pace {
    /// As soon as a client has its answer.
    Closed,
    /// So many in a second, evenly.
    Open(f64),
}

impl Pace {
    /// When the request with this number is due, from the start; `None` if that is behind the end.
    pub(super) fn due(self, number: u64, during: Duration) -> Option<Duration> {
        match self {
            Self::Closed => Some(Duration::ZERO),
            Self::Open(per_second) => {
                let due = Duration::from_secs_f64(number as f64 / per_second);
                (due < during).then_some(due)
            }
        }
    }

    /// How many requests are due until the end.
    pub(super) fn wanted(self, during: Duration) -> Option<u64> {
        match self {
            Self::Closed => None,
            Self::Open(per_second) => Some((per_second * during.as_secs_f64()).ceil() as u64),
        }
    }
}

/// In which order kinds of requests take turns: each as often as its weight says, spread evenly.
#[derive(Debug, Clone)]
pub(in super::super) struct Weights(Vec<usize>);

impl Weights {
    pub(in super::super) fn new(weights: &[u32]) -> Self {
        let total: i64 = weights.iter().copied().map(i64::from).sum();
        let mut standing = vec![0i64; weights.len()];
        let turns = (0..total).filter_map(|_| {
            standing.iter_mut().zip(weights).for_each(|(s, weight)| *s += i64::from(*weight));
            let (next, _) = standing.iter().enumerate().rev().max_by_key(|(_, s)| **s)?;
            standing[next] -= total;
            Some(next)
        });
        Self(turns.collect())
    }

    /// Whose turn the request with this number is.
    pub(super) fn turn(&self, number: u64) -> usize {
        match self.0.len() as u64 {
            0 => 0,
            turns => self.0[(number % turns) as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_is_due_evenly_and_ends() {
        let second = Duration::from_secs(1);
        let pace = Pace::Open(4.0);
        let due: Vec<_> = (0..6).map(|number| pace.due(number, second)).collect();
        let at = |millis| Some(Duration::from_millis(millis));
        assert_eq!(due, [at(0), at(250), at(500), at(750), None, None]);
        assert_eq!(pace.wanted(second), Some(4));
        assert_eq!(Pace::Closed.due(1_000_000, second), Some(Duration::ZERO));
    }

    #[test]
    fn kinds_take_turns_by_their_weights() {
        let weights = Weights::new(&[3, 1]);
        let turns: Vec<_> = (0..8).map(|number| weights.turn(number)).collect();
        assert_eq!(turns.iter().filter(|turn| **turn == 1).count(), 2);
        assert_eq!(turns[..4], turns[4..]);
        assert_eq!(Weights::new(&[1]).turn(7), 0);
    }
}
