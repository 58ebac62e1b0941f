use std::fmt::Write;

use super::{Section, Table};

/// The section as it is shown in a terminal.
pub fn render(section: &Section) -> String {
    let mut text = format!("{}\n{}\n", section.title, section.environment.line());
    for table in &section.tables {
        text.push_str(&render_table(table));
    }
    for target in &section.targets {
        let mark = if target.met { "met    " } else { "NOT MET" };
        write!(text, "\n{mark} {}: {}, {}", target.what, target.measured, target.wanted).ok();
        if !target.why.is_empty() {
            write!(text, "; {}", target.why).ok();
        }
    }
    for note in &section.notes {
        write!(text, "\nNote: {note}").ok();
    }
    text
}

fn render_table(table: &Table) -> String {
    let heads = table.columns.iter().map(super::Column::heading).collect();
    let cells = table.rows.iter().map(|row| row.iter().map(super::Cell::text).collect());
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(cells).collect();
    let widths: Vec<usize> = (0..table.columns.len())
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max()
        })
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = format!("\n{}\n", table.title);
    for row in rows {
        let line: Vec<String> =
            row.iter()
                .zip(&widths)
                .zip(&table.columns)
                .map(|((cell, width), column)| {
                    if column.right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
                })
                .collect();
        writeln!(text, "  {}", line.join("  ").trim_end()).ok();
    }
    text
}
