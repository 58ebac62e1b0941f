//! `concert bench locks`: ways to sell a seat once, on the same work.

mod pool;
mod stop;
mod strategy;
mod work;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use concert_adapter_mysql::lab::{Lab, Session};
use concert_adapter_mysql::{Mysql, Options};
use concert_adapter_redis::Redis;

use super::report::{
    Band, Cell, Column, Environment, Kind, Output, Plot, Sample, Scale, Section, Series, Table,
    Target, progress,
};
use crate::config::{DatabaseUrl, Engines};
use pool::Pool;
use stop::Story;
use strategy::{LEASE, Strategy};
use work::{Round, Work, quantile};

/// Connections to the database, for every strategy.
const CONNECTIONS: usize = 24;

/// Which ways, and how often.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert bench locks --out docs/benchmarks/locks.json
  concert bench locks --strategy ours --strategy pessimistic --rounds 10
  concert bench locks --quick --json

Needs MySQL and Redis. Works in a database of its own beside the one that the URL names
(concert_bench_...), which is dropped at the end; locks in Redis have a prefix of their own.")]
pub(super) struct Args {
    /// Only this one; can be given several times.
    #[arg(long, value_name = "NAME")]
    strategy: Vec<Strategy>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    engines: Engines,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let DatabaseUrl::Mysql(url) = &args.engines.database_url else {
        bail!(
            "bench locks needs a MySQL server: --database-url mysql://USER:PASSWORD@HOST:PORT/DB"
        );
    };
    let redis = args.engines.redis().context("bench locks needs Redis: --redis-url redis://...")?;
    let prefix = format!("{}-bench-locks:", args.engines.redis_key_prefix);
    let redis = Redis::connect(redis.expose(), &prefix).await?;
    let lab = Arc::new(Lab::create(url.expose()).await?);
    let measured = measure(&lab, &redis, &args).await;
    lab.remove().await?;
    let (lines, stories) = measured?;
    let environment = Environment::of(&args.engines).await;
    let mut section = section(&lines, environment);
    section.tables.push(stop::table(&stories, args.lease()));
    section.targets.push(never_twice(&stories));
    args.output.finish(section)
}

/// What one strategy did with one kind of work.
struct Line {
    strategy: Strategy,
    work: Work,
    winners: Sample,
    double_sales: i64,
    per_second: Sample,
    burst: Sample,
    winners_p50: Sample,
    winners_p99: Sample,
    losers_p50: Sample,
    losers_p99: Sample,
    connections: Option<Sample>,
    longest_wait: Option<Sample>,
    failed: usize,
}

impl Args {
    /// How long locks in Redis last while holders stop.
    fn lease(&self) -> Duration {
        Duration::from_millis(if self.output.quick { 300 } else { 1_000 })
    }
}

async fn measure(lab: &Arc<Lab>, redis: &Redis, args: &Args) -> Result<(Vec<Line>, Vec<Story>)> {
    let strategies = match args.strategy.as_slice() {
        [] => Strategy::value_variants(),
        some => some,
    };
    let works = work::all(args.output.quick);
    // One round more than is counted: the first one warms up.
    let rounds = args.output.rounds().0 as i64 + 1;
    let seats = works.iter().map(|work| work.seats).sum::<i64>() * rounds + 2;
    let seats = seats * strategies.len() as i64;
    let store = Mysql::connect(lab.url(), Options { connections: CONNECTIONS }).await?;
    store.migrate().await?;
    let mut session = lab.connect().await?;
    prepare(&mut session, seats).await?;
    let pool = Pool::new(lab.clone(), CONNECTIONS);
    pool.fill().await?;
    let bar = progress("strategies", strategies.len() as u64 * works.len() as u64);
    let (mut first_seat, mut first_user) = (1, 1);
    let mut lines = Vec::new();
    for work in works {
        for strategy in strategies.iter().copied() {
            let port = strategy.make(pool.clone(), redis.clone(), Arc::new(store.clone()), LEASE);
            let mut played = Vec::new();
            let mut used = Vec::new();
            let begin = first_seat;
            for _ in 0..rounds {
                pool.reset();
                played.push(work::play(work, port.clone(), first_seat, first_user).await?);
                used.push(pool.used());
                first_seat += work.seats;
                first_user += work.clients * work.attempts;
            }
            let binds = [begin, first_seat - 1];
            let double_sales = session.number(strategy.double_sales(), &binds).await?;
            lines.push(line(
                strategy,
                work,
                &mut played[1..],
                &used[1..],
                double_sales.unwrap_or(0),
            ));
            bar.inc(1);
        }
    }
    bar.finish();
    let (mut stories, lease) = (Vec::new(), args.lease());
    for strategy in strategies.iter().copied() {
        let port = strategy.make(pool.clone(), redis.clone(), Arc::new(store.clone()), lease);
        stories
            .push(stop::tell(strategy, &port, &mut session, lease, first_seat, first_user).await?);
        first_seat += 2;
        first_user += stop::USERS;
    }
    Ok((lines, stories))
}

