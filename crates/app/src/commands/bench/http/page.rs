use anyhow::{Context, Result};
use clap::ValueEnum;

use super::super::contest::{Outcome, ratio};
use super::super::costs;
use super::super::effort::Effort;
use super::super::report::{Cell, Environment, Sample, Section, Table, Target, figure, median};
use super::super::rows::{once, rounds, table};
use super::super::seed;
use super::{Burst, Figures, LARGE, Paths, Played, Resident, SMALL};

pub(super) fn section(
    figures: &Figures,
    effort: &Effort,
    environment: Environment,
) -> Result<Section> {
    let command = "scripts/services run -- scripts/bench.sh http";
    let mut section = Section::new("http", "Paths over HTTP", command, environment);
    section.intro = intro(figures, effort);
    section.tables = vec![paths(figures), costs(figures), tool(figures)?, process(figures)];
    if !figures.bursts.is_empty() {
        section.tables.insert(3, bursts(figures));
    }
    section.targets = targets(figures);
    section.notes = vec![seed::WHERE.to_owned(), COSTS.to_owned()];
    Ok(section)
}

const COSTS: &str = "What a request costs is read from counters: the processor time of the processes, \
    `Questions` of MySQL and the commands of Redis, those inside scripts included; what the \
    service's workers do beside the requests is in it.";

fn intro(figures: &Figures, effort: &Effort) -> String {
    format!(
        "The service on {}, the servers and the load on this one machine. Clients wait for each \
         answer. Each path and its limits took turns for {} rounds of {} s; a ratio is that of each \
         round. Bare statements use a pool as large as the service's, {} connections.",
        figures.engines,
        effort.rounds(),
        figure(effort.during().as_secs_f64()),
        figures.pool
    )
}

fn paths(figures: &Figures) -> Table {
    let columns = [
        "path",
        "clients",
        "a second",
        "p50 ms",
        "p99 ms",
        "not good",
        "limit",
        "limit, a second",
        "ratio",
        "seed's own",
        "factor",
    ];
    let mut table = table("Good answers in a second", &columns);
    for played in &figures.contests {
        let (paths, limits): (Vec<_>, Vec<_>) =
            played.outcomes.iter().partition(|outcome| is_path(outcome));
        for path in paths {
            let mut row = measured(path, played.clients);
            let mut limits = limits.iter().map(|limit| limit_cells(path, limit));
            row.extend(limits.next().unwrap_or_else(|| empty(3)));
            row.extend(own_cells(path, played.clients));
            table.row(row);
            for limit in limits {
                table.row([empty(6), limit, empty(2)].concat());
            }
        }
    }
    table
}

/// What stops a path: its share of two cores, and the round trips that it waits for.
fn costs(figures: &Figures) -> Table {
    let columns: Vec<_> =
        ["path", "clients", "us in the bare handler"].into_iter().chain(costs::columns()).collect();
    let mut table = table("What one request costs", &columns);
    for played in &figures.contests {
        let bare = played.outcomes.iter().find(|outcome| outcome.name == "bare handler");
        for path in played.outcomes.iter().filter(|outcome| is_path(outcome)) {
            let bare = bare.map_or(Cell::from(""), |bare| rounds(&cpu(bare)).into());
            let row = [path.name.clone().into(), played.clients.to_string().into(), bare];
            table.row(row.into_iter().chain(costs::cells(&path.costs)).collect::<Vec<_>>());
        }
    }
    table
}

fn cpu(outcome: &Outcome) -> Vec<f64> {
    outcome.costs.iter().map(|cost| cost.cpu).collect()
}

/// What stops a path, from its counters with the most clients.
fn limit(figures: &Figures, name: &str) -> String {
    let of_name = |played: &&Played| played.outcomes.iter().any(|outcome| outcome.name == name);
    let Some(played) = figures.contests.iter().rfind(of_name) else { return String::new() };
    let find = |name: &str| played.outcomes.iter().find(|outcome| outcome.name == name);
    let mut told = find(name).map(|path| costs::told(&path.costs)).unwrap_or_default();
    if let Some(bare) = find("bare handler") {
        told += &format!("; the bare handler takes {} us", figure(median(&cpu(bare))));
    }
    told
}

fn empty(cells: usize) -> Vec<Cell> {
    vec![Cell::from(""); cells]
}

