//! A few hundred clients on a few seats: afterwards the books must balance to the last won.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::time::Duration;

use concert_app::Config;
use concert_tests::{Crowd, Engines, Instances, TestApp, audit, quick};

const CLIENTS: i64 = 200;
const SEATS: u32 = 24;
const LIMIT: u64 = 12;

/// Time limits that make those who walk away matter within seconds.
fn impatient() -> Config {
    Config {
        hold_ttl: Duration::from_millis(1_500),
        queue_claim_ttl: Duration::from_secs(2),
        queue_active_ttl: Duration::from_secs(3),
        ..quick()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_storm_seats_payments_events_and_money_agree() {
    let app = TestApp::with(Engines::embedded_in_real_time().await, impatient()).await;
    let show = app.show(SEATS).await;
    let crowd = Crowd::new(Instances::of([app.clone()]), &show, LIMIT);

    let told = crowd.storm(CLIENTS).await;

    let seen = crowd.notes.take();
    assert_eq!(seen.disturbed(), 0, "nothing failed behind the service:\n{seen}");
    assert_eq!(crowd.most_active(), LIMIT, "the storm filled every slot");
    assert!(told.paid > told.refunded && told.refunded > 0, "{told:?}");
    crowd.until_gone().await;
    let users: Vec<i64> = (1..=CLIENTS).collect();
    let books = audit(&app, &show, &users).await;
    assert_eq!((books.paid, books.refunded), (told.paid, told.refunded), "told and booked differ");
}
