//! Power cuts: the real binary is killed in mid storm, and what it acknowledged must still be true.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::collections::HashSet;
use std::sync::Mutex;

use concert_tests::{Buyer, Call, Client, PRICE, Service, Show, audit, eventually};
use futures::future::join_all;
use serde_json::{Value, json};

const BUYERS: i64 = 24;
const SEATS: u32 = 400;
/// How many answers are awaited before the power is cut.
const ENOUGH: usize = 150;

/// A request that can be sent again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Request {
    Charge,
    Hold { schedule: i64, seat: i64 },
    Pay { reservation: i64 },
}

/// A request with who sent it and what came back, if anything did.
#[derive(Clone)]
struct Sent {
    user: i64,
    token: String,
    key: String,
    request: Request,
    answer: Option<Value>,
}

impl Sent {
    fn call(&self, client: &Client) -> Call {
        let buyer = client.buyer(self.user).with_token(&self.token);
        match self.request {
            Request::Charge => buyer.charge(PRICE),
            Request::Hold { schedule, seat } => buyer.hold(schedule, seat),
            Request::Pay { reservation } => buyer.pay(reservation),
        }
        .key(&self.key)
    }
}

/// What was sent, and the places in a line that were acknowledged, in their order.
#[derive(Default)]
struct Diary {
    sent: Mutex<Vec<Sent>>,
    line: Mutex<Vec<Buyer>>,
}

impl Diary {
    /// Sends a request and notes both; `None` if it was refused or the service is gone.
    async fn send(&self, buyer: &Buyer, client: &Client, request: Request) -> Option<Value> {
        let (user, token) = (buyer.user, buyer.token.clone());
        let index = {
            let mut sent = self.sent.lock().unwrap();
            let key = format!("request-{}", sent.len());
            sent.push(Sent { user, token, key, request, answer: None });
            sent.len() - 1
        };
        let call = self.sent.lock().unwrap()[index].call(client);
        let answer = call.attempt().await.ok()?;
        if !matches!(answer.status, 200 | 201) {
            return None;
        }
        self.sent.lock().unwrap()[index].answer = Some(answer.body.clone());
        Some(answer.body)
    }

    fn acknowledged(&self) -> usize {
        self.sent.lock().unwrap().iter().filter(|sent| sent.answer.is_some()).count()
    }

    /// Buys one seat after the other until the service is gone.
    async fn buy(&self, client: &Client, user: i64, show: &Show) -> Option<()> {
        let mine = show.seats.iter().skip(user as usize - 1).step_by(BUYERS as usize);
        for seat in mine.cycle() {
            let mut buyer = client.buyer(user);
            let joined = buyer.joining(show.concert).attempt().await.ok()?.ok(201);
            buyer.token = joined["token"].as_str()?.to_owned();
            self.send(&buyer, client, Request::Charge).await?;
            let hold = Request::Hold { schedule: show.schedule, seat: *seat };
            let held = self.send(&buyer, client, hold).await?;
            let reservation = held["reservationId"].as_i64()?;
            self.send(&buyer, client, Request::Pay { reservation }).await?;
        }
        None
    }

    /// Joins a queue that admits nobody, one user after the other.
    async fn stand_in_line(&self, client: &Client, concert: i64) -> Option<()> {
        for user in 1_001.. {
            let mut buyer = client.buyer(user);
            let joined = buyer.joining(concert).attempt().await.ok()?.ok(201);
            buyer.token = joined["token"].as_str()?.to_owned();
            self.line.lock().unwrap().push(buyer);
        }
        None
    }
}

/// Starts the storm, cuts the power once enough was acknowledged.
async fn storm(diary: &Diary, service: Service, show: &Show, line: i64) {
    let client = service.client.clone();
    let enough = async {
        eventually("enough answers before the power is cut", async || {
            let waiting = diary.line.lock().unwrap().len();
            (diary.acknowledged() >= ENOUGH && waiting >= 10).then_some(())
        })
        .await;
        service.kill().await;
    };
    let buyers = join_all((1..=BUYERS).map(|user| diary.buy(&client, user, show)));
    tokio::join!(enough, buyers, diary.stand_in_line(&client, line));
}

/// Everything that was acknowledged is answered again, word by word; what was not is sent again,
/// and has its one effect now if it had none before.
async fn assert_requests(diary: &Diary, client: &Client) {
    let mut payments = HashSet::new();
    let diary = diary.sent.lock().unwrap().clone();
    for sent in diary {
        let again = sent.call(client).await;
        let Some(before) = &sent.answer else { continue };
        assert!(again.replayed(), "{:?} of user {}: {again:?}", sent.request, sent.user);
        assert_eq!(&again.body, before);
        let buyer = client.buyer(sent.user);
        match sent.request {
            Request::Charge => {}
            Request::Hold { .. } => {
                let id = before["reservationId"].as_i64().unwrap();
                let status = buyer.reservation(id).await.ok(200)["status"].clone();
                assert!(status == "PENDING" || status == "CONFIRMED", "{id} is {status}");
            }
            Request::Pay { .. } => {
                let id = before["paymentId"].as_i64().unwrap();
                assert_eq!(buyer.payment(id).await.ok(200), *before);
                assert!(payments.insert(id));
            }
        }
    }
    assert!(!payments.is_empty(), "the storm was cut before anybody paid");
}

/// Those in line are where they were, in the order in which they came.
async fn assert_line(diary: &Diary, client: &Client) {
    let line = diary.line.lock().unwrap().clone();
    for (place, buyer) in (1..).zip(line) {
        let buyer = client.buyer(buyer.user).with_token(&buyer.token);
        assert_eq!(buyer.rank().await, place, "user {} lost the place", buyer.user);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_power_cut_is_true_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(folder.path(), &[]).await;
    let show = service.client.show(SEATS).await;
    let line = service.client.concert().await;
    service.client.policy(line, json!({ "mode": "HOLD" })).await;
    let diary = Diary::default();
    storm(&diary, service, &show, line).await;

    let service = Service::start(folder.path(), &[]).await;
    assert_requests(&diary, &service.client).await;
    assert_line(&diary, &service.client).await;
    let users: Vec<i64> = (1..=BUYERS).collect();
    let books = audit(&service.client, &show, &users).await;
    assert!(books.sold > 0);
    assert_eq!(service.terminate().await, Some(0));
}
