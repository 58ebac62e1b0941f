use std::borrow::Cow;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::Sample;

/// How many rounds a figure that is to be trusted needs.
pub const ENOUGH: usize = 5;

/// How often everything is measured.
#[derive(Debug, Clone, Copy)]
pub struct Rounds(pub usize);

impl Rounds {
    /// Measures so often and answers the middle of it; what `round` answers is in this unit.
    pub async fn sample(
        self,
        unit: &str,
        mut round: impl AsyncFnMut() -> Result<f64>,
    ) -> Result<Sample> {
        let mut values = Vec::with_capacity(self.0);
        for _ in 0..self.0 {
            values.push(round().await?);
        }
        Ok(Sample::of(&values, unit))
    }
}

/// A bar on the standard error stream, which shows nothing if nobody looks at it.
pub fn progress(what: impl Into<Cow<'static, str>>, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>24} {bar:30} {pos}/{len} {elapsed} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style).with_message(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_round_counts() {
        let mut turn = 0.0;
        let sample = Rounds(3).sample("ms", async || {
            turn += 1.0;
            Ok(turn)
        });
        assert_eq!(sample.await.unwrap(), Sample::of(&[1.0, 2.0, 3.0], "ms"));
    }
}
