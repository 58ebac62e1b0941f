//! MySQL, Redis and Kafka go away in mid storm, each in its turn, and come back. The servers are
//! these tests' own, so the tests take turns too. What clients saw is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use concert_domain::event::Outbox;
use concert_tests::{
    Buyer, Call, Client, Crowd, FullSet, Instances, Notes, PRICE, Server, Servers, Service, Show,
    audit, eventually, reconcile,
};
use futures::future::join_all;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

const CLIENTS: i64 = 24;
const SEATS: u32 = 400;
const LIMIT: u64 = 10;
/// Users who are not of the crowd.
const ONLOOKER: i64 = 5_000;
const PROBE: i64 = 6_000;

/// No test may take longer: a server that stands still would hold it for ever.
const LIMIT_OF_A_TEST: Duration = Duration::from_secs(120);

const SETTINGS: &[(&str, &str)] =
    &[("HOLD_TTL", "4s"), ("QUEUE_CLAIM_TTL", "2s"), ("QUEUE_ACTIVE_LIMIT", "10")];

/// The servers, of whoever's turn it is. Whoever had them before may have failed half way.
async fn servers() -> MutexGuard<'static, Servers> {
    static SERVERS: OnceCell<Mutex<Servers>> = OnceCell::const_new();
    let start = async || Mutex::new(Servers::start(&Server::ALL).await);
    let servers = SERVERS.get_or_init(start).await.lock().await;
    servers.mend().await;
    servers
}

/// Two processes with a crowd in front of them, and a show that is only looked at.
struct Scene {
    servers: MutexGuard<'static, Servers>,
    set: FullSet,
    processes: [Service; 2],
    crowd: Crowd,
    show: Show,
    quiet: Show,
    outbox: Arc<dyn Outbox>,
}

impl Scene {
    async fn new() -> Self {
        let servers = servers().await;
        let set = FullSet::on(&servers.addresses()).await;
        let first = Service::on(&set, SETTINGS).await;
        let processes = [first, Service::on(&set, SETTINGS).await];
        let client = &processes[0].client;
        let (show, quiet) = (client.show(SEATS).await, client.show(10).await);
        let instances = Instances::of(processes.iter().map(|process| process.client.clone()));
        let crowd = Crowd::new(instances, &show, LIMIT).that_may_lose_its_places();
        let crowd = crowd.that_comes_back();
        let outbox = set.ports().await.outbox;
        Self { servers, set, processes, crowd, show, quiet, outbox }
    }

    fn clients(&self) -> impl Iterator<Item = &Client> {
        self.processes.iter().map(|process| &process.client)
    }

    /// Runs the storm while `trouble` lasts, and goes through all books when everybody is done.
    async fn through(self, trouble: impl AsyncFnOnce(&Self)) {
        let trouble = async {
            self.until_sold(5).await;
            self.crowd.notes.take();
            trouble(&self).await;
            self.crowd.close();
        };
        let storm = async { tokio::join!(self.crowd.rush(CLIENTS), trouble) };
        let (told, ()) = tokio::time::timeout(LIMIT_OF_A_TEST, storm).await.expect("it ends");
        self.crowd.until_gone().await;
        let users: Vec<i64> = (1..=CLIENTS).chain([ONLOOKER, PROBE]).collect();
        let books = audit(&self.processes[0].client, &self.show, &users).await;
        assert_eq!((books.paid, books.refunded), (told.paid, told.refunded), "told and booked");
        let second_copies = reconcile(&self.set, books).await;
        println!("{books:?}, records that were published twice: {second_copies}\n");
        for process in self.processes {
            assert_eq!(process.terminate().await, Some(0));
        }
    }

    /// Waits until the crowd has bought so many seats more.
    async fn until_sold(&self, more: i64) {
        let sold = async || {
            let query = "SELECT COUNT(*) AS n FROM payments";
            self.set.database().connect().await.number(query).await
        };
        let before = sold().await;
        eventually("the crowd buys", async || (sold().await >= before + more).then_some(())).await;
    }

    /// Somebody who is admitted to the quiet show and looks at its seats, so that they are cached.
    async fn onlooker(&self) -> Buyer {
        let client = &self.processes[0].client;
        let buyer = client.buyer(ONLOOKER).join(self.quiet.concert).await;
        buyer.seats(self.quiet.schedule).await.ok(200);
        buyer
    }

    /// Waits until both processes do everything again, and tells what the clients saw until then.
    async fn recovered(&self, fault: &str, since: Instant) {
        for client in self.clients() {
            eventually("the service is well", async || is_well(client, &self.quiet).await).await;
        }
        let took = since.elapsed().as_secs_f64();
        println!("{fault}; clients saw until it was over\n{}", self.crowd.notes.take());
        println!("    everything works again {took:.2} s after the server's return\n");
        assert!(took < 15.0, "{fault}: {took} s are no seconds");
    }
}

/// Something of everything: MySQL is written, and the queue is asked.
async fn is_well(client: &Client, show: &Show) -> Option<()> {
    let buyer = client.buyer(PROBE);
    let charge = buyer.charge(100).await;
    if charge.status == 409 {
        assert_eq!(charge.body["code"], "POINT_LIMIT_EXCEEDED");
    } else if charge.status != 200 {
        return None;
    }
    let joined = buyer.joining(show.concert).await;
    let token = joined.body["token"].as_str()?.to_owned();
    (buyer.with_token(&token).leave().await.status == 204).then_some(())
}

/// Sends it through notes, which know the deadline.
async fn works(what: &'static str, call: Call) {
    let answer = Notes::default().send(what, call).await.expect("an answer");
    assert!(matches!(answer.status, 200 | 201), "{what}: {answer:?}");
}

