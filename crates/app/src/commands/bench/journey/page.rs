use super::super::contest::ratio;
use super::super::costs;
use super::super::effort::Effort;
use super::super::report::{Cell, Environment, Sample, Section, Table, Target, figure, median};
use super::super::rows::{once, rounds, table};
use super::super::seed;
use super::{Figures, INSIDE, Run, STORM};

pub(super) fn section(figures: &Figures, effort: &Effort, environment: Environment) -> Section {
    let command = "scripts/services run -- scripts/bench.sh journey";
    let mut section = Section::new("journey", "Whole journeys", command, environment);
    section.intro = intro(figures, effort);
    section.tables = vec![journeys(figures), costs(figures), storm(figures), process(figures)];
    section.targets = targets(figures);
    section.notes = vec![books(figures), seed::WHERE.to_owned()];
    section
}

fn intro(figures: &Figures, effort: &Effort) -> String {
    format!(
        "The service on {}. {} clients make one journey after the other: join, poll as told until \
         admitted, look at the 50 seats of a hall, hold one, charge, pay, see the slot freed. At most \
         {INSIDE} are inside of a concert. {} runs with one concert and with ten took turns. A journey \
         counts as whole when the event of its payment was consumed: the clock stops with the last \
         effect.",
        figures.engines,
        figures.clients,
        effort.rounds()
    )
}

fn books(figures: &Figures) -> String {
    let (payments, checks) = figures.checked;
    if figures.by_tables {
        format!(
            "After each of the {checks} runs the books were checked, for {payments} payments in the \
             end: each seat has one owner; sold seats, confirmed reservations, payments as clients were \
             told, ledger lines and effects of events are the same number; every balance is the sum of \
             its lines; no event is left."
        )
    } else {
        format!(
            "After each of the {checks} runs there were as many effects of events as payments that \
             clients were told of, {payments} in the end. (Tables are looked at on MySQL only.)"
        )
    }
}

const NAMES: [&str; 2] = ["journeys, one concert", "journeys, ten concerts"];

fn journeys(figures: &Figures) -> Table {
    let columns = [
        "",
        "whole, a second",
        "paid, a second",
        "p50 ms",
        "p99 ms",
        "requests each",
        "failed",
        "seed's own",
        "factor",
    ];
    let mut table = table("Journeys", &columns);
    for (name, runs) in NAMES.iter().zip(&figures.runs) {
        let of_runs = |read: &dyn Fn(&Run) -> f64| runs.iter().map(read).collect::<Vec<_>>();
        let whole = of_runs(&Run::whole_per_second);
        let each = |run: &Run| ratio(run.told.requests as f64, run.told.paid as f64);
        let own = seed::per_second(name, figures.clients);
        let factor = own.map(|own| figure(ratio(median(&whole), own)));
        table.row([
            (*name).into(),
            rounds(&whole).into(),
            rounds(&of_runs(&Run::paid_per_second)).into(),
            rounds(&of_runs(&|run| run.told.whole_millis(0.5))).into(),
            rounds(&of_runs(&|run| run.told.whole_millis(0.99))).into(),
            rounds(&of_runs(&each)).into(),
            failures(runs).into(),
            own.map(figure).unwrap_or_default().into(),
            Cell::from(factor.unwrap_or_default()),
        ]);
    }
    table
}

/// What each journey takes until its payment is answered.
fn costs(figures: &Figures) -> Table {
    let columns: Vec<_> = [""].into_iter().chain(costs::columns()).collect();
    let mut table = table("What one journey costs", &columns);
    for (name, runs) in NAMES.iter().zip(&figures.runs) {
        let costs: Vec<_> = runs.iter().map(|run| run.cost).collect();
        table.row([Cell::from(*name)].into_iter().chain(costs::cells(&costs)).collect::<Vec<_>>());
    }
    table
}

/// What stops journeys, from the counters of the runs with most of them.
fn limit(runs: &[Run]) -> String {
    let costs: Vec<_> = runs.iter().map(|run| run.cost).collect();
    costs::told(&costs)
}

fn failures(runs: &[Run]) -> String {
    let all = runs.iter().flat_map(|run| &run.told.failed);
    all.map(|(reason, count)| format!("{count} x {reason}")).collect::<Vec<_>>().join(", ")
}

fn storm(figures: &Figures) -> Table {
    let title = format!("A storm: {} times as many come as can be served", figure(STORM));
    let mut table = table(title, &["", "figure"]);
    let (storm, run) = &figures.storm;
    let told = &run.told;
    for (what, found) in [
        ("came a second", storm.arrivals_per_second),
        ("for so many seconds", storm.during.as_secs_f64()),
        ("came", told.came as f64),
        ("paid", told.paid as f64),
        ("paid a second", run.paid_per_second()),
        ("gave up waiting", told.waiting as f64),
        ("admitted when all was sold", told.sold_out as f64),
        ("admitted, and did not finish", told.failures() as f64),
        ("told to come back later", told.put_off as f64),
        ("requests", told.requests as f64),
        ("from the admission to the payment, p50 ms", told.inside_millis(0.5)),
        ("the same, p99 ms", told.inside_millis(0.99)),
    ] {
        table.row([what.into(), Cell::from(once(found))]);
    }
    if told.failures() > 0 {
        table.row(["why", failures(std::slice::from_ref(run)).as_str()].map(Cell::from));
    }
    table
}

fn process(figures: &Figures) -> Table {
    let mut table = table("The process", &["", "resident MiB"]);
    if let Some(memory) = figures.memory {
        table.row(["at most".into(), Cell::from(once(memory.peak))]);
        table.row(["at the end".into(), Cell::from(once(memory.now))]);
    }
    table
}

fn targets(figures: &Figures) -> Vec<Target> {
    let whole = |runs: &Vec<Run>| {
        Sample::of(&runs.iter().map(Run::whole_per_second).collect::<Vec<_>>(), "a second")
    };
    let best = figures.runs.iter().map(|runs| (whole(runs), limit(runs)));
    let best = best.max_by(|a, b| a.0.median.total_cmp(&b.0.median));
    let all = figures.runs.iter().flatten().chain([&figures.storm.1]);
    let failed: u64 = all.map(|run| run.told.failures()).sum();
    let (best, limit) = best.unwrap_or_else(|| (once(0.0), String::new()));
    vec![
        Target::at_least("whole journeys", &best, 500.0).because(&limit),
        Target::at_most("admitted buyers who did not finish", &once(failed as f64), 0.0),
    ]
}
