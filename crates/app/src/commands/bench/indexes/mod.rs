//! `concert bench indexes`: what each index is worth, and what it costs.

mod cases;
mod data;
mod rank;
mod writes;

use std::time::Instant;

use anyhow::{Result, bail};
use concert_adapter_mysql::lab::{Lab, Plan, Session};
use concert_adapter_mysql::{Mysql, Options};
use concert_adapter_redis::Redis;

use super::place::{fresh_name, remove_keys};
use super::report::{
    Band, Cell, Column, Environment, Kind, Output, Plot, Sample, Scale, Section, Series, Table,
    Target, figure, progress,
};
use crate::config::{DatabaseUrl, Engines, ServerUrl};
use cases::{Case, Facts, INDEXES, RANK_CASE, cases};

/// How much there is to be found.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert bench indexes --database-url mysql://USER:PASSWORD@127.0.0.1:3306/concert
  concert bench indexes --rows 1000000 --out docs/benchmarks/indexes.json
  concert bench indexes --quick --rows 1000 --json

Works in a database of its own beside the one that the URL names (concert_bench_...), which is
dropped at the end, also after a failure. The user must be allowed to make one.")]
pub(super) struct Args {
    /// Seats, and tokens of the queue; half as many reservations. 1,000,000, or 20,000 with
    /// --quick, if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=10_000_000))]
    rows: Option<u32>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    engines: Engines,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let DatabaseUrl::Mysql(url) = &args.engines.database_url else {
        bail!(
            "bench indexes needs a MySQL server: --database-url mysql://USER:PASSWORD@HOST:PORT/DB"
        );
    };
    let lab = Lab::create(url.expose()).await?;
    let measured = measure(&lab, &args).await;
    lab.remove().await?;
    let mut section = measured?;
    if let Some(url) = args.engines.redis() {
        let rank = rank_in_redis(url, &args).await?;
        section.tables.push(ranks(&section, rank));
    }
    args.output.finish(section)
}

/// In a queue under keys of its own.
async fn rank_in_redis(url: &ServerUrl, args: &Args) -> Result<Sample> {
    let prefix = fresh_name();
    let redis = Redis::connect(url.expose(), &format!("{prefix}:")).await?;
    let measured = rank::measure(&redis, args.rows(), args.output.rounds()).await;
    remove_keys(url, &prefix).await?;
    measured
}

impl Args {
    fn rows(&self) -> i64 {
        i64::from(self.rows.unwrap_or(if self.output.quick { 20_000 } else { 1_000_000 }))
    }
}

/// What one query took with one choice of index.
struct Found {
    took: Sample,
    plan: Plan,
    touched: i64,
}

/// A query with each choice: none, the seed's, ours, and the covering one.
struct Line {
    case: Case,
    found: [Option<Found>; 4],
}

const CHOICES: [&str; 4] = ["without", "seed's index", "our index", "covering"];

async fn measure(lab: &Lab, args: &Args) -> Result<Section> {
    let rows = args.rows();
    Mysql::connect(lab.url(), Options { connections: 1 }).await?.migrate().await?;
    let mut session = lab.connect().await?;
    let bar = progress("rows", 2 * rows as u64);
    let halls = data::fill(&mut session, rows, rows, &bar).await?;
    bar.finish();
    for index in INDEXES {
        if let Some(columns) = index.columns {
            let text = format!("CREATE INDEX {} ON {} ({columns})", index.name, index.table);
            session.batch(&text).await?;
        }
    }
    let now = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS n";
    let now = session.number(now, &[]).await?.unwrap_or(0);
    let all = cases(&Facts { halls: &halls, tokens: rows, now });
    let bar = progress("queries", all.len() as u64);
    let mut lines = Vec::new();
    for case in all {
        lines.push(query(&mut session, case, args).await?);
        bar.inc(1);
    }
    bar.finish();
    let writes = writes::measure(&mut session, rows.min(20_000), args.output.rounds()).await?;
    let environment = Environment::of(&args.engines).await;
    let buffers = "SELECT CAST(@@innodb_buffer_pool_size DIV 1048576 AS SIGNED) AS n";
    let buffers = session.number(buffers, &[]).await?.unwrap_or(0);
    Ok(section(rows, buffers, &lines, writes, environment))
}

