//! A few hundred clients on a few seats: afterwards the books must balance to the last won.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use concert_app::Config;
use concert_tests::{Buyer, Engines, PRICE, Show, TestApp, audit, quick};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

const CLIENTS: i64 = 200;
const SEATS: u32 = 24;
const LIMIT: u64 = 12;

/// What a client does when its turn comes.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    NeverLooksBack,
    LeavesTheLine,
    HoldsAndVanishes,
    ThinksBetterOfIt,
    WantsTheMoneyBack,
    Buys,
}

impl Habit {
    fn of(place: usize) -> Self {
        match place % 8 {
            0 => Self::NeverLooksBack,
            1 => Self::LeavesTheLine,
            2 => Self::HoldsAndVanishes,
            3 => Self::ThinksBetterOfIt,
            4 => Self::WantsTheMoneyBack,
            _ => Self::Buys,
        }
    }
}

/// What a client was told.
#[derive(Default)]
struct Told {
    paid: i64,
    refunded: i64,
}

struct Storm {
    show: Show,
    /// The farthest place in line whose client is known to have been admitted.
    farthest: AtomicUsize,
}

impl Storm {
    async fn client(&self, place: usize, buyer: &Buyer) -> Told {
        let habit = Habit::of(place);
        if habit == Habit::NeverLooksBack {
            return Told::default();
        }
        if habit == Habit::LeavesTheLine {
            buyer.leave().await.ok(204);
            return Told::default();
        }
        if !self.wait(place, buyer).await {
            return Told::default();
        }
        match self.hold_any(place, buyer).await {
            Some(reservation) => self.go_on(habit, buyer, reservation).await,
            None => {
                buyer.leave().await.ok(204);
                Told::default()
            }
        }
    }

    /// Polls until admitted; `false` if the token ended before its client came back to look.
    async fn wait(&self, place: usize, buyer: &Buyer) -> bool {
        let mut last = u64::MAX;
        loop {
            let farthest = self.farthest.load(Ordering::SeqCst);
            let seen = buyer.status().await.ok(200);
            match seen["status"].as_str() {
                Some("ACTIVE") => {
                    self.farthest.fetch_max(place, Ordering::SeqCst);
                    return true;
                }
                Some("WAITING") => {}
                _ => return false,
            }
            assert!(farthest <= place, "place {farthest} was admitted before place {place}");
            let rank = seen["rank"].as_u64().expect("a rank");
            assert!(rank <= last, "place {place} went back from rank {last} to {rank}");
            last = rank;
            sleep(Duration::from_millis((30 + 6 * rank).min(600))).await;
        }
    }

    async fn hold_any(&self, place: usize, buyer: &Buyer) -> Option<i64> {
        for attempt in 0..6 {
            let seat = self.show.seats[(place * 7 + attempt * 5) % self.show.seats.len()];
            let answer = buyer.hold(self.show.schedule, seat).await;
            match answer.status {
                201 => return answer.body["reservationId"].as_i64(),
                401 => return None,
                _ => answer.refused(409, "SEAT_NOT_AVAILABLE"),
            }
        }
        None
    }

    async fn go_on(&self, habit: Habit, buyer: &Buyer, reservation: i64) -> Told {
        let mut told = Told::default();
        match habit {
            Habit::HoldsAndVanishes => return told,
            Habit::ThinksBetterOfIt => {
                buyer.cancel(reservation).await.ok(204);
                buyer.leave().await.ok(204);
                return told;
            }
            _ => {}
        }
        let answer = buyer.pay(reservation).await;
        if answer.status != 201 {
            assert!(matches!(answer.status, 401 | 410), "{answer:?}");
            return told;
        }
        told.paid = PRICE;
        if habit == Habit::WantsTheMoneyBack {
            let payment = answer.body["paymentId"].as_i64().expect("an id");
            buyer.refund(payment).await.ok(200);
            told.refunded = PRICE;
        }
        told
    }
}

/// Time limits that make those who walk away matter within seconds.
fn impatient() -> Config {
    Config {
        hold_ttl: Duration::from_millis(1_500),
        queue_claim_ttl: Duration::from_secs(2),
        queue_active_ttl: Duration::from_secs(3),
        ..quick()
    }
}

/// Lines everybody up, with points, while the doors are closed: the order is known.
async fn line_up(app: &TestApp, show: &Show) -> Vec<Buyer> {
    app.policy(show.concert, json!({ "mode": "HOLD", "activeLimit": LIMIT })).await;
    let charges = (1..=CLIENTS).map(|user| app.buyer(user).rich(PRICE));
    join_all(charges).await;
    let mut line = Vec::new();
    for user in 1..=CLIENTS {
        line.push(app.buyer(user).join(show.concert).await);
    }
    line
}

/// The largest number of active tokens that an operator ever sees.
async fn watch(app: &TestApp, show: &Show, most: &AtomicUsize) {
    loop {
        let active = active(&app.queue(show.concert).await);
        assert!(active <= LIMIT as usize, "{active} tokens are active");
        most.fetch_max(active, Ordering::SeqCst);
        sleep(Duration::from_millis(10)).await;
    }
}

fn active(queue: &Value) -> usize {
    queue["active"].as_u64().and_then(|n| usize::try_from(n).ok()).expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_storm_seats_payments_events_and_money_agree() {
    let app = TestApp::with(Engines::embedded_in_real_time().await, impatient()).await;
    let show = app.show(SEATS).await;
    let line = line_up(&app, &show).await;
    let storm = Storm { show: show.clone(), farthest: AtomicUsize::new(0) };
    let most = AtomicUsize::new(0);

    app.policy(show.concert, json!({ "mode": "OPEN" })).await;
    let clients = line.iter().enumerate().map(|(place, buyer)| storm.client(place, buyer));
    let told = tokio::select! {
        told = join_all(clients) => told,
        () = watch(&app, &show, &most) => unreachable!("the watch has no end"),
    };

    assert_eq!(most.into_inner(), LIMIT as usize, "the storm filled every slot");
    let paid: i64 = told.iter().map(|told| told.paid).sum();
    let refunded: i64 = told.iter().map(|told| told.refunded).sum();
    assert!(paid > refunded && refunded > 0, "paid {paid}, refunded {refunded}");
    app.policy(show.concert, json!({ "activeLimit": null })).await;
    let users: Vec<i64> = (1..=CLIENTS).collect();
    let books = audit(&app, &show, &users).await;
    assert_eq!((books.paid, books.refunded), (paid, refunded), "told and booked differ");
    assert_eq!(books.charged, CLIENTS * PRICE);
}