fn measured(path: &Outcome, clients: usize) -> Vec<Cell> {
    let millis = |quantile| {
        let all: Vec<_> = path.tallies.iter().map(|tally| tally.millis(quantile)).collect();
        Cell::from(rounds(&all))
    };
    let faults = path.whole().map_or_else(|_| String::new(), |whole| whole.faults());
    let (name, clients) = (path.name.clone().into(), clients.to_string().into());
    vec![name, clients, rounds(&path.rates).into(), millis(0.5), millis(0.99), faults.into()]
}

fn limit_cells(path: &Outcome, limit: &Outcome) -> Vec<Cell> {
    let ratios = rounds(&ratios(path, limit));
    vec![limit.name.clone().into(), rounds(&limit.rates).into(), ratios.into()]
}

fn own_cells(path: &Outcome, clients: usize) -> Vec<Cell> {
    seed::per_second(&path.name, clients).map_or_else(
        || empty(2),
        |own| vec![figure(own).into(), figure(ratio(path.median(), own)).into()],
    )
}

fn is_path(outcome: &Outcome) -> bool {
    !outcome.name.starts_with("bare ")
}

/// Round by round: both had the same machine.
fn ratios(path: &Outcome, limit: &Outcome) -> Vec<f64> {
    path.rates.iter().zip(&limit.rates).map(|(path, limit)| ratio(*path, *limit)).collect()
}

/// What the generator itself costs, seen beside the handler that costs least.
fn tool(figures: &Figures) -> Result<Table> {
    let columns = ["clients", "bare handler, a second", "us a request", "of one core"];
    let mut table = table("The load generator's own cost", &columns);
    for played in figures.contests.iter().filter(|played| named(played, "status")) {
        let bare = played.outcomes.iter().find(|outcome| outcome.name == "bare handler");
        let bare = bare.context("a bare handler")?;
        let (cpu, sent) = (bare.whole()?.cpu.as_secs_f64(), bare.whole()?.sent() as f64);
        let passed: f64 = bare.tallies.iter().map(|tally| tally.took.as_secs_f64()).sum();
        table.row([
            played.clients.to_string().into(),
            rounds(&bare.rates).into(),
            once(ratio(cpu * 1e6, sent)).into(),
            Cell::from(once(ratio(cpu, passed))),
        ]);
    }
    Ok(table)
}

fn bursts(figures: &Figures) -> Table {
    let columns =
        ["", "clients", "burst ms", "winners", "told it is taken", "else", "statements at MySQL"];
    let mut table = table("One hot seat, wanted by all at the same time", &columns);
    for (number, burst) in figures.bursts.iter().enumerate() {
        table.row([
            format!("round {}", number + 1).into(),
            burst.clients.to_string().into(),
            once(burst.millis).into(),
            burst.winners.to_string().into(),
            burst.losers.to_string().into(),
            burst.faults.clone().into(),
            Cell::from(burst.statements.map(figure).unwrap_or_default()),
        ]);
    }
    let (clients, millis) = seed::HOT_SEAT;
    let mut row = vec!["seed's own".into(), clients.to_string().into(), once(millis).into()];
    row.extend(empty(4));
    table.row(row);
    table
}

fn process(figures: &Figures) -> Table {
    let mut table = table("The process", &["", "measured", "seed's own"]);
    let Resident { idle, after, longest, bare } = &figures.resident;
    let mut rows = vec![
        ("start to ready, s".to_owned(), Some(figures.ready.as_secs_f64()), Some(seed::READY_S)),
        ("resident MiB, idle".into(), idle.map(|memory| memory.now), Some(seed::IDLE_MIB)),
    ];
    for (number, (paths, memory)) in after.iter().enumerate() {
        let group = paths.to_possible_value();
        let group = group.as_ref().map_or("", |value| value.get_name());
        let last = number + 1 == after.len();
        let own = last.then_some(seed::LOADED_MIB);
        rows.push((format!("resident MiB at most, up to {group}"), Some(memory.peak), own));
    }
    let longest = longest.map(|memory| memory.peak);
    rows.push(("the same, and after the longest list".into(), longest, None));
    let (bare_idle, bare_loaded) = bare.unzip();
    rows.push(("bare handler: resident MiB, idle".into(), bare_idle.map(|it| it.now), None));
    let loaded = bare_loaded.map(|it| it.peak);
    rows.push(("bare handler: resident MiB at most, under load".into(), loaded, None));
    let told = |measured: Option<f64>| measured.map(figure).unwrap_or_default();
    for (what, measured, own) in rows {
        table.row([what.into(), told(measured).into(), Cell::from(told(own))]);
    }
    table
}

