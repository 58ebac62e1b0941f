//! Small help for tables.

use super::report::{Column, Sample, Table};

/// A table whose first column has words and whose others have figures.
pub(super) fn table(title: impl Into<String>, columns: &[&str]) -> Table {
    let column = |(number, title): (usize, &&str)| match number {
        0 => Column::words(title),
        _ => Column::figures(title, ""),
    };
    Table::new(title, columns.iter().enumerate().map(column).collect::<Vec<_>>())
}

/// A figure that was measured once, or is a sum.
pub(super) fn once(figure: f64) -> Sample {
    Sample::of(&[figure], "")
}

/// A figure for each round.
pub(super) fn rounds(figures: &[f64]) -> Sample {
    Sample::of(figures, "")
}
