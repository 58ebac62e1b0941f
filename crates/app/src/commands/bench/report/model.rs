use serde::{Deserialize, Serialize};

use super::Environment;

/// What one part of the benchmark found, as it stands in its JSON file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// Short name, also of its file: `indexes`.
    pub id: String,
    pub title: String,
    /// What was measured and how, a few sentences.
    pub intro: String,
    /// The command that makes it.
    pub command: String,
    pub environment: Environment,
    #[serde(default)]
    pub tables: Vec<Table>,
    #[serde(default)]
    pub plots: Vec<Plot>,
    #[serde(default)]
    pub targets: Vec<Target>,
    /// What a reader must know to trust the figures, such as that the run was a quick one.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Section {
    /// A section without figures yet.
    pub fn new(id: &str, title: &str, command: &str, environment: Environment) -> Self {
        Self {
            id: id.to_owned(),
            title: title.to_owned(),
            intro: String::new(),
            command: command.to_owned(),
            environment,
            tables: Vec::new(),
            plots: Vec::new(),
            targets: Vec::new(),
            notes: Vec::new(),
        }
    }
}

/// Figures in rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    pub title: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(title: impl Into<String>, columns: impl Into<Vec<Column>>) -> Self {
        Self { title: title.into(), columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row, which must have a cell for each column.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.columns.len(), "{}", self.title);
        self.rows.push(cells);
    }
}

/// A column's heading, and on which side its cells stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub title: String,
    #[serde(default)]
    pub unit: String,
    #[serde(default)]
    pub right: bool,
}

impl Column {
    /// A column of words.
    pub fn words(title: &str) -> Self {
        Self { title: title.to_owned(), unit: String::new(), right: false }
    }

    /// A column of figures; the unit may be empty.
    pub fn figures(title: &str, unit: &str) -> Self {
        Self { title: title.to_owned(), unit: unit.to_owned(), right: true }
    }

    pub(super) fn heading(&self) -> String {
        match self.unit.as_str() {
            "" => self.title.clone(),
            unit if self.title.is_empty() => unit.to_owned(),
            unit => format!("{}, {unit}", self.title),
        }
    }
}

/// What stands in a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    Sample(Sample),
    Text(String),
}

impl From<Sample> for Cell {
    fn from(sample: Sample) -> Self {
        Self::Sample(sample)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl Cell {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Sample(sample) => sample.text(),
        }
    }
}

/// A figure that was measured in several rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub median: f64,
    pub min: f64,
    pub max: f64,
    pub rounds: usize,
    #[serde(default)]
    pub unit: String,
}

/// The middle figure; the mean of the two in the middle if there are two.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

impl Sample {
    /// The median and range of the rounds; all zero if there are none.
    pub fn of(values: &[f64], unit: &str) -> Self {
        let of_all = |pick: fn(f64, f64) -> f64| values.iter().copied().reduce(pick);
        Self {
            median: median(values),
            min: of_all(f64::min).unwrap_or(0.0),
            max: of_all(f64::max).unwrap_or(0.0),
            rounds: values.len(),
            unit: unit.to_owned(),
        }
    }

    /// Median and, if the rounds differ, their range.
    pub fn text(&self) -> String {
        let [median, min, max] = [self.median, self.min, self.max].map(figure);
        if self.rounds <= 1 || (min == median && max == median) {
            return median;
        }
        format!("{median} ({min} to {max})")
    }

    /// The same figures in another unit: what was read, `factor` times each.
    pub fn scaled(&self, factor: f64, unit: &str) -> Self {
        Self {
            median: self.median * factor,
            min: self.min * factor,
            max: self.max * factor,
            rounds: self.rounds,
            unit: unit.to_owned(),
        }
    }
}

