//! `concert bench http`: how much the service answers, beside what the machine could do.

mod hot;
mod page;
mod setup;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use indicatif::ProgressBar;

use super::contest::{Lane, Outcome, Runner, Supply, play};
use super::effort::Effort;
use super::limits::{self, Bare, Statement};
use super::load::{Wire, get, request};
use super::meter::{Meter, Servers};
use super::place::Place;
use super::report::Environment;
use super::service::{Memory, Service};
use super::world::{PATIENT, World};
use crate::config::Engines;
use hot::{Burst, burst, gather};
pub(super) use setup::{Booking, payments};
use setup::{LARGE, SMALL, Setup, deal, holds};

/// Lanes of all contests, for the progress bar.
const LANES: usize = 24;

/// How hard and how long.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  scripts/services run -- scripts/bench.sh http              on MySQL, Redis and Kafka of its own
  concert bench http --quick                                 on the embedded engine, a first look
  concert bench http --clients 64 --rounds 3 --seconds 5
  concert bench http --only joins,bookings
  concert bench http --out docs/benchmarks/http.json

Everything runs on this machine: the service as a process of its own, the servers, and the load.
Beside each path stands the limit of the same run, in rounds that take turns: a handler that does
nothing but answer the same bytes, a bare command to Redis, bare statements to MySQL.

The data lies in a database, under keys and in topics of its own on the servers that DATABASE_URL,
REDIS_URL and KAFKA_BROKERS name, or in a temporary folder if DATABASE_URL names no MySQL server.
It is removed at the end, but for the topics.")]
pub(super) struct Args {
    /// Clients that each wait for an answer before they send the next request; several numbers are
    /// measured one after the other [default: 32,128].
    #[arg(long, value_delimiter = ',', value_name = "COUNT,...",
          value_parser = clap::value_parser!(u16).range(1..=5_000))]
    clients: Vec<u16>,
    /// Only these paths; several with commas [default: all].
    #[arg(long, value_delimiter = ',', value_name = "PATHS")]
    only: Vec<Paths>,
    #[command(flatten)]
    effort: Effort,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    engines: Engines,
}

/// Paths that are measured one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Paths {
    /// Polls, schedules and lists of seats.
    Reads,
    /// Joins of the queue.
    Joins,
    /// Holds and payments.
    Bookings,
    /// Charges.
    Charges,
    /// A crowd that wants one seat.
    Bursts,
}

impl Args {
    fn wants(&self, paths: Paths) -> bool {
        self.only.is_empty() || self.only.contains(&paths)
    }

    fn clients(&self) -> Vec<usize> {
        let own = self.clients.iter().map(|clients| usize::from(*clients)).collect();
        let default = || self.effort.size(vec![32, 128], vec![32, 128], vec![8]);
        if self.clients.is_empty() { default() } else { own }
    }
}

/// One contest, played by so many clients.
struct Played {
    clients: usize,
    /// The path first, then its limits.
    outcomes: Vec<Outcome>,
}

/// What was found.
struct Figures {
    engines: &'static str,
    pool: usize,
    contests: Vec<Played>,
    bursts: Vec<Burst>,
    /// From the start of the process until it was ready, on a store that was there.
    ready: Duration,
    resident: Resident,
}

/// The resident memory of the service, where the system tells it.
#[derive(Default)]
struct Resident {
    /// Before the first request.
    idle: Option<Memory>,
    /// After each of the groups in turn; those before are in it.
    after: Vec<(Paths, Memory)>,
    /// After all of them and the longest list.
    longest: Option<Memory>,
    /// Of the bare handler: before the first request, and after all but the longest list.
    bare: Option<(Memory, Memory)>,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let place = Place::new(&args.engines).await?;
    let figures = measure(&args, &place).await;
    let cleared = place.clear().await;
    let environment = Environment::of(&args.engines).await;
    args.effort.finish(page::section(&figures?, &args.effort, environment)?)?;
    cleared
}