fn named(played: &Played, name: &str) -> bool {
    played.outcomes.first().is_some_and(|outcome| outcome.name == name)
}

/// The best over the numbers of clients: a target names none.
fn best(figures: &Figures, name: &str) -> Option<Sample> {
    let of_name = figures.contests.iter().flat_map(|played| &played.outcomes);
    let of_name = of_name.filter(|outcome| outcome.name == name);
    let best = of_name.max_by(|a, b| a.median().total_cmp(&b.median()));
    best.map(|best| Sample::of(&best.rates, "a second"))
}

/// The lowest ratio over the numbers of clients.
fn lowest(figures: &Figures, name: &str, limit: &str) -> Option<Sample> {
    let ratios = figures.contests.iter().filter_map(|played| {
        let path = played.outcomes.iter().find(|outcome| outcome.name == name)?;
        let limit = played.outcomes.iter().find(|outcome| outcome.name == limit)?;
        Some(ratios(path, limit))
    });
    let lowest = ratios.min_by(|a, b| median(a).total_cmp(&median(b)))?;
    Some(rounds(&lowest))
}

fn targets(figures: &Figures) -> Vec<Target> {
    let (small, large) = (format!("hold, hall of {SMALL}"), format!("hold, hall of {LARGE}"));
    let mut targets = Vec::new();
    for (name, limit, wanted) in [
        ("status", "bare handler", 0.5),
        ("seats, hall of 50", "bare handler", 0.5),
        ("seats, 304", "bare handler", 0.8),
        (large.as_str(), "bare commits", 0.5),
        (large.as_str(), small.as_str(), 0.9),
        ("pay", "bare transactions", 0.5),
    ] {
        if let Some(found) = lowest(figures, name, limit) {
            let target = Target::at_least(&format!("{name}, of {limit}"), &found, wanted);
            targets.push(target.because(&self::limit(figures, name)));
        }
    }
    for (name, wanted) in [("token issue", 15_000.0), (large.as_str(), 2_500.0), ("pay", 1_500.0)] {
        if let Some(best) = best(figures, name) {
            let target = Target::at_least(name, &best, wanted);
            targets.push(target.because(&limit(figures, name)));
        }
    }
    if !figures.bursts.is_empty() {
        targets.extend(hot_targets(figures));
    }
    if let Some((_, loaded)) = figures.resident.after.last() {
        let peak = Sample::of(&[loaded.peak], "MiB");
        let target = Target::at_most("resident under load", &peak, 60.0);
        targets.push(target.because(&heap_limit(figures)));
    }
    let ready = Sample::of(&[figures.ready.as_secs_f64()], "s");
    targets.push(Target::at_most("start to ready", &ready, 1.0));
    targets
}

/// What stops the memory from being less.
fn heap_limit(figures: &Figures) -> String {
    let mut told = String::new();
    if let [.., (_, before), (Paths::Bursts, _)] = figures.resident.after[..] {
        told += &format!("{} MiB before the crowd came; ", figure(before.peak));
    }
    let crowd = figures.bursts.iter().map(|burst| burst.clients).max();
    if let Some(((idle, loaded), crowd)) = figures.resident.bare.zip(crowd) {
        let more = loaded.peak - idle.now;
        told += &format!(
            "the bare handler takes {} MiB more under the same load than idle, {} KiB for each of {crowd} \
             clients: the server's own buffers and heads; see the profile of the heap",
            figure(more),
            figure(ratio(more * 1_024.0, crowd as f64))
        );
    }
    told
}

fn hot_targets(figures: &Figures) -> Vec<Target> {
    let of = |figure: &dyn Fn(&Burst) -> Option<f64>| {
        rounds(&figures.bursts.iter().filter_map(figure).collect::<Vec<_>>())
    };
    let mut targets = vec![
        Target::at_most("hot seat: winners", &of(&|burst| Some(burst.winners as f64)), 1.0),
        Target::at_most("hot seat: burst, ms", &of(&|burst| Some(burst.millis)), 200.0).because(
            "1,000 answers in 200 ms are 5,000 a second, shield and refusals included, on cores \
             that the servers and the load share",
        ),
    ];
    let statements = of(&|burst| burst.statements);
    if statements.rounds > 0 {
        let what = "hot seat: statements at MySQL, of which a request makes one at least";
        targets.push(Target::at_most(what, &statements, 32.0));
    }
    targets
}