/// The tables of the strategies, and the seats of the service for ours.
async fn prepare(session: &mut Session, seats: i64) -> Result<()> {
    let numbers = format!(
        "(WITH RECURSIVE c AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM c WHERE n < {seats})
          SELECT n FROM c) c"
    );
    let all = [
        format!("SET SESSION cte_max_recursion_depth = {}", seats + 1),
        "CREATE TABLE lab_seats (id BIGINT NOT NULL PRIMARY KEY, owner BIGINT NOT NULL,
             version BIGINT NOT NULL)"
            .into(),
        "CREATE TABLE lab_sales (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
             seat BIGINT NOT NULL, user BIGINT NOT NULL, KEY by_seat (seat))"
            .into(),
        "CREATE TABLE lab_unique (seat BIGINT NOT NULL PRIMARY KEY, user BIGINT NOT NULL)".into(),
        format!("INSERT INTO lab_seats SELECT n, 0, 0 FROM {numbers}"),
        "INSERT INTO concerts VALUES (1, 'Locks', NULL, 1)".into(),
        "INSERT INTO schedules VALUES (1, 1, 4102444800000, 0, 1)".into(),
        format!(
            "INSERT INTO seats (id, schedule_id, number, price, status)
             SELECT n, 1, n, 100, 'AVAILABLE' FROM {numbers}"
        ),
    ];
    for text in &all {
        session.batch(text).await?;
    }
    Ok(())
}

fn line(
    strategy: Strategy,
    work: Work,
    rounds: &mut [Round],
    used: &[(usize, Duration)],
    double_sales: i64,
) -> Line {
    let mut over = |unit: &str, value: &dyn Fn(&mut Round) -> f64| {
        Sample::of(&rounds.iter_mut().map(value).collect::<Vec<_>>(), unit)
    };
    // Ours has the pool of the adapter, whose use is not told.
    let own = strategy != Strategy::Ours;
    let connections: Vec<_> = used.iter().map(|(peak, _)| *peak as f64).collect();
    let waits: Vec<_> = used.iter().map(|(_, wait)| wait.as_secs_f64() * 1_000.0).collect();
    Line {
        strategy,
        work,
        winners: over("", &|round| round.won.len() as f64),
        double_sales,
        per_second: over("/s", &|round| round.attempts() as f64 / round.took.as_secs_f64()),
        burst: over("ms", &|round| round.took.as_secs_f64() * 1_000.0),
        winners_p50: over("ms", &|round| quantile(&mut round.won, 0.50)),
        winners_p99: over("ms", &|round| quantile(&mut round.won, 0.99)),
        losers_p50: over("ms", &|round| quantile(&mut round.lost, 0.50)),
        losers_p99: over("ms", &|round| quantile(&mut round.lost, 0.99)),
        connections: own.then(|| Sample::of(&connections, "")),
        longest_wait: own.then(|| Sample::of(&waits, "ms")),
        failed: rounds.iter().map(|round| round.failed).sum(),
    }
}

