//! What is told of the lists.

use super::super::report::{
    Band, Cell, Column, Environment, Kind as Drawn, Plot, Sample, Scale, Section, Series, Table,
    Target, figure,
};
use super::{Kind, Line};

/// What the seed's page promises, in milliseconds: from the database, from Redis, and its ratio.
const PROMISED: (f64, f64, f64) = (6.48, 0.15, 20.0);
const NEAR: f64 = 0.05;

impl Line {
    fn samples(&self) -> [(&'static str, Sample); 8] {
        let ms = |times: &[f64]| Sample::of(times, "ms");
        [
            ("cache off", ms(&self.uncached)),
            ("miss, and kept", ms(&self.missed)),
            ("Redis hit", ms(&self.redis)),
            ("bare GET", ms(&self.bare)),
            ("confirmed by Redis", ms(&self.confirmed)),
            ("in-process hit", ms(&self.near)),
            ("HTTP 200", ms(&self.whole)),
            ("HTTP 304", ms(&self.unchanged)),
        ]
    }

    /// How many times as quick a hit in Redis is as a miss, round by round.
    fn ratio(&self) -> Sample {
        let pairs = self.missed.iter().zip(&self.redis).filter(|(_, hit)| **hit > 0.0);
        Sample::of(&pairs.map(|(miss, hit)| miss / hit).collect::<Vec<_>>(), "")
    }
}

pub(super) fn section(seats: u32, lines: &[Line], environment: Environment) -> Section {
    let command = "scripts/services run -- scripts/bench.sh cache";
    let mut section = Section::new("cache", "Cached lists", command, environment);
    section.intro = format!(
        "{} seats in MySQL, half as many reservations. A list is read by one caller through the use \
         case that serves requests. Cache off: read, written as JSON. Miss: the same, kept in Redis \
         and in the process. Redis hit: by a process that has been at work and has not seen \
         the list; beside it the limit, one GET of as many bytes by the client alone. Confirmed: \
         the bytes are in the process for longer than 100 ms and Redis says that they are still \
         right. In-process: within those 100 ms. HTTP: the running service over one connection, a client \
         that waits for each answer.",
        figure(f64::from(seats))
    );
    section.tables.push(times(lines));
    section.targets = targets(lines);
    section.plots.push(plot(lines));
    section.notes.push(
        "The seed read 6.48 ms from its database and 0.33 ms from Redis, 19.6 times as quick; its \
         page does not say how many seats the halls of that concert had. A list of schedules counts \
         the free seats of every hall, so a miss grows with the halls of one concert, and not with \
         the seats of all of them."
            .into(),
    );
    section
}

fn times(lines: &[Line]) -> Table {
    let columns: Vec<_> = [Column::words("List"), Column::figures("bytes", "")]
        .into_iter()
        .chain(lines.iter().take(1).flat_map(Line::samples).map(|(n, _)| Column::figures(n, "ms")))
        .chain([Column::figures("miss by Redis hit", "x")])
        .collect();
    let mut table = Table::new("Time until a list is at hand", columns);
    for line in lines {
        let bytes = figure(line.bytes as f64);
        let mut cells = vec![Cell::from(line.what.as_str()), Cell::from(bytes)];
        cells.extend(line.samples().map(|(_, sample)| match sample.rounds {
            0 => Cell::from("-"),
            _ => sample.into(),
        }));
        cells.push(line.ratio().into());
        table.row(cells);
    }
    table
}

fn targets(lines: &[Line]) -> Vec<Target> {
    let mut targets = Vec::new();
    for line in lines.iter().filter(|line| line.kind == Kind::Schedules) {
        let [off, miss, redis, bare, _, near, ..] = line.samples().map(|(_, sample)| sample);
        let named = |what: &str| format!("{}: {what}", line.what);
        let counted = format!(
            "the database alone takes {} ms: every free seat of the concert is an entry of an index \
             that it counts, and nine tenths of its time are steps from one to the next (see the \
             profile of the count)",
            figure(off.median)
        );
        let trip = format!(
            "a bare GET of as many bytes takes {} ms: it wakes the thread of the connections, the \
             server, that thread again and the caller, each of them asleep",
            figure(bare.median)
        );
        let small = "the database answers this list so quickly that a round trip to Redis is a \
            larger share of it";
        targets.push(Target::at_most(&named("miss"), &miss, PROMISED.0).because(&counted));
        targets.push(Target::at_most(&named("Redis hit"), &redis, PROMISED.1).because(&trip));
        targets.push(Target::at_most(&named("in-process hit"), &near, NEAR));
        let ratio = Target::at_least(&named("miss by Redis hit"), &line.ratio(), PROMISED.2);
        targets.push(ratio.because(small));
    }
    targets
}

fn plot(lines: &[Line]) -> Plot {
    let names = lines.iter().take(1).flat_map(Line::samples).map(|(name, _)| name);
    let series = names.enumerate().map(|(choice, name)| Series {
        name: name.to_owned(),
        points: (0..)
            .zip(lines)
            .map(|(at, line)| (at, line.samples()[choice].1.clone()))
            .filter(|(_, sample)| sample.rounds > 0)
            .map(|(at, sample)| Band::of(f64::from(at), &sample))
            .collect(),
    });
    Plot {
        file: "cache.svg".into(),
        title: "Time until a list is at hand".into(),
        kind: Drawn::Bars,
        x_label: String::new(),
        x_scale: Scale::Linear,
        y_label: "ms".into(),
        y_scale: Scale::Log,
        categories: lines.iter().map(|line| line.what.clone()).collect(),
        series: series.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_of_schedules_and_judged_round_by_round() {
        let line = Line {
            what: "schedules".into(),
            missed: vec![2.0, 7.2],
            redis: vec![0.1, 0.18],
            near: vec![0.01, 0.02],
            ..Line::default()
        };
        let seats = Line { what: "seats".into(), kind: Kind::Seats, ..Line::default() };
        let section = section(1_000, &[line, seats], Environment::default());
        let met: Vec<_> = section.targets.iter().map(|target| target.met).collect();
        assert_eq!(met, [true, true, true, true]);
        assert!(section.targets[3].measured.starts_with("30.0 (20.0 to 40.0)"));
        assert_eq!(section.tables[0].rows.len(), 2);
    }
}
