use std::collections::HashSet;
use std::time::Duration;

use concert_domain::Ports;
use concert_domain::event::{EventLog, PAYMENT_COMPLETED, PAYMENT_REFUNDED, PAYMENT_TOPIC};
use serde_json::Value;

use crate::database::Session;
use crate::{Books, FullSet, eventually};

/// Longer than the lease of a seat's lock.
const LOCKS_END: Duration = Duration::from_secs(5);
/// How many records are read from a partition at once.
const PAGE: u32 = 500;

/// Goes through MySQL, Kafka and Redis behind the service's back, when [`audit`](crate::audit) has
/// found in order what the service says: each of them must tell the same story. Answers how many
/// records of the topic are second copies, which a relay that died may have left.
pub async fn reconcile(set: &FullSet, books: Books) -> usize {
    let mut mysql = set.database().connect().await;
    check_seats(&mut mysql, books).await;
    check_money(&mut mysql, books).await;
    let second_copies = check_events(&mut mysql, &set.ports().await).await;
    check_locks(set).await;
    second_copies
}

async fn check_seats(mysql: &mut Session, books: Books) {
    for sold in [
        "seats WHERE status = 'RESERVED'",
        "reservations WHERE status = 'CONFIRMED'",
        "payments WHERE status = 'COMPLETED'",
        "seats s
         JOIN reservations r ON r.id = s.reservation_id AND r.seat_id = s.id
         JOIN payments p ON p.reservation_id = r.id AND p.user_id = r.user_id
         WHERE s.status = 'RESERVED' AND r.status = 'CONFIRMED' AND p.status = 'COMPLETED'",
    ] {
        assert_eq!(count(mysql, sold).await, books.sold as i64, "{sold}");
    }
    let orphans = "seats s LEFT JOIN reservations r ON r.id = s.reservation_id
                   AND r.seat_id = s.id AND r.status = 'PENDING'
                   WHERE s.status = 'TEMP_RESERVED' AND r.id IS NULL";
    assert_eq!(count(mysql, orphans).await, 0, "seats are held by nobody");
}

async fn check_money(mysql: &mut Session, books: Books) {
    let kept = books.paid - books.refunded;
    for (what, table, expected) in [
        ("balance", "point_accounts", books.balances),
        ("amount", "point_ledger", books.balances),
        ("sales", "concert_sales", kept),
        ("sold_seats", "concert_sales", books.sold as i64),
    ] {
        let query = format!("SELECT CAST(COALESCE(SUM({what}), 0) AS SIGNED) AS n FROM {table}");
        assert_eq!(mysql.number(&query).await, expected, "{what} of {table}");
    }
    let differ = "point_accounts a WHERE a.balance <>
                  (SELECT COALESCE(SUM(l.amount), 0) FROM point_ledger l WHERE l.user_id = a.user_id)";
    assert_eq!(count(mysql, differ).await, 0, "balances that are not the sum of their ledger");
}

/// Every payment and every refund has one event, each of them is in the topic in its order, and
/// each has been consumed once.
async fn check_events(mysql: &mut Session, ports: &Ports) -> usize {
    eventually("the outbox is empty", async || {
        (ports.outbox.backlog().await.ok()?.pending == 0).then_some(())
    })
    .await;
    let due = mysql
        .names(&format!(
            "SELECT CONCAT('{PAYMENT_COMPLETED}-', id) AS name FROM payments UNION ALL
             SELECT CONCAT('{PAYMENT_REFUNDED}-', id) FROM payments WHERE status = 'REFUNDED'"
        ))
        .await;
    let due: HashSet<String> = due.into_iter().collect();
    assert_eq!(count(mysql, "consumed_events").await, due.len() as i64, "effects and events");
    let topic = read_topic(&*ports.log).await;
    let mut published = HashSet::new();
    for (place, event) in topic.iter().enumerate() {
        let first = published.insert(event["id"].as_str().expect("an event has an id").to_owned());
        if first && event["type"] == PAYMENT_REFUNDED {
            let before = topic[..place].iter().any(|e| e["key"] == event["key"]);
            assert!(before, "the refund is in front of its payment: {event}");
        }
    }
    assert_eq!(published, due, "events in the topic and payments");
    topic.len() - due.len()
}

/// All events of the topic, partition after partition.
pub async fn read_topic(log: &dyn EventLog) -> Vec<Value> {
    let mut events = Vec::new();
    for partition in 0..log.partitions() {
        let mut offset = 0;
        loop {
            let page = log.read(PAYMENT_TOPIC, partition, offset, PAGE).await;
            let page = page.expect("the log answers");
            let Some(last) = page.last() else { break };
            offset = last.offset + 1;
            events.extend(page.iter().map(|entry| {
                serde_json::from_slice::<Value>(&entry.record.value).expect("an event")
            }));
        }
    }
    events
}

/// No lock of a seat outlives its lease.
async fn check_locks(set: &FullSet) {
    let begun = std::time::Instant::now();
    loop {
        let left = set.redis_keys("lock:").await;
        if left.is_empty() {
            return;
        }
        assert!(begun.elapsed() < LOCKS_END, "locks are left over: {left:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn count(mysql: &mut Session, from: &str) -> i64 {
    mysql.number(&format!("SELECT COUNT(*) AS n FROM {from}")).await
}
