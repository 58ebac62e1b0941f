use super::super::contest::ratio;
use super::super::load::Tally;
use super::super::report::{Cell, Environment, Sample, Section, Table, Target, figure, median};
use super::super::rows::{once, rounds, table};
use super::traffic::KINDS;
use super::{FACTORS, Figures, Step};

/// How late an accepted payment or hold may be at three times the capacity.
const LATEST_MILLIS: f64 = 2_000.0;
/// So much between two shares is chance.
const CHANCE: f64 = 0.02;

pub(super) fn section(figures: &Figures, environment: Environment) -> Section {
    let command = "scripts/services run -- scripts/bench.sh overload";
    let mut section = Section::new("overload", "Overload", command, environment);
    section.intro = format!(
        "The service on {}. Clients who wait for their answers got {} good answers in a second of a mix \
         of {}: that is the capacity. Then the same mix came by a schedule. A latency counts from the \
         time when the request was due. At the highest load the service used {} cores, and {} MiB at \
         most over all.",
        figures.engines,
        figure(figures.capacity),
        KINDS.map(|(kind, share)| format!("{share} % {kind}")).join(", "),
        figure(figures.busy),
        figures.memory.map_or_else(|| "?".to_owned(), |memory| figure(memory.peak))
    );
    section.tables = vec![goodput(figures), kinds(figures)];
    section.targets = targets(figures);
    section
}

fn at(figures: &Figures, factor: f64) -> impl Iterator<Item = &Step> {
    figures.steps.iter().filter(move |step| step.factor == factor)
}

fn of_rounds(figures: &Figures, factor: f64, read: impl Fn(&Step) -> f64) -> Vec<f64> {
    at(figures, factor).map(read).collect()
}

fn goodput(figures: &Figures) -> Table {
    let columns = ["of the capacity", "came a second", "good a second"];
    let mut table = table("Good answers by what came", &columns);
    for factor in FACTORS {
        table.row([
            figure(factor).into(),
            rounds(&of_rounds(figures, factor, |step| step.offered)).into(),
            Cell::from(rounds(&of_rounds(figures, factor, Step::goodput))),
        ]);
    }
    table
}

fn kinds(figures: &Figures) -> Table {
    let columns = [
        "",
        "of the capacity",
        "came",
        "good %",
        "shed (429, 503) %",
        "never sent %",
        "p50 ms",
        "p99 ms",
        "not good",
    ];
    let mut table = table("By kind, the most important first", &columns);
    for (number, (kind, _)) in KINDS.iter().enumerate() {
        for factor in FACTORS {
            let of = |read: fn(&Tally) -> f64| {
                Cell::from(rounds(&of_rounds(figures, factor, |step| read(&step.kinds[number]))))
            };
            let last = at(figures, factor).last().map(|step| step.kinds[number].faults());
            table.row([
                (*kind).into(),
                figure(factor).into(),
                of(came),
                of(|tally| ratio(100.0 * tally.good() as f64, came(tally))),
                of(|tally| ratio(100.0 * shed(tally), came(tally))),
                of(|tally| ratio(100.0 * tally.missed as f64, came(tally))),
                of(|tally| tally.millis(0.5)),
                of(|tally| tally.millis(0.99)),
                Cell::from(last.unwrap_or_default()),
            ]);
        }
    }
    table
}

fn came(tally: &Tally) -> f64 {
    (tally.sent() + tally.missed) as f64
}

fn shed(tally: &Tally) -> f64 {
    (tally.refused_with(429) + tally.refused_with(503)) as f64
}

fn targets(figures: &Figures) -> Vec<Target> {
    let [.., highest] = FACTORS;
    let medians = FACTORS.map(|factor| median(&of_rounds(figures, factor, Step::goodput)));
    let best = medians.into_iter().max_by(f64::total_cmp).unwrap_or(0.0);
    let at_highest = of_rounds(figures, highest, |step| ratio(step.goodput(), best));
    let what = "good answers at three times the capacity, of the best";
    let mut targets = vec![Target::at_least(what, &rounds(&at_highest), 0.9)];
    for (number, (kind, _)) in KINDS.iter().enumerate().take(2) {
        let late = of_rounds(figures, highest, |step| step.kinds[number].millis(0.99));
        let what = format!("{kind} at three times the capacity, p99 of good answers");
        let late = Sample::of(&late, "ms");
        targets.push(Target::at_most(&what, &late, LATEST_MILLIS).because(LATE));
    }
    targets.push(priorities(figures, highest));
    targets
}

/// What adds up for a request that is answered late.
const LATE: &str = "a request waits up to 1 s for a place and up to 2 s for the commit before its own at \
    MySQL, on processors that the load shares; it is counted from when it was due";
/// Why a class may fare worse than a less important one.
const ELSEWHERE: &str = "holds end at MySQL's commits, which payments share; lists and polls are \
    answered from memory, so refusing them would let no further hold through";

/// Whether what is more important was refused less.
fn priorities(figures: &Figures, factor: f64) -> Target {
    let share = |number: usize| {
        median(&of_rounds(figures, factor, |step| {
            let tally = &step.kinds[number];
            ratio(tally.good() as f64, tally.sent() as f64)
        }))
    };
    // Polls and joins are equals.
    let (pay, hold, seats) = (share(0), share(1), share(2));
    let last = share(3).max(share(4));
    let inversions = [(pay, hold), (hold, seats), (seats, last)];
    let inversions = inversions.into_iter().filter(|(first, next)| first + CHANCE < *next).count();
    let shares = [pay, hold, seats, last].map(|share| figure(100.0 * share)).join(", ");
    let what = format!("less important kinds that fared better (good %: {shares})");
    Target::at_most(&what, &once(inversions as f64), 0.0).because(ELSEWHERE)
}