/// A figure with three digits that count, thousands with commas.
pub fn figure(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 99.95 || v == 0.0 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        v if v >= 0.0995 => 3,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let (whole, part) = text.split_once('.').map_or((text.as_str(), None), |(w, p)| (w, Some(p)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |rest| ("-", rest));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    part.map_or_else(|| format!("{sign}{grouped}"), |part| format!("{sign}{grouped}.{part}"))
}

/// What a target asked for and what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    pub what: String,
    pub wanted: String,
    pub measured: String,
    pub met: bool,
    /// The limit that stops it, if it is not met.
    #[serde(default)]
    pub why: String,
}

impl Target {
    /// A figure that must be at most so large.
    pub fn at_most(what: &str, found: &Sample, limit: f64) -> Self {
        Self::new(what, found, limit, "at most", found.median <= limit)
    }

    /// A figure that must be at least so large.
    pub fn at_least(what: &str, found: &Sample, limit: f64) -> Self {
        Self::new(what, found, limit, "at least", found.median >= limit)
    }

    /// Says what stops it; kept only if it is not met.
    pub fn because(mut self, why: &str) -> Self {
        if !self.met {
            why.clone_into(&mut self.why);
        }
        self
    }

    fn new(what: &str, found: &Sample, limit: f64, side: &str, met: bool) -> Self {
        let unit = if found.unit.is_empty() { String::new() } else { format!(" {}", found.unit) };
        Self {
            what: what.to_owned(),
            wanted: format!("{side} {}{unit}", figure(limit)),
            measured: format!("{}{unit}", found.text()),
            met,
            why: String::new(),
        }
    }
}

/// A picture beside the tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// Name of its file, without a folder: `indexes.svg`.
    pub file: String,
    pub title: String,
    pub kind: Kind,
    #[serde(default)]
    pub x_label: String,
    #[serde(default)]
    pub x_scale: Scale,
    pub y_label: String,
    #[serde(default)]
    pub y_scale: Scale,
    /// What the groups of bars are called; `x` of a point is the number of its group, from 0.
    #[serde(default)]
    pub categories: Vec<String>,
    pub series: Vec<Series>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Bars,
    Lines,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scale {
    #[default]
    Linear,
    Log,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    pub points: Vec<Band>,
}

/// A point with its range: `(x, median, min, max)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Band(pub f64, pub f64, pub f64, pub f64);

impl Band {
    /// The point of a sample.
    pub fn of(x: f64, sample: &Sample) -> Self {
        Self(x, sample.median, sample.min, sample.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_the_middle_and_the_range() {
        let sample = Sample::of(&[3.0, 1.0, 2.0], "ms");
        assert_eq!((sample.median, sample.min, sample.max, sample.rounds), (2.0, 1.0, 3.0, 3));
        assert_eq!(Sample::of(&[1.0, 2.0], "").median, 1.5);
        assert_eq!(Sample::of(&[], "").median, 0.0);
        assert_eq!(sample.text(), "2.00 (1.00 to 3.00)");
        assert_eq!(Sample::of(&[7.0], "").text(), "7.00");
    }

    #[test]
    fn figures_have_three_digits_and_commas() {
        let all = [0.0, 0.01234, 0.29, 16.34, 519.6, 1_234_567.0, -1_234.0];
        assert_eq!(all.map(figure), ["0", "0.0123", "0.290", "16.3", "520", "1,234,567", "-1,234"]);
    }

    #[test]
    fn a_target_is_judged_by_the_median() {
        let found = Sample::of(&[0.1, 0.2, 0.9], "ms");
        let met = Target::at_most("count", &found, 0.29).because("the disk");
        assert!(met.met && met.why.is_empty());
        let missed = Target::at_least("ratio", &found, 520.0).because("the disk");
        assert_eq!((missed.met, missed.why.as_str()), (false, "the disk"));
        assert_eq!(missed.wanted, "at least 520 ms");
    }

    #[test]
    fn cells_come_back_from_their_json() {
        let cells = vec![Cell::from("words"), Cell::from(Sample::of(&[1.0], "ms"))];
        let text = serde_json::to_string(&cells).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Cell>>(&text).unwrap(), cells);
    }
}
