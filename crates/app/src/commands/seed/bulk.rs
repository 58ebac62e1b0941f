//! Loads a plan: parts side by side, each once, whatever a run before this one came to.

use std::collections::HashSet;

use anyhow::Result;
use concert_domain::queue::Rules;
use concert_domain::seed::Part;
use concert_domain::{ConcertId, Ports, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plan::{CATALOGUE, Hall, Plan, Size};

/// Parts that are under way at a time.
const SIDE_BY_SIDE: usize = 4;
/// Users who are put into a queue in one call.
const USERS: usize = 5_000;

/// What there is now.
#[derive(Debug)]
pub(in super::super) struct Loaded {
    pub concerts: Vec<ConcertId>,
    pub halls: Vec<Hall>,
    /// Whether it was all there before.
    pub already: bool,
}

/// Brings about all that the size says; what is there already stays.
pub(in super::super) async fn load(ports: &Ports, size: Size, rules: &Rules) -> Result<Loaded> {
    let plan = Plan::of(ports, size).await?;
    let run = size.run();
    let there: HashSet<_> = ports.seeds.loaded_parts(run.clone()).await?.into_iter().collect();
    let bars = MultiProgress::new();
    let seats = bars.add(progress("seats", size.seats));
    let catalogue = Part { run: run.clone(), number: CATALOGUE };
    let new = ports.seeds.load_part(catalogue, plan.catalogue()?).await?;
    let waiting = bars.add(progress("waiting users", size.tokens));
    let (parts, users) = futures::try_join!(
        load_parts(ports, &plan, &there, &seats),
        fill_queues(ports, &plan, rules, &waiting),
    )?;
    Ok(Loaded {
        concerts: plan.concerts()?,
        halls: plan.halls()?,
        already: !new && parts + users == 0,
    })
}

/// Answers how many parts were not there before.
async fn load_parts(
    ports: &Ports,
    plan: &Plan,
    there: &HashSet<u32>,
    bar: &ProgressBar,
) -> Result<usize> {
    let mut loaded = 0;
    stream::iter(plan.pieces())
        .map(|piece| async move {
            let part = Part { run: plan.size.run(), number: piece.number };
            let is_new = !there.contains(&piece.number)
                && ports.seeds.load_part(part, plan.rows(piece)?).await?;
            anyhow::Ok((piece.seats, is_new))
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .try_for_each(|(seats, is_new)| {
            bar.inc(seats.into());
            loaded += usize::from(is_new);
            std::future::ready(Ok(()))
        })
        .await?;
    bar.finish();
    Ok(loaded)
}

/// Queues are not noted anywhere: they may be lost, and are then filled again. Answers into how
/// many of them users were put.
async fn fill_queues(
    ports: &Ports,
    plan: &Plan,
    rules: &Rules,
    bar: &ProgressBar,
) -> Result<usize> {
    let mut filled = 0;
    for (concert, users) in plan.queues()? {
        let counts = ports.queue.counts(concert).await?;
        if counts.waiting + counts.active < users.len() as u64 {
            fill_queue(ports, concert, &users, rules, bar).await?;
            filled += 1;
        } else {
            bar.inc(users.len() as u64);
        }
    }
    bar.finish();
    Ok(filled)
}

async fn fill_queue(
    ports: &Ports,
    concert: ConcertId,
    users: &[UserId],
    rules: &Rules,
    bar: &ProgressBar,
) -> Result<()> {
    for users in users.chunks(USERS) {
        let waiting = users.iter().map(|user| (*user, ports.tokens.fresh())).collect();
        ports.queue_seeds.fill_queue(concert, waiting, rules).await?;
        bar.inc(users.len() as u64);
    }
    Ok(())
}

fn progress(what: &'static str, count: u32) -> ProgressBar {
    if count == 0 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:>13} {bar:40} {pos}/{len} {per_sec} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count.into()).with_style(style).with_message(what)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use concert_domain::seed::{Dataset, SeedStore};
    use concert_domain::{Error, Timestamp};

    use super::*;
    use crate::composition;
    use crate::config::{Config, Engines};

    const SIZE: Size = Size {
        seed: 7,
        seats: 12_345,
        tokens: 678,
        reservations: 4_321,
        hold_for: Duration::from_secs(3_600),
    };

    struct Place {
        _folder: tempfile::TempDir,
        ports: Ports,
        rules: Rules,
    }

    async fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let engines = Engines::embedded(&folder.path().join("bulk.db"));
        let config = Config { engines, ..Config::default() };
        let ports = composition::engine(&config).await.unwrap();
        Place { _folder: folder, ports, rules: config.settings().queue }
    }

    /// Lets so many parts pass, and refuses the others.
    struct Breaks(Arc<dyn SeedStore>, AtomicUsize);

    #[async_trait]
    impl SeedStore for Breaks {
        async fn now(&self) -> concert_domain::Result<Timestamp> {
            self.0.now().await
        }

        async fn load_if_empty(&self, data: Dataset) -> concert_domain::Result<bool> {
            self.0.load_if_empty(data).await
        }

        async fn load(&self, data: Dataset) -> concert_domain::Result<()> {
            self.0.load(data).await
        }

        async fn keep_plan(&self, run: String, plan: String) -> concert_domain::Result<String> {
            self.0.keep_plan(run, plan).await
        }

        async fn load_part(&self, part: Part, data: Dataset) -> concert_domain::Result<bool> {
            let left = |left: usize| left.checked_sub(1);
            match self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left) {
                Ok(_) => self.0.load_part(part, data).await,
                Err(_) => Err(Error::unavailable("a store that breaks")),
            }
        }

        async fn loaded_parts(&self, run: String) -> concert_domain::Result<Vec<u32>> {
            self.0.loaded_parts(run).await
        }
    }

    /// Everything that a reader can see of the concerts, in words.
    async fn seen(ports: &Ports, concerts: &[ConcertId]) -> String {
        let mut seen = String::new();
        for concert in concerts {
            for hall in ports.concerts.schedules(*concert).await.unwrap().value {
                let map = ports.concerts.seats(hall.schedule.id).await.unwrap().unwrap().value;
                seen += &format!("{:?} {:?}\n", hall.available_seats, map);
            }
            let waiting = ports.queue.counts(*concert).await.unwrap().waiting;
            seen += &format!("{waiting} waiting\n");
        }
        seen
    }

    #[tokio::test]
    async fn a_run_that_broke_anywhere_ends_as_if_it_had_not() {
        let whole = place().await;
        let loaded = load(&whole.ports, SIZE, &whole.rules).await.unwrap();
        let expected = seen(&whole.ports, &loaded.concerts).await;
        assert!(!loaded.already);
        let parts = whole.ports.seeds.loaded_parts(SIZE.run()).await.unwrap().len();
        assert!(parts > 10, "{parts}");
        for breaks_after in [0, 1, 2, parts / 2, parts - 1] {
            let place = place().await;
            let mut broken = place.ports.clone();
            let seeds = Breaks(place.ports.seeds.clone(), AtomicUsize::new(breaks_after));
            broken.seeds = Arc::new(seeds);
            load(&broken, SIZE, &place.rules).await.unwrap_err();
            let loaded = load(&place.ports, SIZE, &place.rules).await.unwrap();
            assert!(seen(&place.ports, &loaded.concerts).await == expected, "{breaks_after}");
        }
    }

    #[tokio::test]
    async fn a_run_that_is_there_is_left_alone_and_another_seed_is_another_run() {
        let Place { _folder, ports, rules } = place().await;
        let size = Size { seats: 100, tokens: 20, reservations: 50, ..SIZE };
        let first = load(&ports, size, &rules).await.unwrap();
        let again = load(&ports, size, &rules).await.unwrap();
        assert!(!first.already && again.already && first.concerts == again.concerts);
        let other = load(&ports, Size { seed: 8, ..size }, &rules).await.unwrap();
        assert!(!other.already && other.concerts != first.concerts);
    }

    #[tokio::test]
    async fn a_queue_that_was_lost_is_filled_again() {
        let (kept, lost) = (place().await, place().await);
        let size = Size { seats: 0, reservations: 0, ..SIZE };
        load(&kept.ports, size, &kept.rules).await.unwrap();
        let mut ports = kept.ports.clone();
        (ports.queue, ports.queue_seeds) = (lost.ports.queue, lost.ports.queue_seeds);
        let loaded = load(&ports, size, &kept.rules).await.unwrap();
        let counts = ports.queue.counts(loaded.concerts[0]).await.unwrap();
        assert_eq!((loaded.already, counts.waiting), (false, u64::from(size.tokens)));
    }
}