async fn measure(args: &Args, place: &Place) -> Result<Figures> {
    let clients = args.clients();
    let rounds = args.effort.rounds() * clients.len() as u32;
    let world = World::new(place.ports().await?);
    let setup = Setup::new(&world, &args.effort, rounds).await?;
    drop(world);
    let database = match place.sql() {
        Some(sql) => Some(Bare::new(sql).await?),
        None => None,
    };
    // The first start brings the store to its version, the second one is as they are every day.
    place.serve(&PATIENT).await?.stop().await?;
    let service = place.serve(&PATIENT).await?;
    let bar = args.effort.bar("paths", rounds as usize * LANES);
    let mut resident = Resident { idle: service.memory(), ..Resident::default() };
    let bare = Service::bare().await?;
    let bare_idle = bare.memory();
    let (ready, effort) = (service.ready_after, &args.effort);
    let ours = Meter::of(&service, place, &args.servers);
    let servers = Servers::default();
    let its = Meter { process: bare.process(), servers, sql: None, redis: None };
    let meters = [Arc::new(ours), Arc::new(its)];
    let contests = Vec::new();
    let mut run =
        Run { effort, place, service, bare, meters, database, setup, clients, contests, bar };
    let mut bursts = Vec::new();
    for paths in Paths::value_variants().iter().filter(|paths| args.wants(**paths)) {
        match paths {
            Paths::Reads => run.reads().await?,
            Paths::Joins => run.joins().await?,
            Paths::Bookings => run.bookings().await?,
            Paths::Charges => run.charges().await?,
            Paths::Bursts => bursts = run.bursts().await?,
        }
        resident.after.extend(run.service.memory().map(|memory| (*paths, memory)));
    }
    resident.bare = bare_idle.zip(run.bare.memory());
    if args.wants(Paths::Reads) {
        run.longest_list().await?;
        resident.longest = run.service.memory();
    }
    run.bar.finish_and_clear();
    run.service.stop().await?;
    let contests = run.contests;
    Ok(Figures { engines: place.engines(), pool: place.pool(), contests, bursts, ready, resident })
}

struct Run<'a> {
    effort: &'a Effort,
    place: &'a Place,
    service: Service,
    bare: Service,
    /// Of the service, and of the bare handler.
    meters: [Arc<Meter>; 2],
    database: Option<Bare>,
    setup: Setup,
    clients: Vec<usize>,
    contests: Vec<Played>,
    bar: ProgressBar,
}

