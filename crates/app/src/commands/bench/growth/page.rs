use std::collections::BTreeMap;

use super::super::contest::{Outcome, ratio};
use super::super::costs;
use super::super::effort::Effort;
use super::super::report::{
    Band, Cell, Environment, Kind, Plot, Scale, Section, Series, Table, figure, median,
};
use super::super::rows::{rounds, table};
use super::{CLIENTS, Figures, Line};

/// So much less in a bigger setting is no growth of the cost: rounds differ by as much.
const NOISE: f64 = 0.8;

const INSTANCES_SHARE: &str = "All instances share the cores of this machine with the servers and \
    the load: more of them can only show what it costs that they work side by side.";

pub(super) fn section(figures: &Figures, effort: &Effort, environment: Environment) -> Section {
    let command = "scripts/services run -- scripts/bench.sh growth";
    let mut section = Section::new("growth", "Growth", command, environment);
    section.intro = format!(
        "The service on {}; good answers in a second by clients who wait for each answer, in rounds of \
         {} s, three at most. Joins are bounded to 5,000 a round, so that the queue that is measured \
         stays about as long as it is said to be; one of up to 10,000 is a fresh one in each round. \
         Polls ask for the last places of the queue. Seats that are held lie in halls of their own, on \
         top of the number that is named.",
        figures.engines,
        figure(effort.during().as_secs_f64())
    );
    for lines in [by_path(&figures.waiting), by_path(&figures.seats)].into_iter().flatten() {
        section.plots.push(plot(&lines));
        section.tables.push(lines_table(&lines));
        section.notes.push(verdict(&lines));
    }
    if !figures.instances.is_empty() {
        section.plots.push(instances_plot(&figures.instances));
        section.tables.push(instances_table(&figures.instances));
        section.notes.push(INSTANCES_SHARE.to_owned());
    }
    section.tables.extend(faults(figures));
    section
}

/// The lines of each path together.
fn by_path(lines: &[Line]) -> Vec<Vec<&Line>> {
    let mut paths: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        paths.entry(&line.path).or_default().push(line);
    }
    paths.into_values().collect()
}

fn path_of<'a>(lines: &[&'a Line]) -> &'a str {
    lines.first().map(|line| line.path.as_str()).unwrap_or_default()
}

fn plot(lines: &[&Line]) -> Plot {
    let path = path_of(lines);
    picture(path, path, "clients", lines.iter().map(|line| series(&line.setting, line)).collect())
}

fn instances_plot(lines: &[Line]) -> Plot {
    let series = lines.iter().map(|line| series(&line.path, line)).collect();
    picture("instances", "One instance and several", "instances", series)
}

fn picture(name: &str, title: &str, x_label: &str, series: Vec<Series>) -> Plot {
    let letters = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == ' ');
    let name: String = letters.map(|c| if c == ' ' { '-' } else { c }).collect();
    Plot {
        file: format!("growth-{name}.svg"),
        title: title.to_owned(),
        kind: Kind::Lines,
        x_label: x_label.to_owned(),
        x_scale: Scale::Log,
        y_label: "good answers in a second".to_owned(),
        y_scale: Scale::Linear,
        categories: Vec::new(),
        series,
    }
}

fn series(name: &str, line: &Line) -> Series {
    let band = |(x, outcome): &(usize, Outcome)| Band::of(*x as f64, &rounds(&outcome.rates));
    Series { name: name.to_owned(), points: line.points.iter().map(band).collect() }
}

fn lines_table(lines: &[&Line]) -> Table {
    let settings: Vec<_> = lines.iter().map(|line| line.setting.as_str()).collect();
    let columns = [&["clients"], &settings[..]].concat();
    let mut table = table(format!("{}, a second", path_of(lines)), &columns);
    let count = lines.iter().map(|line| line.points.len()).min().unwrap_or(0);
    for point in 0..count {
        let mut row = vec![Cell::from(lines[0].points[point].0.to_string())];
        row.extend(lines.iter().map(|line| Cell::from(rounds(&line.points[point].1.rates))));
        table.row(row);
    }
    table
}

fn instances_table(lines: &[Line]) -> Table {
    let counts = lines[0].points.iter().map(|(count, _)| format!("instances: {count}"));
    let columns: Vec<_> = ["path".to_owned()].into_iter().chain(counts).collect();
    let columns: Vec<_> = columns.iter().map(String::as_str).collect();
    let mut table = table(format!("Instances, {}, a second", lines[0].setting), &columns);
    for line in lines {
        let mut row = vec![Cell::from(line.path.as_str())];
        row.extend(line.points.iter().map(|(_, outcome)| Cell::from(rounds(&outcome.rates))));
        table.row(row);
    }
    table
}

/// Where the cost grows.
fn verdict(lines: &[&Line]) -> String {
    let (Some(small), Some(big)) = (lines.first(), lines.last()) else { return String::new() };
    let pairs = small.points.iter().zip(&big.points);
    let ratios: Vec<_> = pairs.map(|((_, s), (_, b))| ratio(b.median(), s.median())).collect();
    let typical = median(&ratios);
    let (path, from, to) = (path_of(lines), &small.setting, &big.setting);
    let typical_text = figure(typical);
    if typical >= NOISE {
        return format!(
            "{path}: from {from} to {to} the cost stays: {typical_text} times as many answers, which is \
             within what rounds differ by."
        );
    }
    let why = why(path);
    let where_it_grows = costs_of(small, big);
    format!(
        "{path}: from {from} to {to} the cost grows: {typical_text} times as many answers. By its \
         design, {why} {where_it_grows}"
    )
}

/// What a request took in the smaller and in the bigger setting, with many clients.
fn costs_of(small: &Line, big: &Line) -> String {
    let mut points = small.points.iter().zip(&big.points);
    let Some(((clients, before), (_, after))) = points.rfind(|((count, _), _)| *count <= CLIENTS)
    else {
        return String::new();
    };
    let (before, after) = (costs::told(&before.costs), costs::told(&after.costs));
    format!("With {clients} clients a request took: {before}. Now: {after}.")
}

/// What in a path depends on how much there is, by its design.
fn why(path: &str) -> &'static str {
    match path {
        "status" => "a rank is counted over the places in front, in bits: 65,536 to a block.",
        "join" => "a place is appended; what grows is the memory of Redis, and with it its misses.",
        "seats, the same hall" => {
            "one list is read; what grows around it is the database's memory."
        }
        "seats, all halls in turn" => {
            "more lists are asked for than are kept at hand, and the rest come from Redis or MySQL."
        }
        _ => "the indexes are deeper, and no longer all in the database's memory.",
    }
}

/// What was not good, if anything.
fn faults(figures: &Figures) -> Option<Table> {
    let mut table = table("Not good", &["path", "setting", "at", "answers"]);
    for line in figures.waiting.iter().chain(&figures.seats).chain(&figures.instances) {
        for (x, outcome) in &line.points {
            let faults = outcome.whole().map(|whole| whole.faults()).unwrap_or_default();
            if !faults.is_empty() {
                let words = [line.path.clone(), line.setting.clone(), x.to_string(), faults];
                table.row(words.map(Cell::from));
            }
        }
    }
    (!table.rows.is_empty()).then_some(table)
}
