//! The benchmarks on real servers, with next to nothing to measure: that they run, hand over what
//! the page is made of, and leave nothing behind. No time is looked at.

use concert_tests::{FullSet, concert_begun, concert_in};
use serde_json::Value;

async fn bench(set: &FullSet, arguments: &[&str]) -> String {
    let arguments = [&["bench"], arguments].concat();
    let output = concert_in(set.folder(), &arguments, &set.variables()).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The cells of the rows that begin with this word.
fn cells<'a>(section: &'a Value, first: &str) -> Vec<&'a Vec<Value>> {
    let tables = section["tables"].as_array().into_iter().flatten();
    let rows = tables.filter_map(|table| table["rows"].as_array()).flatten();
    rows.filter_map(Value::as_array).filter(|row| row[0] == first).collect()
}

#[tokio::test]
async fn indexes_and_locks_are_measured_and_make_a_page() {
    let set = FullSet::shared().await;
    let indexes = ["indexes", "--quick", "--rows", "1000", "--json", "--out", "docs/indexes.json"];
    let section: Value = serde_json::from_str(&bench(&set, &indexes).await).unwrap();
    // Of the seed's three rows, counts in two halls and ended holds in two ways: a time and a ratio each.
    assert_eq!(section["targets"].as_array().unwrap().len(), 10);
    assert_eq!(cells(&section, "ours, Redis: bits counted up to the place").len(), 1, "{section}");
    // Its time with each of the choices; and a line of each plan.
    let lists = cells(&section, "our seat list, hall of 200");
    assert!(lists.len() > 4, "{section}");

    let locks = ["locks", "--quick", "--json", "--out", "docs/locks.json"];
    let section: Value = serde_json::from_str(&bench(&set, &locks).await).unwrap();
    for safe in ["ours: shield and conditional update", "unique key", "pessimistic row lock"] {
        let rows = cells(&section, safe);
        // Two crowds, and the holder that stops.
        assert_eq!(rows.len(), 3, "{section}");
        let zero = Value::from("0");
        assert_eq!((&rows[2][2], &rows[2][4]), (&zero, &zero), "{:?}", rows[2]);
        for row in &rows[..2] {
            assert_eq!((&row[2], &row[11]), (&Value::from("0"), &Value::from("0")), "{row:?}");
        }
    }
    assert_eq!(cells(&section, "ours: shield and conditional update")[0][1]["median"], 1.0);

    bench(&set, &["report", "--from", "docs", "--to", "docs/PAGE.md"]).await;
    for made in ["PAGE.md", "LOCKS.md", "indexes.svg", "locks.svg"] {
        assert!(set.folder().join("docs").join(made).is_file(), "{made}");
    }
}

#[tokio::test]
async fn what_needs_a_server_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["indexes", "locks", "cache"] {
        let output = concert_in(folder.path(), &["bench", part], &[]).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("needs a MySQL server"));
    }
}

/// What must be so after a seed, and what it must be.
async fn assert_seeded(set: &FullSet, seats: i64, reservations: i64) {
    let mut session = set.database().connect().await;
    let mut count = async |what: &str| session.number(&format!("SELECT {what}")).await;
    assert_eq!(count("COUNT(*) AS n FROM seats").await, seats);
    assert_eq!(count("COUNT(*) AS n FROM reservations").await, reservations);
    let payments = count("COUNT(*) AS n FROM payments").await;
    assert!(payments > reservations / 5, "{payments}");
    let sum = "CAST(COALESCE(SUM(amount), 0) AS SIGNED) AS n";
    for (same, figure) in [
        ("COUNT(*) AS n FROM reservations WHERE status = 'CONFIRMED'", payments),
        ("COUNT(*) AS n FROM seats WHERE status = 'RESERVED'", payments),
        ("COUNT(*) AS n FROM point_ledger WHERE kind = 'USE'", payments),
        ("CAST(SUM(sold_seats) AS SIGNED) AS n FROM concert_sales", payments),
        // Every live reservation and its seat name each other; no seat is taken without one.
        (
            "COUNT(*) - (SELECT COUNT(*) FROM seats WHERE status <> 'AVAILABLE') AS n
             FROM reservations r JOIN seats s ON s.reservation_id = r.id AND s.id = r.seat_id
             WHERE r.status IN ('PENDING', 'CONFIRMED')",
            0,
        ),
        (
            "COUNT(*) AS n FROM point_accounts a LEFT JOIN
                 (SELECT user_id, SUM(amount) AS total FROM point_ledger GROUP BY user_id) l
                 ON l.user_id = a.user_id
             WHERE a.balance <> COALESCE(l.total, 0) OR a.balance < 0",
            0,
        ),
    ] {
        assert_eq!(count(same).await, figure, "{same}");
    }
    let paid = count(&format!("{sum} FROM payments")).await;
    assert_eq!(count(&format!("{sum} FROM point_ledger WHERE kind = 'USE'")).await, -paid);
    let sales = "CAST(SUM(sales) AS SIGNED) AS n FROM concert_sales";
    assert_eq!(count(sales).await, paid);
}

#[tokio::test]
async fn a_seed_that_was_killed_is_completed_by_the_next() {
    let set = FullSet::shared().await;
    let ports = set.ports().await;
    let seed = ["seed", "--seats", "60000", "--reservations", "30001", "--tokens", "9000"];
    let mut first = concert_begun(set.folder(), &seed, &set.variables());
    let mut session = set.database().connect().await;
    // In the middle of it, unless it is through before it is seen.
    let parts = "SELECT COUNT(*) AS n FROM seed_parts";
    while session.number(parts).await < 3 && first.try_wait().unwrap().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    first.kill().await.unwrap();
    let output = concert_in(set.folder(), &seed, &set.variables()).await;
    assert!(output.status.success(), "{output:?}");
    assert_seeded(&set, 60_000, 30_001).await;
    let mut waiting = 0;
    for concert in ports.queue.live_concerts().await.unwrap() {
        waiting += ports.queue.counts(concert).await.unwrap().waiting;
    }
    assert_eq!(waiting, 9_000);
    let again = concert_in(set.folder(), &seed, &set.variables()).await;
    assert!(String::from_utf8_lossy(&again.stdout).contains("had all before"), "{again:?}");
    assert_seeded(&set, 60_000, 30_001).await;
}