async fn is_refused(what: &'static str, call: Call) {
    let answer = Notes::default().send(what, call).await.expect("an answer");
    answer.refused(503, "SERVICE_UNAVAILABLE");
}

/// Polls and cached reads go on, the rest is refused for now.
async fn without_mysql(scene: &Scene, onlooker: &Buyer) {
    let everywhere = scene.clients().map(async |client| {
        let buyer = client.buyer(PROBE);
        let onlooker = client.buyer(ONLOOKER).with_token(&onlooker.token);
        works("poll", onlooker.status()).await;
        works("cached seats", onlooker.seats(scene.quiet.schedule)).await;
        works("cached concert", client.get(format!("/concerts/{}", scene.quiet.concert))).await;
        tokio::join!(
            is_refused("charge", buyer.charge(100)),
            is_refused("points", client.get(format!("/points/{PROBE}"))),
            is_refused("catalogue", client.get("/concerts")),
            is_refused("hold", onlooker.hold(scene.quiet.schedule, scene.quiet.seats[0])),
        );
    });
    join_all(everywhere).await;
}

/// The catalogue, points and histories go on; what needs the queue is refused for now.
async fn without_redis(scene: &Scene, onlooker: &Buyer) {
    let everywhere = scene.clients().map(async |client| {
        let buyer = client.buyer(PROBE);
        let onlooker = client.buyer(ONLOOKER).with_token(&onlooker.token);
        works("catalogue", client.get("/concerts")).await;
        works("concert", client.get(format!("/concerts/{}", scene.quiet.concert))).await;
        works("ranking", client.get("/concerts/ranking")).await;
        works("points", client.get(format!("/points/{PROBE}"))).await;
        works("charge", buyer.charge(100)).await;
        works("ledger", client.get(format!("/users/{PROBE}/points/history"))).await;
        works("reservations", client.get("/users/1/reservations")).await;
        tokio::join!(
            is_refused("join", buyer.joining(scene.quiet.concert)),
            is_refused("poll", onlooker.status()),
            is_refused("schedules", onlooker.schedules(scene.quiet.concert)),
            is_refused("seats", onlooker.seats(scene.quiet.schedule)),
            is_refused("hold", onlooker.hold(scene.quiet.schedule, scene.quiet.seats[0])),
            is_refused("pay", onlooker.pay(1)),
        );
    });
    join_all(everywhere).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_stands_still_and_mysql_is_killed() {
    let scene = Scene::new().await;
    scene
        .through(async |scene| {
            let onlooker = scene.onlooker().await;
            scene.servers.pause(Server::Mysql).await;
            without_mysql(scene, &onlooker).await;
            scene.servers.go_on(Server::Mysql);
            scene.recovered("MySQL stood still", Instant::now()).await;

            let onlooker = scene.onlooker().await;
            scene.servers.kill(Server::Mysql).await;
            without_mysql(scene, &onlooker).await;
            scene.servers.up(&[Server::Mysql]).await;
            scene.recovered("MySQL was killed", Instant::now()).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_stands_still_is_killed_and_forgets_everything() {
    let scene = Scene::new().await;
    scene
        .through(async |scene| {
            let onlooker = scene.onlooker().await;
            scene.servers.pause(Server::Redis).await;
            without_redis(scene, &onlooker).await;
            scene.servers.go_on(Server::Redis);
            scene.recovered("Redis stood still", Instant::now()).await;

            let onlooker = scene.onlooker().await;
            scene.servers.kill(Server::Redis).await;
            without_redis(scene, &onlooker).await;
            scene.servers.up(&[Server::Redis]).await;
            scene.recovered("Redis was killed and came back empty", Instant::now()).await;
            onlooker.status().await.refused(401, "TOKEN_NOT_FOUND");

            scene.until_sold(3).await;
            scene.set.flush_redis().await;
            scene.recovered("Redis lost everything", Instant::now()).await;
            scene.until_sold(3).await;
        })
        .await;
    // That no more were ever active than may be, the crowd has watched all the time.
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sales_go_on_without_kafka_and_their_events_are_delivered_afterwards() {
    let scene = Scene::new().await;
    scene
        .through(async |scene| {
            scene.servers.kill(Server::Kafka).await;
            let before = scene.outbox.backlog().await.unwrap().pending;
            scene.until_sold(20).await;
            let grown = scene.outbox.backlog().await.unwrap().pending;
            assert!(grown >= before + 15, "from {before} to {grown} events wait");
            let seen = scene.crowd.notes.take();
            assert_eq!(seen.disturbed(), 0, "buyers noticed:\n{seen}");
            println!("Kafka was killed; {grown} events wait; clients saw\n{seen}");

            scene.servers.up(&[Server::Kafka]).await;
            let back = Instant::now();
            eventually("the outbox drains", async || {
                let pending = scene.outbox.backlog().await.ok()?.pending;
                (pending < 5).then_some(())
            })
            .await;
            scene.recovered("Kafka came back and the outbox drained", back).await;
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_and_sells_while_kafka_is_away() {
    let servers = servers().await;
    servers.kill(Server::Kafka).await;
    let set = FullSet::on(&servers.addresses()).await;
    let service = Service::on(&set, SETTINGS).await;
    let show = service.client.show(1).await;
    service.client.buyer(1).bought(&show, show.seats[0]).await;
    servers.up(&[Server::Kafka]).await;
    let books = audit(&service.client, &show, &[1]).await;
    assert_eq!(books.paid, PRICE);
    reconcile(&set, books).await;
}
