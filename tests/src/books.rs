use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::Value;

use crate::buyer::id;
use crate::{Client, Show, eventually};

/// What the books say, after they were found to agree with each other.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    /// What all users charged.
    pub charged: i64,
    /// What all users have left.
    pub balances: i64,
    /// What was paid, refunded payments included.
    pub paid: i64,
    /// What was given back.
    pub refunded: i64,
    /// Payments that stand.
    pub sold: u64,
}

/// Goes through the books of one show and its users: ledgers, balances, payments, reservations,
/// seats and, once the events have drained, the sales figures. Panics where they disagree.
pub async fn audit(client: &Client, show: &Show, users: &[i64]) -> Books {
    let mut books = Books::default();
    let mut owned = HashSet::new();
    for user in users {
        audit_user(client, *user, &mut books).await;
        for seat in owned_seats(client, *user).await {
            assert!(owned.insert(seat), "seat {seat} has two owners, one of them user {user}");
        }
    }
    let left = books.charged - books.paid + books.refunded;
    assert_eq!(books.balances, left, "money appeared or vanished: {books:?}");
    assert_eq!(owned.len() as u64, books.sold, "confirmed seats and payments differ");
    audit_seats(client, show, &owned).await;
    audit_sales(client, show, books).await;
    books
}

async fn audit_user(client: &Client, user: i64, books: &mut Books) {
    let ledger = client.all(&format!("/users/{user}/points/history")).await;
    let sum: i64 = ledger.iter().map(|line| id(&line["amount"])).sum();
    let points = client.get(format!("/points/{user}")).await.ok(200);
    assert_eq!(points["point"], sum, "balance and ledger of user {user} differ");
    let newest = ledger.first().map_or(0, |line| id(&line["balanceAfter"]));
    assert_eq!(newest, sum, "the newest ledger line of user {user} is not the balance");
    books.balances += sum;
    books.charged += total(&ledger, "CHARGE");

    let payments = client.all(&format!("/users/{user}/payments")).await;
    let paid: HashMap<i64, &Value> = payments.iter().map(|p| (id(&p["paymentId"]), p)).collect();
    for (kind, expected) in [("USE", payments.len()), ("REFUND", refunds(&payments))] {
        let lines: Vec<_> = ledger.iter().filter(|line| line["type"] == kind).collect();
        assert_eq!(lines.len(), expected, "{kind} lines and payments of user {user} differ");
        for line in lines {
            let payment = paid[&id(&line["paymentId"])];
            assert_eq!(id(&line["amount"]).abs(), id(&payment["paidAmount"]), "{line}");
        }
    }
    books.paid -= total(&ledger, "USE");
    books.refunded += total(&ledger, "REFUND");
    books.sold += (payments.len() - refunds(&payments)) as u64;
}

fn refunds(payments: &[Value]) -> usize {
    payments.iter().filter(|payment| payment["status"] == "REFUNDED").count()
}

fn total(ledger: &[Value], kind: &str) -> i64 {
    ledger.iter().filter(|line| line["type"] == kind).map(|line| id(&line["amount"])).sum()
}

async fn owned_seats(client: &Client, user: i64) -> Vec<i64> {
    let reservations = client.all(&format!("/users/{user}/reservations")).await;
    let confirmed = reservations.iter().filter(|r| r["status"] == "CONFIRMED");
    confirmed.map(|r| id(&r["seatId"])).collect()
}

async fn audit_seats(client: &Client, show: &Show, owned: &HashSet<i64>) {
    for (seat, status) in client.seat_states(show).await {
        let sold = status == "RESERVED";
        assert_eq!(sold, owned.contains(&seat), "seat {seat} is {status}");
    }
}

/// Waits until every event is consumed, and then long enough to see one that is consumed twice.
async fn audit_sales(client: &Client, show: &Show, books: Books) {
    let figures = async || {
        let line = client.ranked(show.concert).await?;
        Some((line["soldSeats"].as_u64()?, line["sales"].as_i64()?))
    };
    let expected = Some((books.sold, books.paid - books.refunded));
    eventually("every event is consumed", async || (figures().await == expected).then_some(()))
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(figures().await, expected, "an event was consumed twice");
}
