//! What every index costs those who write.

use std::time::Instant;

use anyhow::Result;
use concert_adapter_mysql::lab::Session;

use super::super::report::{Cell, Column, Rounds, Table};

/// Indexes beside the primary key, each set with all that stand before it.
const SETS: [(&str, &str); 5] = [
    ("primary key alone", ""),
    ("and (schedule, number), unique", "UNIQUE KEY a (schedule_id, number)"),
    ("and the seed's (schedule, status)", "KEY b (schedule_id, status)"),
    ("ours instead: (schedule, status, held until)", "KEY b (schedule_id, status, held_until)"),
    (
        "and covering (schedule, number, price, status, held until)",
        "KEY c (schedule_id, number, price, status, held_until)",
    ),
];

/// Holds of all seats in one transaction, so that what is measured is the indexes and not the disk.
const HOLD: &str = "UPDATE written SET status = 'TEMP_RESERVED', reservation_id = ?, held_until = ?
    WHERE id = ? AND status = 'AVAILABLE'";
const COLUMNS: &str = "id BIGINT NOT NULL PRIMARY KEY, schedule_id BIGINT NOT NULL,
    number BIGINT NOT NULL, price BIGINT NOT NULL, status VARCHAR(16) NOT NULL,
    reservation_id BIGINT, held_until BIGINT";

pub(super) async fn measure(session: &mut Session, rows: i64, rounds: Rounds) -> Result<Table> {
    let columns = [
        Column::words("Indexes of the seats"),
        Column::figures("inserts", "rows/s"),
        Column::figures("holds", "rows/s"),
    ];
    let mut table = Table::new("What indexes cost those who write", columns);
    let held = rows.min(5_000);
    for (at, (name, _)) in SETS.iter().enumerate() {
        let (mut inserts, mut holds) = (Vec::new(), Vec::new());
        for _ in 0..rounds.0 {
            let create = format!("CREATE TABLE written ({})", definition(at));
            session.batch(&create).await?;
            let started = Instant::now();
            let insert = format!(
                "INSERT INTO written SELECT n + 1, 1, n + 1, 100, 'AVAILABLE', NULL, NULL
                 FROM counted WHERE n < {rows}"
            );
            session.batch(&insert).await?;
            inserts.push(rows as f64 / started.elapsed().as_secs_f64());
            let started = Instant::now();
            session.batch("START TRANSACTION").await?;
            for seat in 1..=held {
                session.run(HOLD, &[seat, 1_000_000 + seat, seat]).await?;
            }
            session.batch("COMMIT").await?;
            holds.push(held as f64 / started.elapsed().as_secs_f64());
            session.batch("DROP TABLE written").await?;
        }
        let sample = |values: &[f64]| super::Sample::of(values, "rows/s").into();
        table.row([Cell::from(*name), sample(&inserts), sample(&holds)]);
    }
    Ok(table)
}

/// The table with the sets of indexes up to this one; ours replaces the seed's.
fn definition(at: usize) -> String {
    let replaced = |index: usize| index == 2 && at > 2;
    let keys = SETS.iter().enumerate().take(at + 1).filter(|(index, _)| !replaced(*index));
    let keys = keys.map(|(_, (_, key))| *key).filter(|key| !key.is_empty());
    std::iter::once(COLUMNS).chain(keys).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_stands_in_the_place_of_the_seeds() {
        assert!(!definition(0).contains("KEY a"));
        assert!(definition(2).contains("KEY b (schedule_id, status)"));
        assert!(!definition(4).contains("KEY b (schedule_id, status),"));
        assert!(definition(4).contains("KEY c") && definition(4).contains("KEY a"));
    }
}
