//! `concert bench http`: how much the service answers, and how fast.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::super::say;
use super::super::wire::Connection;
use super::table::{Row, Times, render};
use crate::config::{Config, DatabaseUrl, Engines};
use crate::{Application, composition};

/// Seats of the schedule whose list is read.
const LISTED_SEATS: u32 = 50;
/// Seats to a schedule that is bought empty.
const BOUGHT_SEATS: u32 = 100_000;
/// More purchases a second than any machine here makes; so many seats are made for each second.
const PURCHASES_A_SECOND: u64 = 5_000;
const PRICE: i64 = 10;

/// How hard and how long.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Seconds for each of the three parts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Clients that each wait for an answer before they send the next request.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// A service that runs already, as http://HOST:PORT; its administration must be open.
    #[arg(long)]
    url: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    engines: Engines,
}

impl Default for Args {
    fn default() -> Self {
        Self { seconds: 5, clients: 32, url: None, json: false, engines: Engines::default() }
    }
}

pub(super) async fn run(args: Args) -> Result<()> {
    let own = if args.url.is_none() { Some(Service::start(&args.engines).await?) } else { None };
    let addr = match (&args.url, &own) {
        (Some(url), _) => resolve(url).await?,
        (None, own) => own.as_ref().context("a service of our own")?.addr,
    };
    let rows = measure(addr, &args).await?;
    if let Some(service) = own {
        service.stop().await?;
    }
    if args.json {
        return say(json!({
            "clients": args.clients,
            "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        }));
    }
    say(format_args!("{} clients, {} s for each part", args.clients, args.seconds))?;
    say(render(&rows))?;
    say("join, hold and pay ran together: each client joins, holds a seat and pays for it.\n")
}

async fn resolve(url: &str) -> Result<SocketAddr> {
    let host = url.trim_end_matches('/').strip_prefix("http://");
    let host = host.with_context(|| format!("--url is {url:?}, but must be http://HOST:PORT"))?;
    let mut addrs = tokio::net::lookup_host(host)
        .await
        .with_context(|| format!("--url is {url:?}, which cannot be looked up"))?;
    addrs.next().with_context(|| format!("--url is {url:?}, which has no address"))
}

/// A service of our own: on the engines that are configured if they are for many instances, else
/// on the embedded engine in a temporary folder, since nobody wants the benchmark in the own file.
struct Service {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<()>>,
    _folder: TempDir,
}

impl Service {
    async fn start(engines: &Engines) -> Result<Self> {
        let folder = tempfile::tempdir().context("a temporary folder")?;
        let engines = match &engines.database_url {
            DatabaseUrl::Mysql(url) => {
                tracing::warn!("measuring on {url}: a concert and its buyers are made there");
                engines.clone()
            }
            DatabaseUrl::Sqlite(_) => Engines::embedded(&folder.path().join("bench.db")),
        };
        let config = Config {
            http_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            engines,
            ..Config::default()
        };
        let ports = composition::engine(&config).await?;
        let app = Application::build(config, ports).await?;
        let addr = app.addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let running =
            tokio::spawn(app.run_until_stopped(async move { stopped.await.unwrap_or_default() }));
        Ok(Self { addr, stop, running, _folder: folder })
    }

    async fn stop(self) -> Result<()> {
        // If it has ended already, its answer says why.
        self.stop.send(()).ok();
        self.running.await.context("the service panicked")?
    }
}

/// What every client needs.
struct Show {
    addr: SocketAddr,
    concert: Value,
    listed: Value,
    bought: Vec<(Value, Value)>,
    next: AtomicUsize,
}

impl Show {
    /// A seat that nobody was given before, with its schedule.
    fn seat(&self) -> Option<&(Value, Value)> {
        self.bought.get(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

async fn measure(addr: SocketAddr, args: &Args) -> Result<Vec<Row>> {
    let seats = args.seconds.saturating_mul(PURCHASES_A_SECOND);
    let show = Arc::new(prepare(addr, seats).await?);
    let during = Duration::from_secs(args.seconds);
    let mut clients = Vec::new();
    for _ in 0..args.clients {
        clients.push(Client::new(show.clone()).await?);
    }
    let mut rows = Vec::new();
    for part in [Part::Status, Part::Seats, Part::Buy] {
        let (times, back) = play(clients, part, during).await?;
        clients = back;
        for (what, times) in part.calls().iter().zip(times) {
            rows.push(Row { what, times, during });
        }
    }
    Ok(rows)
}

async fn prepare(addr: SocketAddr, seats: u64) -> Result<Show> {
    let mut admin = Connection::open(addr).await?;
    let concert = admin
        .must("POST", "/api/v1/admin/concerts", "", Some(&json!({ "title": "Benchmark" })))
        .await?["id"]
        .take();
    let limit = json!({ "activeLimit": 1_000_000 });
    let queue = format!("/api/v1/admin/concerts/{concert}/queue");
    admin.must("PATCH", &queue, "", Some(&limit)).await?;
    let listed = schedule(&mut admin, &concert, LISTED_SEATS).await?;
    let mut client = Buyer::join(&mut admin, &concert).await?;
    let mut bought = Vec::new();
    for _ in 0..seats.div_ceil(BOUGHT_SEATS.into()) {
        let schedule = schedule(&mut admin, &concert, BOUGHT_SEATS).await?;
        bought.extend(client.seats(&mut admin, &schedule).await?);
    }
    Ok(Show { addr, concert, listed, bought, next: AtomicUsize::new(0) })
}

async fn schedule(admin: &mut Connection, concert: &Value, seats: u32) -> Result<Value> {
    let body = json!({
        "startsAt": "2999-01-01T10:00:00.000Z",
        "reservationOpensAt": "2000-01-01T00:00:00.000Z",
    });
    let path = format!("/api/v1/admin/concerts/{concert}/schedules");
    let schedule = admin.must("POST", &path, "", Some(&body)).await?["id"].take();
    let body = json!({ "ranges": [{ "from": 1, "to": seats, "price": PRICE }] });
    admin
        .must("POST", &format!("/api/v1/admin/schedules/{schedule}/seats"), "", Some(&body))
        .await?;
    Ok(schedule)
}

/// A user with points and a token.
struct Buyer {
    user: Value,
    token: String,
}

impl Buyer {
    async fn join(connection: &mut Connection, concert: &Value) -> Result<Self> {
        let name = json!({ "name": "Benchmark" });
        let user =
            connection.must("POST", "/api/v1/users", "", Some(&name)).await?["userId"].take();
        let points = json!({ "userId": user, "amount": 1_000_000, "paymentMethod": "CARD" });
        connection.must("PATCH", "/api/v1/points/charge", "", Some(&points)).await?;
        let join = json!({ "userId": user, "concertId": concert });
        let ticket = connection.must("POST", "/api/v1/queue/tokens", "", Some(&join)).await?;
        Ok(Self { user, token: text(&ticket["token"])? })
    }

    async fn seats(
        &mut self,
        connection: &mut Connection,
        schedule: &Value,
    ) -> Result<Vec<(Value, Value)>> {
        let path = format!("/api/v1/schedules/{schedule}/seats");
        let list = connection.must("GET", &path, &self.token, None).await?;
        let seats = list["seats"].as_array().context("a list of seats")?;
        Ok(seats.iter().map(|seat| (schedule.clone(), seat["id"].clone())).collect())
    }
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("a text")?.to_owned())
}

#[derive(Clone, Copy)]
enum Part {
    Status,
    Seats,
    Buy,
}

impl Part {
    fn calls(self) -> &'static [&'static str] {
        match self {
            Self::Status => &["status"],
            Self::Seats => &["seats"],
            Self::Buy => &["join", "hold", "pay"],
        }
    }
}

/// Lets all clients do one part; answers the times of each of its calls, and the clients.
async fn play(
    clients: Vec<Client>,
    part: Part,
    during: Duration,
) -> Result<(Vec<Times>, Vec<Client>)> {
    let mut totals = (0..part.calls().len()).map(|_| Times::new()).collect::<Result<Vec<_>>>()?;
    let end = Instant::now() + during;
    let mut running = JoinSet::new();
    for mut client in clients {
        running.spawn(async move {
            let times = client.play(part, end).await?;
            anyhow::Ok((client, times))
        });
    }
    let mut back = Vec::new();
    while let Some(done) = running.join_next().await {
        let (client, times) = done.context("a client panicked")??;
        for (total, times) in totals.iter_mut().zip(&times) {
            total.add(times)?;
        }
        back.push(client);
    }
    Ok((totals, back))
}

struct Client {
    connection: Connection,
    buyer: Buyer,
    show: Arc<Show>,
}

impl Client {
    async fn new(show: Arc<Show>) -> Result<Self> {
        let mut connection = Connection::open(show.addr).await?;
        let buyer = Buyer::join(&mut connection, &show.concert).await?;
        Ok(Self { connection, buyer, show })
    }

    async fn play(&mut self, part: Part, end: Instant) -> Result<Vec<Times>> {
        let calls = part.calls().len();
        let mut times = (0..calls).map(|_| Times::new()).collect::<Result<Vec<_>>>()?;
        let seats = format!("/api/v1/schedules/{}/seats", self.show.listed);
        while Instant::now() < end {
            match part {
                Part::Status => {
                    self.call(&mut times[0], "GET", "/api/v1/queue/status", None).await?;
                }
                Part::Seats => {
                    self.call(&mut times[0], "GET", &seats, None).await?;
                }
                Part::Buy => {
                    if !self.buy(&mut times).await? {
                        break;
                    }
                }
            }
        }
        Ok(times)
    }

    /// Joins, holds and pays; answers whether there was a seat left to do so.
    async fn buy(&mut self, times: &mut [Times]) -> Result<bool> {
        let show = self.show.clone();
        let Some((schedule, seat)) = show.seat() else { return Ok(false) };
        let user = self.buyer.user.clone();
        let join = json!({ "userId": user, "concertId": show.concert });
        if !self.call(&mut times[0], "POST", "/api/v1/queue/tokens", Some(&join)).await? {
            return Ok(true);
        }
        self.buyer.token = text(&self.connection.json()?["token"])?;
        let hold = json!({ "userId": user, "scheduleId": schedule, "seatId": seat });
        if !self.call(&mut times[1], "POST", "/api/v1/reservations", Some(&hold)).await? {
            return Ok(true);
        }
        let held = self.connection.json()?;
        let pay = json!({ "userId": user, "reservationId": held["reservationId"] });
        self.call(&mut times[2], "POST", "/api/v1/payments", Some(&pay)).await?;
        Ok(true)
    }

    /// One timed call; answers whether it succeeded. A refusal counts as an error, not as a time.
    async fn call(
        &mut self,
        times: &mut Times,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<bool> {
        let started = Instant::now();
        let status = self.connection.send(method, path, &self.buyer.token, body).await?;
        let succeeded = (200..300).contains(&status);
        if succeeded {
            times.record(started.elapsed());
        } else {
            times.errors += 1;
        }
        Ok(succeeded)
    }
}
