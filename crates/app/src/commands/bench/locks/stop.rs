//! A buyer who stops in the middle: gone for good, or only for longer than a lease lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use concert_adapter_mysql::lab::Session;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::super::report::{Cell, Column, Table, figure};
use super::strategy::{Attempt, Outcome, SeatContention, Stop, Strategy};

/// Who else wants the seat, and keeps trying.
const OTHERS: i64 = 5;
/// Users of one story.
pub(super) const USERS: i64 = 1_000_000;
const PAUSE: Duration = Duration::from_millis(10);

/// What became of the seats.
pub(super) struct Story {
    pub strategy: Strategy,
    /// For the one who died and for the one who came back.
    ends: [End; 2],
}

impl Story {
    pub(super) fn double_sales(&self) -> i64 {
        self.ends.iter().map(|end| end.double_sales).sum()
    }
}

struct End {
    /// From the stop until somebody had the seat; `None` if nobody got it.
    sold_after: Option<Duration>,
    double_sales: i64,
}

/// Both stories, on two seats from `seat` on.
pub(super) async fn tell(
    strategy: Strategy,
    port: &Arc<dyn SeatContention>,
    session: &mut Session,
    lease: Duration,
    seat: i64,
    user: i64,
) -> Result<Story> {
    let died = play(port, lease, None, seat, user).await?;
    let came_back = play(port, lease, Some(lease * 2), seat + 1, user + USERS / 2).await?;
    let mut double = async |seat: i64| {
        let double = session.number(strategy.double_sales(), &[seat, seat]).await?;
        double.context("the sales of a seat")
    };
    let ends = [
        End { sold_after: died, double_sales: double(seat).await? },
        End { sold_after: came_back, double_sales: double(seat + 1).await? },
    ];
    Ok(Story { strategy, ends })
}

/// Answers how long it took until somebody had the seat.
async fn play(
    port: &Arc<dyn SeatContention>,
    lease: Duration,
    pause: Option<Duration>,
    seat: i64,
    user: i64,
) -> Result<Option<Duration>> {
    let stop = Stop { reached: Arc::new(Notify::new()), pause };
    let first = Attempt { seat, user, instance: 0, stop: Some(stop.clone()) };
    let first = tokio::spawn({
        let port = port.clone();
        async move { port.attempt(first).await.unwrap_or(Outcome::Failed) }
    });
    stop.reached.notified().await;
    let begun = Instant::now();
    let sold = Arc::new(AtomicBool::new(false));
    let mut others = JoinSet::new();
    for other in 1..=OTHERS {
        let (port, sold) = (port.clone(), sold.clone());
        others.spawn(keep_trying(port, sold, begun + lease * 3, (seat, user + other * 10_000)));
    }
    let mut times = Vec::new();
    // In the order in which they end, which need not be that of the sales.
    let came_back = async {
        let outcome = first.await.unwrap_or(Outcome::Failed);
        (outcome == Outcome::Won).then(|| begun.elapsed())
    };
    let rest = async {
        let mut times = Vec::new();
        while let Some(time) = others.join_next().await {
            times.extend(time.ok().flatten());
        }
        times
    };
    let (own, of_others) = tokio::join!(came_back, rest);
    times.extend(own);
    times.extend(of_others.into_iter().map(|at: Instant| at.duration_since(begun)));
    Ok(times.into_iter().min())
}

/// Tries until it has the seat, somebody else has told so, or the time is over.
async fn keep_trying(
    port: Arc<dyn SeatContention>,
    sold: Arc<AtomicBool>,
    end: Instant,
    (seat, first_user): (i64, i64),
) -> Option<Instant> {
    for user in first_user.. {
        if sold.load(Ordering::Relaxed) || Instant::now() > end {
            break;
        }
        // On the instance that nothing happened to.
        let attempt = Attempt { seat, user, instance: 1, stop: None };
        if matches!(port.attempt(attempt).await, Ok(Outcome::Won)) {
            sold.store(true, Ordering::Relaxed);
            return Some(Instant::now());
        }
        sleep(PAUSE).await;
    }
    None
}

pub(super) fn table(stories: &[Story], lease: Duration) -> Table {
    let columns = [
        Column::words("Strategy"),
        Column::figures("holder died: sold after", "ms"),
        Column::figures("double sales", ""),
        Column::figures("holder came back: sold after", "ms"),
        Column::figures("double sales", ""),
    ];
    let title = format!(
        "A holder that stops between its look and its change: for good, or for twice the lease of \
         {} ms",
        lease.as_millis()
    );
    let mut table = Table::new(title, columns);
    for story in stories {
        let mut cells = vec![Cell::from(story.strategy.title())];
        for end in &story.ends {
            let after = end.sold_after.map(|after| figure(after.as_secs_f64() * 1_000.0));
            cells.push(after.unwrap_or_else(|| "never".to_owned()).into());
            cells.push(end.double_sales.to_string().into());
        }
        table.row(cells);
    }
    table
}
