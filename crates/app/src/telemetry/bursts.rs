//! Equal warnings and errors that come in bursts are cut short: a broken dependency makes every
//! request fail alike, and the log must not become the second thing that breaks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// So many lines of one kind are written in a window.
const LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Lets a bounded number of warnings and errors of each place in the program through. What is left
/// out is counted, and told of with the next line of its kind that is written.
#[derive(Default)]
pub(super) struct Bursts(Mutex<HashMap<Identifier, Burst>>);

struct Burst {
    since: Instant,
    seen: u32,
}

enum Verdict {
    Write,
    /// Write, and tell of so many that were left out before.
    Tell(u32),
    LeaveOut,
}

impl Bursts {
    fn judge(&self, place: Identifier, now: Instant) -> Verdict {
        let mut bursts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let burst = bursts.entry(place).or_insert(Burst { since: now, seen: 0 });
        if now.duration_since(burst.since) >= WINDOW {
            let left_out = burst.seen.saturating_sub(LINES);
            *burst = Burst { since: now, seen: 1 };
            return if left_out > 0 { Verdict::Tell(left_out) } else { Verdict::Write };
        }
        burst.seen = burst.seen.saturating_add(1);
        if burst.seen <= LINES { Verdict::Write } else { Verdict::LeaveOut }
    }
}

impl<S: Subscriber> Layer<S> for Bursts {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if *event.metadata().level() > Level::WARN {
            return true;
        }
        match self.judge(event.metadata().callsite(), Instant::now()) {
            Verdict::Write => true,
            Verdict::Tell(left_out) => {
                tracing::warn!(left_out, "lines like the next one were left out");
                true
            }
            Verdict::LeaveOut => {
                metrics::counter!("concert_log_lines_left_out_total").increment(1);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    struct Count(Arc<AtomicU32>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_burst_of_equal_errors_is_cut_short_and_others_are_not() {
        let written = Arc::new(AtomicU32::new(0));
        let lines = tracing_subscriber::registry()
            .with(Bursts::default())
            .with(Count(Arc::clone(&written)));
        tracing::subscriber::with_default(lines, || {
            for n in 0..100 {
                tracing::error!(n, "the same");
                tracing::info!(n, "no error");
            }
            tracing::error!("another");
        });
        assert_eq!(written.load(Ordering::Relaxed), LINES + 100 + 1);
    }

    #[test]
    fn what_was_left_out_is_told_in_the_next_window() {
        let (bursts, now) = (Bursts::default(), Instant::now());
        let place = tracing::callsite::Identifier(&PLACE);
        for _ in 0..LINES + 5 {
            bursts.judge(place.clone(), now);
        }
        assert!(matches!(bursts.judge(place.clone(), now), Verdict::LeaveOut));
        assert!(matches!(bursts.judge(place.clone(), now + WINDOW), Verdict::Tell(6)));
        assert!(matches!(bursts.judge(place, now + WINDOW * 2), Verdict::Write));
    }

    struct Place;
    static PLACE: Place = Place;

    impl tracing::callsite::Callsite for Place {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}
        fn metadata(&self) -> &tracing::Metadata<'_> {
            unreachable!("nobody asks")
        }
    }
}