impl Run<'_> {
    async fn reads(&mut self) -> Result<()> {
        let poll = self.poll()?;
        self.teach("status", &poll).await?;
        let mut lanes = vec![self.ours("status", self.setup.polls()), self.bare("status", &poll)];
        lanes.extend(self.redis());
        self.contest(lanes).await?;
        let (token, concert) = (self.setup.reader.token.clone(), self.setup.read);
        let schedules = get(&format!("/api/v1/concerts/{concert}/schedules"), &token);
        self.read("schedules", schedules).await?;
        let shorter: Vec<_> = self.setup.lists.split_last().context("lists")?.1.to_vec();
        for (seats, schedule) in shorter {
            let path = format!("/api/v1/schedules/{schedule}/seats");
            self.read(&format!("seats, hall of {seats}"), get(&path, &token)).await?;
            if seats == SMALL {
                let tag = self.etag(&get(&path, &token)).await?;
                let known = format!("if-none-match: {tag}\r\n");
                self.read("seats, 304", request("GET", &path, &token, &known, None)).await?;
            }
        }
        Ok(())
    }

    /// Of somebody who waits.
    fn poll(&self) -> Result<Vec<u8>> {
        let first = self.setup.waiting.first().context("somebody who waits")?;
        Ok(get("/api/v1/queue/status", &first.token))
    }

    /// By itself, and last: what it does to the memory is no measure of the rest.
    async fn longest_list(&mut self) -> Result<()> {
        let token = self.setup.reader.token.clone();
        let (seats, schedule) = *self.setup.lists.last().context("a list")?;
        let path = format!("/api/v1/schedules/{schedule}/seats");
        self.read(&format!("seats, hall of {seats}"), get(&path, &token)).await
    }

    /// A path that answers the same again and again, beside a handler that does nothing else.
    async fn read(&mut self, name: &str, request: Vec<u8>) -> Result<()> {
        self.teach(name, &request).await?;
        let ours = self.ours(name, Supply::again(vec![request.clone()]));
        let bare = self.bare(name, &request);
        self.contest(vec![ours, bare]).await
    }

    async fn joins(&mut self) -> Result<()> {
        let mut lanes = vec![self.ours("token issue", self.setup.joins())];
        lanes.extend(self.redis());
        self.contest(lanes).await
    }

    async fn bookings(&mut self) -> Result<()> {
        let (small, large) = (holds(&self.setup.small), holds(&self.setup.large));
        let mut lanes = vec![
            self.ours(format!("hold, hall of {SMALL}"), Supply::Dealt(small.clone())),
            self.ours(format!("hold, hall of {LARGE}"), Supply::Dealt(large.clone())),
        ];
        lanes.extend(self.sql("bare commits", limits::take_seat));
        self.contest(lanes).await?;

        let mut paid = payments(&self.setup.small, &small)?;
        paid.extend(payments(&self.setup.large, &large)?);
        let rounds = self.effort.rounds() * self.clients.len() as u32;
        let mut lanes = vec![self.ours("pay", deal(paid, rounds))];
        lanes.extend(self.sql("bare transactions", limits::pay));
        self.contest(lanes).await
    }

    async fn charges(&mut self) -> Result<()> {
        let mut lanes = vec![self.ours("charge, many users", self.setup.charges())];
        lanes.extend(self.sql("bare transactions", limits::charge));
        self.contest(lanes).await?;
        let mut lanes = vec![self.ours("charge, one user", self.setup.charges_of_one())];
        lanes.extend(self.sql("bare updates of one row", limits::charge_one));
        self.contest(lanes).await
    }

    async fn bursts(&mut self) -> Result<Vec<Burst>> {
        let poll = self.poll()?;
        self.teach("crowd", &poll).await?;
        let sql = self.place.sql();
        let mut bursts = Vec::new();
        for crowd in &self.setup.hot {
            bursts.push(burst(self.service.addr, crowd, sql.as_ref()).await?);
            // What so many connections take in a server that does nothing else.
            let polls = vec![bare_request("crowd", &poll); crowd.len()];
            gather(self.bare.addr, polls).await?;
        }
        // Before the first one nobody had ever come in such numbers.
        bursts.remove(0);
        Ok(bursts)
    }

    async fn contest(&mut self, mut lanes: Vec<Lane>) -> Result<()> {
        for clients in self.clients.clone() {
            let (rounds, during) = (self.effort.rounds(), self.effort.during());
            let outcomes = play(&mut lanes, clients, rounds, during, &self.bar).await?;
            self.contests.push(Played { clients, outcomes });
        }
        Ok(())
    }

    fn ours(&self, name: impl Into<String>, supply: Supply) -> Lane {
        Lane::new(name, Runner::Http(vec![self.service.addr], supply)).metered(&self.meters[0])
    }

    /// The handler that was taught the answer of this name.
    fn bare(&self, name: &str, request: &[u8]) -> Lane {
        let again = Supply::again(vec![bare_request(name, request)]);
        let runner = Runner::Http(vec![self.bare.addr], again);
        Lane::new("bare handler", runner).metered(&self.meters[1])
    }

    fn redis(&self) -> Option<Lane> {
        Some(Lane::new("bare Redis", Runner::Redis(self.place.redis()?.clone())))
    }

    fn sql(&self, name: &str, statement: Statement) -> Option<Lane> {
        let database = self.database.as_ref()?.rewound();
        Some(Lane::new(name, Runner::Sql(database, self.place.pool(), statement)))
    }

    /// Lets the bare handler answer what the service answers now.
    async fn teach(&self, name: &str, request: &[u8]) -> Result<()> {
        let mut wire = Wire::open(self.service.addr).await?;
        let answer = wire.exchange(request).await?;
        (answer.status < 400)
            .then_some(())
            .with_context(|| format!("{name} answers {}", answer.status))?;
        let head = format!(
            "PUT {}?status={} HTTP/1.1\r\nhost: bench\r\ncontent-length: {}\r\n\r\n",
            taught(name),
            answer.status,
            answer.body.len()
        );
        let teaching = [head.as_bytes(), answer.body].concat();
        let taught = Wire::open(self.bare.addr).await?.exchange(&teaching).await?.status;
        (taught == 204).then_some(()).context("the bare handler learns nothing")
    }

    async fn etag(&self, request: &[u8]) -> Result<String> {
        let mut wire = Wire::open(self.service.addr).await?;
        let answer = wire.exchange(request).await?;
        Ok(answer.header("etag").context("a list of seats has an ETag")?.to_owned())
    }
}

/// A request for the taught answer, the same as that to the service but for the path.
fn bare_request(name: &str, request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let mut words = text.splitn(3, ' ');
    let (method, rest) = (words.next().unwrap_or("GET"), words.nth(1).unwrap_or_default());
    format!("{method} {} {rest}", taught(name)).into_bytes()
}

/// The path of a taught answer.
fn taught(name: &str) -> String {
    let letters =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    format!("/{}", letters.collect::<String>())
}