async fn query(session: &mut Session, case: Case, args: &Args) -> Result<Line> {
    let mut found = [const { None }; 4];
    let choices = [Some(None), case.seed.map(Some), case.ours.map(Some), case.covering.map(Some)];
    for (place, choice) in found.iter_mut().zip(choices) {
        let Some(visible) = choice else { continue };
        show_only(session, case.table, visible).await?;
        // Once for the pages and the statement, so that every round finds the same.
        session.fetch(case.text, &case.binds).await?;
        let took = args.output.rounds().sample("ms", async || {
            let started = Instant::now();
            session.fetch(case.text, &case.binds).await?;
            Ok(started.elapsed().as_secs_f64() * 1_000.0)
        });
        let took = took.await?;
        let plan = session.explain(case.text, &case.binds).await?;
        let touched = session.touched(case.text, &case.binds).await?;
        *place = Some(Found { took, plan, touched });
    }
    Ok(Line { case, found })
}

/// Hides every index of the table from the planner, but for one. That takes no time, and the index
/// is still kept.
async fn show_only(session: &mut Session, table: &str, visible: Option<&str>) -> Result<()> {
    let changes: Vec<_> = INDEXES
        .iter()
        .filter(|index| index.table == table)
        .map(|index| {
            let word = if visible == Some(index.name) { "VISIBLE" } else { "INVISIBLE" };
            format!("ALTER INDEX {} {word}", index.name)
        })
        .collect();
    Ok(session.batch(&format!("ALTER TABLE {table} {}", changes.join(", "))).await?)
}

fn section(
    rows: i64,
    buffers: i64,
    lines: &[Line],
    writes: Table,
    environment: Environment,
) -> Section {
    let command = format!("concert bench indexes --rows {rows}");
    let mut section = Section::new("indexes", "Indexes", &command, environment);
    section.intro = format!(
        "{} seats in halls of 50 to 50,000, half as many reservations in every state, {} tokens in \
         a table as the seed keeps its queue. Every query is read to its last row over one \
         connection, its statement prepared, after a first time that is not counted; the server's \
         pool has {buffers} MiB. Without: only the primary key can be used.",
        figure(rows as f64),
        figure(rows as f64)
    );
    section.tables.push(times(lines));
    section.tables.push(plans(lines));
    section.tables.push(writes);
    section.targets = targets(lines);
    section.plots.push(plot(lines));
    section.notes.push(
        "The seed's page does not say how large the halls of its figures were. The count is linear \
         in the seats that are left: the rows of its three halls show by how much."
            .into(),
    );
    section
}

fn times(lines: &[Line]) -> Table {
    let columns: Vec<_> = std::iter::once(Column::words("Query"))
        .chain(CHOICES.iter().map(|choice| Column::figures(choice, "ms")))
        .chain([Column::figures("best ratio", "x")])
        .collect();
    let mut table = Table::new("Time of one query", columns);
    for line in lines {
        let mut cells = vec![Cell::from(line.case.name.as_str())];
        cells.extend(line.found.iter().map(|found| match found {
            Some(found) => found.took.clone().into(),
            None => Cell::from("-"),
        }));
        cells.push(line.ratio().map_or(Cell::from("-"), |ratio| figure(ratio.median).into()));
        table.row(cells);
    }
    table
}

impl Line {
    /// The quickest of the choices that have an index.
    fn best(&self) -> Option<&Sample> {
        let indexed = self.found[1..].iter().flatten().map(|found| &found.took);
        indexed.min_by(|a, b| a.median.total_cmp(&b.median))
    }

    /// By how much that is quicker than without an index.
    fn ratio(&self) -> Option<Sample> {
        let without = &self.found[0].as_ref()?.took;
        let best = self.best().filter(|best| best.median > 0.0)?;
        Some(Sample::of(&[without.median / best.median], ""))
    }
}

