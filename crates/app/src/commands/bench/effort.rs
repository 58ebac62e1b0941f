use std::time::Duration;

use anyhow::Result;
use indicatif::ProgressBar;

use super::report::{Output, Section, progress};

/// How long a bench works, and what becomes of its figures.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Effort {
    /// One round of a fraction of a second, with tiny sizes: only to see that it works.
    #[arg(long, conflicts_with = "quick")]
    smoke: bool,
    /// Seconds for each round [default: 1].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    #[command(flatten)]
    output: Output,
}

impl Effort {
    pub(super) fn rounds(&self) -> u32 {
        let rounds = if self.smoke { 1 } else { self.output.rounds().0 };
        u32::try_from(rounds).unwrap_or(u32::MAX)
    }

    pub(super) fn during(&self) -> Duration {
        match (self.seconds, self.smoke) {
            (Some(seconds), _) => Duration::from_secs(seconds),
            (None, true) => Duration::from_millis(100),
            (None, false) => Duration::from_secs(1),
        }
    }

    pub(super) fn smoke(&self) -> bool {
        self.smoke
    }

    /// One of three sizes: as it is, to be quick, or only to see that it works.
    pub(super) fn size<T>(&self, full: T, quick: T, smoke: T) -> T {
        match (self.output.quick, self.smoke) {
            (_, true) => smoke,
            (true, _) => quick,
            _ => full,
        }
    }

    /// How much of something is needed that is used up at most so fast.
    pub(super) fn supply(&self, a_second: u32) -> u32 {
        let needed = f64::from(a_second) * self.during().as_secs_f64();
        (needed.ceil() as u32).clamp(1, 10_000_000)
    }

    pub(super) fn bar(&self, what: &'static str, steps: usize) -> ProgressBar {
        progress(what, steps as u64)
    }

    /// Says how it was measured, then writes, prints or shows the figures.
    pub(super) fn finish(&self, mut section: Section) -> Result<()> {
        if self.smoke {
            section
                .notes
                .push("A run that only shows that it works: no figure means anything.".into());
        }
        self.output.finish(section)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_goes_before_what_is_usual() {
        let mut quick = Effort::default();
        quick.output.quick = true;
        assert_eq!((quick.rounds(), quick.during()), (1, Duration::from_secs(1)));
        assert_eq!(quick.size(3, 2, 1), 2);
        let long = Effort { seconds: Some(4), ..Effort::default() };
        assert_eq!((long.during(), long.supply(10)), (Duration::from_secs(4), 40));
        let smoke = Effort { smoke: true, ..Effort::default() };
        assert_eq!((smoke.rounds(), smoke.supply(1_000), smoke.size(3, 2, 1)), (1, 100, 1));
    }
}