fn section(lines: &[Line], environment: Environment) -> Section {
    let mut section =
        Section::new("locks", "Ways to sell a seat once", "concert bench locks", environment);
    section.intro = format!(
        "Each strategy has the same clients, who start at once, fresh seats in every round, and at \
         most {CONNECTIONS} connections. Winners believe that they got the seat; double sales are \
         what the database says of all rounds afterwards. The in-process lock runs on two \
         instances, as a service that is scaled out does: it sells seats twice."
    );
    let mut titles: Vec<&str> = Vec::new();
    for line in lines {
        if !titles.contains(&line.work.title) {
            titles.push(line.work.title);
            section.tables.push(table(lines, line.work.title));
        }
    }
    section.targets = targets(lines);
    section.plots.push(plot(lines, &titles));
    section
}

fn table(lines: &[Line], title: &str) -> Table {
    let columns = [
        Column::words("Strategy"),
        Column::figures("winners", ""),
        Column::figures("double sales, all rounds", ""),
        Column::figures("attempts", "/s"),
        Column::figures("all answered", "ms"),
        Column::figures("winners p50", "ms"),
        Column::figures("winners p99", "ms"),
        Column::figures("losers p50", "ms"),
        Column::figures("losers p99", "ms"),
        Column::figures("connections in use", ""),
        Column::figures("longest wait for one", "ms"),
        Column::figures("failed", ""),
    ];
    let mut table = Table::new(title, columns);
    let or_none = |sample: &Option<Sample>| match sample {
        Some(sample) => Cell::from(sample.clone()),
        None => Cell::from("-"),
    };
    for line in lines.iter().filter(|line| line.work.title == title) {
        table.row([
            Cell::from(line.strategy.title()),
            line.winners.clone().into(),
            line.double_sales.to_string().into(),
            line.per_second.clone().into(),
            line.burst.clone().into(),
            line.winners_p50.clone().into(),
            line.winners_p99.clone().into(),
            line.losers_p50.clone().into(),
            line.losers_p99.clone().into(),
            or_none(&line.connections),
            or_none(&line.longest_wait),
            line.failed.to_string().into(),
        ]);
    }
    table
}

fn targets(lines: &[Line]) -> Vec<Target> {
    let ours = || lines.iter().filter(|line| line.strategy == Strategy::Ours);
    let double: i64 = ours().map(|line| line.double_sales).sum();
    let mut targets = Vec::new();
    if ours().next().is_some() {
        let sold = Sample::of(&[double as f64], "");
        targets.push(Target::at_most("double sales of ours", &sold, 0.0));
    }
    for line in ours().filter(|line| line.work.clients == 1_000) {
        let why = "one thousand answers of Redis and the hold itself: see losers p50";
        targets.push(Target::at_most(line.work.title, &line.burst, 200.0).because(why));
    }
    targets
}

fn never_twice(stories: &[Story]) -> Target {
    let ours = stories.iter().filter(|story| story.strategy == Strategy::Ours);
    let double: i64 = ours.map(Story::double_sales).sum();
    let double = Sample::of(&[double as f64], "");
    Target::at_most("double sales of ours when a holder stops", &double, 0.0)
}

fn plot(lines: &[Line], titles: &[&str]) -> Plot {
    let series = Strategy::value_variants().iter().map(|strategy| Series {
        name: strategy.title().to_owned(),
        points: lines
            .iter()
            .filter(|line| line.strategy == *strategy)
            .filter_map(|line| {
                let at = titles.iter().position(|title| *title == line.work.title)?;
                Some(Band::of(at as f64, &line.per_second))
            })
            .collect(),
    });
    let short = |title: &&str| title.trim_end_matches(" clients").to_owned();
    Plot {
        file: "locks.svg".into(),
        title: "Attempts answered a second".into(),
        kind: Kind::Bars,
        x_label: String::new(),
        x_scale: Scale::Linear,
        y_label: "attempts/s".into(),
        y_scale: Scale::Log,
        categories: titles.iter().map(short).collect(),
        series: series.filter(|series| !series.points.is_empty()).collect(),
    }
}
