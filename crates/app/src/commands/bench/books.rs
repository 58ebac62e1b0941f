//! After a run the books are checked: what clients were told, and what the tables say.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::time::sleep;

use super::load::{Wire, get};
use super::sql::Sql;

/// How long events may take until the last of them has had its effect.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// What is counted. All but the first are of the whole database, which nobody else uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Books {
    /// Payments that clients were told of.
    pub told: i64,
    pub payments: i64,
    pub sold_seats: i64,
    pub confirmed: i64,
    pub seats_with_two_owners: i64,
    pub spent_lines: i64,
    pub paid: i64,
    pub spent: i64,
    /// Accounts whose balance is not the sum of their lines, or below zero.
    pub wrong_balances: i64,
    pub unpublished_events: i64,
    /// Sales that the consumer of the events has added up.
    pub consumed: i64,
}

impl Books {
    /// What does not agree; nothing, if all is well.
    pub(super) fn faults(&self) -> Vec<String> {
        let same = [
            ("payments that clients were told of", self.told),
            ("sold seats", self.sold_seats),
            ("confirmed reservations", self.confirmed),
            ("ledger lines of payments", self.spent_lines),
            ("sales from events", self.consumed),
        ];
        let differs = same.into_iter().filter(|(_, count)| *count != self.payments);
        let mut faults: Vec<_> = differs
            .map(|(what, count)| format!("{count} {what}, but {} payments", self.payments))
            .collect();
        for (what, count) in [
            ("seats with two owners", self.seats_with_two_owners),
            ("balances that are not the sum of their lines", self.wrong_balances),
            ("events that were not published", self.unpublished_events),
        ] {
            if count != 0 {
                faults.push(format!("{count} {what}"));
            }
        }
        if self.paid != self.spent {
            faults.push(format!("{} won paid, but {} spent", self.paid, self.spent));
        }
        faults
    }
}

/// Reads all of it.
pub(super) async fn read(sql: &Sql, told: i64) -> Result<Books> {
    let mut session = sql.connect().await?;
    let mut number = async |query: &str| session.number(query).await;
    Ok(Books {
        told,
        payments: number("SELECT COUNT(*) AS n FROM payments WHERE status = 'COMPLETED'").await?,
        sold_seats: number("SELECT COUNT(*) AS n FROM seats WHERE status = 'RESERVED'").await?,
        confirmed: number(
            "SELECT COUNT(*) AS n FROM reservations r JOIN seats s ON s.id = r.seat_id
             WHERE r.status = 'CONFIRMED' AND s.reservation_id = r.id",
        )
        .await?,
        seats_with_two_owners: number(
            "SELECT COUNT(*) AS n FROM (SELECT seat_id FROM reservations
                 WHERE status IN ('PENDING', 'CONFIRMED')
                 GROUP BY seat_id HAVING COUNT(*) > 1) twice",
        )
        .await?,
        spent_lines: number("SELECT COUNT(*) AS n FROM point_ledger WHERE kind = 'USE'").await?,
        paid: number("SELECT CAST(COALESCE(SUM(amount), 0) AS SIGNED) AS n FROM payments").await?,
        spent: number(
            "SELECT CAST(COALESCE(-SUM(amount), 0) AS SIGNED) AS n FROM point_ledger
             WHERE kind = 'USE'",
        )
        .await?,
        wrong_balances: number(
            "SELECT COUNT(*) AS n FROM point_accounts a LEFT JOIN
                 (SELECT user_id, SUM(amount) AS total FROM point_ledger GROUP BY user_id) l
                 ON l.user_id = a.user_id
             WHERE a.balance <> COALESCE(l.total, 0) OR a.balance < 0",
        )
        .await?,
        unpublished_events: number("SELECT COUNT(*) AS n FROM outbox WHERE published_at IS NULL")
            .await?,
        consumed: consumed(&mut session).await?,
    })
}

async fn consumed(session: &mut super::sql::Session) -> Result<i64> {
    let sales = "SELECT CAST(COALESCE(SUM(sold_seats), 0) AS SIGNED) AS n FROM concert_sales";
    session.number(sales).await
}

/// Where the effects of events are seen.
pub(super) enum Effects {
    Table(Sql),
    /// The ranking, where no table is at hand.
    Ranking(SocketAddr),
}

impl Effects {
    /// Waits until the events of so many payments have had their effect.
    pub(super) async fn wait_for(&self, payments: i64) -> Result<()> {
        let begun = Instant::now();
        let mut seen = self.count().await?;
        while seen < payments {
            if begun.elapsed() > PATIENCE {
                let seconds = PATIENCE.as_secs();
                anyhow::bail!("after {seconds} s {seen} of {payments} events had their effect");
            }
            sleep(PAUSE).await;
            seen = self.count().await?;
        }
        (seen == payments)
            .then_some(())
            .with_context(|| format!("{seen} effects of {payments} payments"))
    }

    async fn count(&self) -> Result<i64> {
        match self {
            Self::Table(sql) => consumed(&mut sql.connect().await?).await,
            Self::Ranking(addr) => ranked(*addr).await,
        }
    }
}

async fn ranked(addr: SocketAddr) -> Result<i64> {
    let mut wire = Wire::open(addr).await?;
    let answer = wire.exchange(&get("/api/v1/concerts/ranking?limit=100", "")).await?;
    let ranking: Value = serde_json::from_slice(answer.body).context("the ranking")?;
    let concerts = ranking["items"].as_array().context("the ranking")?;
    Ok(concerts.iter().filter_map(|concert| concert["soldSeats"].as_i64()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Books {
        Books {
            told: 3,
            payments: 3,
            sold_seats: 3,
            confirmed: 3,
            spent_lines: 3,
            paid: 30,
            spent: 30,
            consumed: 3,
            ..Books::default()
        }
    }

    #[test]
    fn books_that_agree_have_no_faults() {
        assert!(good().faults().is_empty());
    }

    #[test]
    fn whatever_differs_is_named() {
        for (books, fault) in [
            (Books { told: 4, ..good() }, "4 payments that clients were told of, but 3 payments"),
            (Books { sold_seats: 2, ..good() }, "2 sold seats, but 3 payments"),
            (Books { seats_with_two_owners: 1, ..good() }, "1 seats with two owners"),
            (Books { spent: 20, ..good() }, "30 won paid, but 20 spent"),
            (Books { consumed: 2, ..good() }, "2 sales from events, but 3 payments"),
        ] {
            assert_eq!(books.faults(), [fault]);
        }
    }
}
