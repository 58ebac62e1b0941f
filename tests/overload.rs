//! More requests than the service works on at once, clients that ask too often, and a stop.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use concert_app::Config;
use concert_app::config::Limits;
use concert_domain::user::{Kept, User, UserName, UserStore};
use concert_domain::{Result, UserId};
use concert_tests::{Engines, TestApp, eventually, quick};
use futures::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Names of users that are found only when the test lets them be.
struct Slow {
    inner: Arc<dyn UserStore>,
    door: Semaphore,
    inside: AtomicUsize,
    most: AtomicUsize,
}

struct Inside<'a>(&'a AtomicUsize);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl UserStore for Slow {
    async fn keep(&self, id: UserId, name: UserName) -> Result<Kept> {
        self.inner.keep(id, name).await
    }

    async fn create(&self, id: UserId, name: UserName) -> Result<Option<User>> {
        self.inner.create(id, name).await
    }

    async fn find(&self, id: UserId) -> Result<Option<User>> {
        let now = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        let _inside = Inside(&self.inside);
        self.most.fetch_max(now, Ordering::SeqCst);
        let _open = self.door.acquire().await.expect("the door is never taken away");
        self.inner.find(id).await
    }
}

async fn slow_service(limits: Limits) -> (TestApp, Arc<Slow>) {
    let mut engines = Engines::embedded_in_real_time().await;
    let slow = Arc::new(Slow {
        inner: engines.ports.users.clone(),
        door: Semaphore::new(0),
        inside: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    engines.ports.users = slow.clone();
    (TestApp::with(engines, Config { limits, ..quick() }).await, slow)
}

fn few(places: u32) -> Limits {
    Limits { rate_limit: false, max_in_flight: Some(places), ..Limits::default() }
}

/// Of 16 places reads may have two of their own and three of the common ones.
const READS: usize = 5;

async fn reads_inside(slow: &Slow, count: usize) {
    eventually("so many reads are inside", async || {
        (slow.inside.load(Ordering::SeqCst) == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_it_is_full_the_less_important_are_refused_and_buyers_finish() {
    let (app, slow) = slow_service(few(16)).await;
    app.post("/users").json(json!({"userId": 1, "name": "x"})).await.ok(201);
    let show = app.show(1).await;
    let refused = AtomicUsize::new(0);
    let crowd = join_all((0..40).map(|_| async {
        let answer = app.get("/users/1").await;
        if answer.status != 200 {
            refused.fetch_add(1, Ordering::SeqCst);
        }
        answer
    }));
    let buyer = async {
        reads_inside(&slow, READS).await;
        let join = json!({"userId": 7, "concertId": show.concert});
        let joined = app.post("/queue/tokens").json(join).await.ok(201);
        let token = joined["token"].as_str().expect("a token").to_owned();
        let charge = json!({"userId": 7, "amount": 500_000, "paymentMethod": "CARD"});
        app.patch("/points/charge").json(charge).await.ok(200);
        let wish = json!({"userId": 7, "scheduleId": show.schedule, "seatId": show.seats[0]});
        let held = app.post("/reservations").token(&token).json(wish).await.ok(201);
        let pay = json!({"userId": 7, "reservationId": held["reservationId"]});
        app.post("/payments").token(&token).json(pay).await.ok(201);
        for probe in ["//healthz", "//readyz", "//metrics"] {
            assert_eq!(app.get(probe).await.status, 200);
        }
        eventually("the rest of the crowd is refused", async || {
            (refused.load(Ordering::SeqCst) == 40 - READS).then_some(())
        })
        .await;
        slow.door.add_permits(1_000);
    };
    let (answers, ()) = tokio::join!(crowd, buyer);
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((served, slow.most.load(Ordering::SeqCst)), (READS, READS));
    for refused in answers.into_iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.header("retry-after"), Some("2"), "{refused:?}");
        assert_eq!(refused.ok(503)["code"], "SERVICE_UNAVAILABLE");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away_leave_their_places() {
    let (app, slow) = slow_service(few(16)).await;
    let ask = b"GET /api/v1/users/1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut gone = Vec::new();
    for _ in 0..READS {
        let mut stream = TcpStream::connect(app.address()).await.expect("it listens");
        stream.write_all(ask).await.expect("it reads");
        gone.push(stream);
    }
    reads_inside(&slow, READS).await;
    drop(gone);
    reads_inside(&slow, 0).await;
    let back = join_all((0..READS).map(|_| async { app.get("/users/1").await }));
    let open = async {
        reads_inside(&slow, READS).await;
        slow.door.add_permits(1_000);
    };
    let (answers, ()) = tokio::join!(back, open);
    assert!(answers.iter().all(|answer| answer.status == 404), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_given_up_and_leaves_its_place() {
    let limits = Limits { request_deadline: Duration::from_millis(100), ..few(16) };
    let (app, slow) = slow_service(limits).await;
    for _ in 0..3 * READS {
        let late = app.get("/users/1").await;
        assert_eq!(late.header("retry-after"), Some("1"), "{late:?}");
        assert_eq!(late.ok(503)["instance"], "/api/v1/users/1");
    }
    assert_eq!(slow.inside.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_body_slowly_keeps_nobody_from_a_place() {
    let (app, _slow) = slow_service(few(1)).await;
    let head = "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 100\r\n\r\n{";
    let mut slow = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(app.address()).await.expect("it listens");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        slow.push(stream);
    }
    app.post("/users").json(json!({"name": "x"})).await.ok(201);
}

async fn limited(limits: Limits) -> TestApp {
    TestApp::with(Engines::embedded().await, Config { limits, ..quick() }).await
}

#[tokio::test]
async fn one_address_joins_so_often_and_a_header_helps_only_behind_a_trusted_proxy() {
    for (proxies, behind_proxy) in [("", false), ("127.0.0.1", true)] {
        let trusted_proxies = proxies.parse().expect("networks");
        let limits = Limits { joins_per_address: 3, trusted_proxies, ..Limits::default() };
        let app = limited(limits).await;
        let concert = app.concert().await;
        let join = |user: i64, from: &str| {
            let body = json!({"userId": user, "concertId": concert});
            app.post("/queue/tokens").header("X-Forwarded-For", from).json(body)
        };
        for user in 1..=3 {
            join(user, "192.0.2.1").await.ok(201);
        }
        let refused = join(4, "192.0.2.1").await;
        let wait: u64 = refused.header("retry-after").expect("when").parse().expect("seconds");
        assert!((1..=20).contains(&wait), "{refused:?}");
        assert_eq!(refused.ok(429)["code"], "TOO_MANY_REQUESTS");
        let elsewhere = join(4, "192.0.2.9").await.status;
        assert_eq!(elsewhere, if behind_proxy { 201 } else { 429 });
        app.get("/concerts").await.ok(200);
    }
}

#[tokio::test]
async fn who_polls_far_too_early_is_refused_unless_limits_are_off() {
    for rate_limit in [true, false] {
        let app = limited(Limits { rate_limit, ..Limits::default() }).await;
        let concert = app.concert().await;
        let body = json!({"userId": 1, "concertId": concert});
        let joined = app.post("/queue/tokens").json(body).await.ok(201);
        let token = joined["token"].as_str().expect("a token");
        let mut seen = Vec::new();
        for _ in 0..200 {
            seen.push(app.get("/queue/status").token(token).await.status);
            if seen.last() == Some(&429) {
                break;
            }
        }
        assert_eq!(seen.contains(&429), rate_limit, "{seen:?}");
        assert!(seen[..20].iter().all(|status| *status == 200), "{seen:?}");
    }
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let app = limited(Limits { connections_per_address: 2, ..Limits::default() }).await;
    let mut kept = Vec::new();
    let mut refused = None;
    for place in 1..=3 {
        let mut stream = TcpStream::connect(app.address()).await.expect("it listens");
        let ask = b"GET /api/v1/concerts HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(ask).await.expect("it reads");
        let mut answer = vec![0; 64 * 1024];
        let read = stream.read(&mut answer).await.expect("it answers");
        let head = String::from_utf8_lossy(&answer[..read]).to_lowercase();
        let is_refused = head.starts_with("http/1.1 429");
        assert_eq!(head.contains("connection: close"), is_refused, "{head}");
        refused = refused.or(is_refused.then_some(place));
        kept.push(stream);
    }
    // The test's own client may have a connection, too.
    assert!(matches!(refused, Some(2 | 3)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_service_is_not_ready_goes_on_for_a_while_and_ends_connections() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [("DRAIN_DELAY", "5s"), ("SHUTDOWN_GRACE", "9s"), ("RATE_LIMIT", "off")];
    let service = concert_tests::Service::start(folder.path(), &variables).await;
    let client = service.client.clone();
    let idle = TcpStream::connect(client.address()).await.expect("it listens");
    let stopped = tokio::spawn(service.terminate());
    eventually("it is not ready any more", async || {
        (client.get("//readyz").await.status == 503).then_some(())
    })
    .await;
    let answer = client.get("/concerts").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{answer:?}");
    assert_eq!(client.get("//healthz").await.status, 200);
    assert_eq!(stopped.await.expect("it stops"), Some(0));
    drop(idle);
}

/// A process tells the others of every third join here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_joins_so_often_at_all_instances_together() {
    const JOINS: u32 = 30;
    let set = Arc::new(concert_tests::FullSet::shared().await);
    let mut instances = Vec::new();
    for _ in 0..2 {
        let limits = Limits { joins_per_address: JOINS, ..Limits::default() };
        let engines = Engines::on(set.clone()).await;
        instances.push(TestApp::with(engines, Config { limits, ..quick() }).await);
    }
    let concert = instances[0].concert().await;
    let begun = std::time::Instant::now();
    let mut granted = 0;
    for user in 1..=2 * i64::from(JOINS) {
        let body = json!({"userId": user, "concertId": concert});
        let answer = instances[user as usize % 2].post("/queue/tokens").json(body).await;
        match answer.status {
            201 => granted += 1,
            _ => answer.refused(429, "TOO_MANY_REQUESTS"),
        }
    }
    // One comes back every two seconds; each process may keep less than a lot to itself.
    let back = begun.elapsed().as_secs() as u32 / 2 + 1;
    assert!((JOINS..=JOINS + 2 * 2 + back).contains(&granted), "{granted}, {back} came back");
}
