//! Lists that buyers will ask for first are read before they do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use concert_domain::concert::{ConcertReader, ConcertService};
use concert_domain::{ConcertId, Limit, PageRequest, Result, Timestamp};

use crate::routes::concert::written::{ALL_SEATS, SCHEDULES};

/// Shows that start within so long are near.
const NEAR: Duration = Duration::from_secs(7 * 24 * 3_600);
/// So many concerts are looked through, and so many seat lists are read, at the most.
const MOST_CONCERTS: usize = 1_000;
const MOST_LISTS: usize = 200;

/// Reads the lists of the shows of the next seven days into the cache, one after the other, so
/// that buyers are not in its way. Nothing waits for it, and what fails is left to the buyers.
pub async fn warm(store: &dyn ConcertReader, concerts: &ConcertService) {
    match read_near(store, concerts).await {
        Ok(lists) => tracing::info!(lists, "seat lists of the next seven days are warm"),
        Err(error) => tracing::warn!(%error, "not all lists could be read ahead"),
    }
}

async fn read_near(store: &dyn ConcertReader, concerts: &ConcertService) -> Result<usize> {
    let (mut page, mut seen, mut lists) = (PageRequest::default(), 0, 0);
    page.limit = Limit::new(Limit::MAX).unwrap_or_default();
    loop {
        let found = store.concerts(page).await?;
        for concert in &found.items {
            lists += read_concert(store, concerts, concert.id, MOST_LISTS - lists).await?;
        }
        seen += found.items.len();
        page.after = found.next;
        if page.after.is_none() || seen >= MOST_CONCERTS || lists >= MOST_LISTS {
            return Ok(lists);
        }
    }
}

/// Answers how many seat lists were read. Which shows are near is a guess by this machine's clock.
/// The store is asked for them: of most concerts nothing is to be kept.
async fn read_concert(
    store: &dyn ConcertReader,
    concerts: &ConcertService,
    id: ConcertId,
    most: usize,
) -> Result<usize> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
    let near = now..now.plus(NEAR);
    let all = store.schedules(id).await?.value;
    let soon = all.iter().map(|listing| &listing.schedule);
    let soon: Vec<_> = soon.filter(|show| near.contains(&show.starts_at)).take(most).collect();
    if !soon.is_empty() {
        concerts.schedules_as(id, id, &SCHEDULES).await?;
    }
    for schedule in &soon {
        concerts.seats_as(id, schedule.id, &ALL_SEATS).await?;
    }
    Ok(soon.len())
}