/// The seed's way to a rank, beside ours.
fn ranks(section: &Section, ours: Sample) -> Table {
    let columns = [Column::words("Where the queue is"), Column::figures("rank of the last", "ms")];
    let mut table = Table::new("A rank at the same length of the queue", columns);
    let rows = section.tables.iter().flat_map(|table| &table.rows);
    let counted = rows.clone().find(|row| row.first() == Some(&Cell::from(RANK_CASE)));
    for (at, name) in [(1, "table, no index"), (2, "table, the seed's index")] {
        if let Some(cell) = counted.and_then(|row| row.get(at)) {
            table.row([Cell::from(name), cell.clone()]);
        }
    }
    table.row([Cell::from("ours, Redis: bits counted up to the place"), ours.into()]);
    table
}

fn plans(lines: &[Line]) -> Table {
    let columns = [
        Column::words("Query"),
        Column::words("Choice"),
        Column::words("EXPLAIN: key"),
        Column::figures("EXPLAIN: rows", ""),
        Column::words("EXPLAIN: Extra"),
        Column::figures("rows touched", ""),
    ];
    let mut table = Table::new("What the server does (rows touched: Handler_read_*)", columns);
    for line in lines {
        for (choice, found) in CHOICES.iter().zip(&line.found) {
            let Some(found) = found else { continue };
            table.row([
                Cell::from(line.case.name.as_str()),
                Cell::from(*choice),
                Cell::from(found.plan.key.as_str()),
                figure(found.plan.rows as f64).into(),
                Cell::from(found.plan.extra.as_str()),
                figure(found.touched as f64).into(),
            ]);
        }
    }
    table
}

fn targets(lines: &[Line]) -> Vec<Target> {
    let mut targets = Vec::new();
    for line in lines {
        let (Some(promise), Some(best)) = (line.case.promise, line.best()) else { continue };
        let touched = line.found[1..].iter().flatten().map(|found| found.touched).min();
        let touched = touched.unwrap_or(0) as f64;
        let rows = format!(
            "it touches {} rows, all of them part of the answer, {} us each (see the profile of the \
             count); a query of one row takes {} in this run",
            figure(touched),
            figure(best.median * 1_000.0 / touched.max(1.0)),
            one_row(lines)
        );
        targets.push(Target::at_most(&line.case.name, best, promise.millis).because(&rows));
        if let Some(ratio) = line.ratio() {
            let what = format!("{}, times as quick as without an index", line.case.name);
            targets.push(Target::at_least(&what, &ratio, promise.ratio).because(&rows));
        }
    }
    targets
}

/// What any query takes at least: the round trip, and one row.
fn one_row(lines: &[Line]) -> String {
    let single = lines.iter().flat_map(|line| line.found[1..].iter().flatten());
    let single = single.filter(|found| found.touched == 1).map(|found| found.took.median);
    single.min_by(f64::total_cmp).map_or("-".into(), |took| format!("{} ms", figure(took)))
}

fn plot(lines: &[Line]) -> Plot {
    // The first query of each kind; all of them would not fit.
    let names =
        [("count", 1), ("by status", 3), ("ended holds", 5), ("rank", 7), ("seat list", 10)];
    let shown: Vec<_> = names.iter().filter_map(|(_, at)| lines.get(*at)).collect();
    let series = CHOICES.iter().enumerate().map(|(choice, name)| Series {
        name: (*name).to_owned(),
        points: shown
            .iter()
            .enumerate()
            .filter_map(|(at, line)| Some(Band::of(at as f64, &line.found[choice].as_ref()?.took)))
            .collect(),
    });
    Plot {
        file: "indexes.svg".into(),
        title: "One query, by index".into(),
        kind: Kind::Bars,
        x_label: String::new(),
        x_scale: Scale::Linear,
        y_label: "ms".into(),
        y_scale: Scale::Log,
        categories: names.iter().map(|(name, _)| (*name).to_owned()).collect(),
        series: series.collect(),
    }
}
