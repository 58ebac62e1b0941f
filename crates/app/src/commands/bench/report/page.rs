//! `concert bench report`: one page and its pictures from the figures of all parts.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::super::super::say;
use super::{Section, Table, plot};

/// The order of the page; what is not named here comes behind, by name.
const ORDER: [&str; 6] = ["http", "journey", "growth", "cache", "locks", "indexes"];

/// From where to where.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert bench indexes --out docs/benchmarks/indexes.json
  concert bench report --from docs/benchmarks --to docs/BENCHMARKS.md

The pictures go into the folder of the figures, LOCKS.md beside the page. The page says of each part which command made it.")]
pub struct Args {
    /// The folder with the figures, one JSON file for each part.
    #[arg(long, value_name = "FOLDER", default_value = "docs/benchmarks")]
    from: PathBuf,
    /// The page.
    #[arg(long, value_name = "PAGE.md", default_value = "docs/BENCHMARKS.md")]
    to: PathBuf,
}

pub fn run(args: &Args) -> Result<()> {
    let sections = read(&args.from)?;
    for plot in sections.iter().flat_map(|section| &section.plots) {
        let path = args.from.join(file_name(&plot.file)?);
        let picture = plot::svg(plot).with_context(|| format!("drawing {}", plot.file))?;
        write(&path, &picture)?;
    }
    let folder = folder_from(&args.to, &args.from);
    write(&args.to, &page(&sections, &folder))?;
    if let Some(locks) = sections.iter().find(|section| section.id == "locks") {
        write(&args.to.with_file_name("LOCKS.md"), &locks_page(locks, &folder))?;
    }
    say(format_args!("{} has {} parts.", args.to.display(), sections.len()))
}

fn read(folder: &Path) -> Result<Vec<Section>> {
    let files = std::fs::read_dir(folder)
        .with_context(|| format!("the folder {} of the figures", folder.display()))?;
    let mut sections = Vec::new();
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read(&path)?;
            let section: Section = serde_json::from_slice(&text)
                .with_context(|| format!("{} has no figures of a part", path.display()))?;
            sections.push(section);
        }
    }
    if sections.is_empty() {
        bail!("{} has no figures; make some with `concert bench PART --out`", folder.display());
    }
    let place = |id: &str| ORDER.iter().position(|known| *known == id).unwrap_or(ORDER.len());
    sections.sort_by(|a, b| (place(&a.id), &a.id).cmp(&(place(&b.id), &b.id)));
    Ok(sections)
}

/// Figures may come from elsewhere; their pictures stay in the folder all the same.
fn file_name(name: &str) -> Result<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.ends_with(".svg") || name.starts_with('.') || !name.chars().all(plain) {
        bail!("{name:?} is no name of a picture");
    }
    Ok(name)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// How the page names the folder of the pictures.
fn folder_from(page: &Path, folder: &Path) -> String {
    let base = page.parent().unwrap_or(Path::new(""));
    folder.strip_prefix(base).unwrap_or(folder).display().to_string()
}

fn page(sections: &[Section], folder: &str) -> String {
    let mut text = "# Benchmarks\n\n\
        Made by `concert bench report`; edits are lost. Figures are medians, with the range of the\n\
        rounds behind them. Machines differ: compare what stands in one section, where the limit\n\
        was measured in the same run.\n\n\
        What the processors do under these loads, as flame graphs for a browser (made by\n\
        `scripts/profile.sh`): reads, [service](benchmarks/profiles/reads-service.svg); joins,\n\
        [service](benchmarks/profiles/joins-service.svg); holds and payments,\n\
        [service](benchmarks/profiles/bookings-service.svg) and\n\
        [MySQL](benchmarks/profiles/bookings-mysql.svg); whole journeys,\n\
        [service](benchmarks/profiles/journey-service.svg) and\n\
        [MySQL](benchmarks/profiles/journey-mysql.svg); seats left, counted,\n\
        [MySQL](benchmarks/profiles/counts-mysql.svg). What is in the service's memory when a\n\
        thousand clients come at once: [heap](benchmarks/profiles/heap-service.svg).\n"
        .to_owned();
    text.push_str(&targets(sections));
    for section in sections {
        text.push_str(&render(section, folder));
    }
    text
}

/// Which way of selling a seat to use when, beside the figures that say so.
fn locks_page(locks: &Section, folder: &str) -> String {
    let guide = include_str!("locks.md");
    format!("{guide}{}", render(locks, folder))
}

fn targets(sections: &[Section]) -> String {
    let all = || sections.iter().flat_map(|s| s.targets.iter().map(move |target| (s, target)));
    let (met, count) = (all().filter(|(_, target)| target.met).count(), all().count());
    let mut text = format!("\n## Targets\n\n{met} of {count} are met.\n");
    if count > 0 {
        text.push_str("\n| | Part | Target | Wanted | Measured | What stops it |\n|---|---|---|---|---|---|\n");
    }
    for (section, target) in all() {
        let cells = [&section.title, &target.what, &target.wanted, &target.measured, &target.why];
        let mark = if target.met { "met" } else { "**not met**" };
        writeln!(text, "| {mark} | {} |", cells.map(|cell| escaped(cell)).join(" | ")).ok();
    }
    text
}

fn render(section: &Section, folder: &str) -> String {
    let mut text = format!("\n## {}\n\n", section.title);
    if !section.intro.is_empty() {
        write!(text, "{}\n\n", section.intro).ok();
    }
    write!(text, "```bash\n{}\n```\n\n", section.command).ok();
    writeln!(text, "{}", section.environment.line()).ok();
    for table in &section.tables {
        write!(text, "\n**{}**\n\n{}", table.title, markdown(table)).ok();
    }
    for plot in &section.plots {
        write!(text, "\n![{}]({folder}/{})\n", plot.title, plot.file).ok();
    }
    if !section.notes.is_empty() {
        text.push('\n');
    }
    for note in &section.notes {
        writeln!(text, "* {note}").ok();
    }
    text
}

pub(super) fn markdown(table: &Table) -> String {
    let heads: Vec<_> = table.columns.iter().map(|column| escaped(&column.heading())).collect();
    let sides = table.columns.iter().map(|column| if column.right { "---:" } else { "---" });
    let sides: Vec<_> = sides.collect();
    let mut text = format!("| {} |\n| {} |\n", heads.join(" | "), sides.join(" | "));
    for row in &table.rows {
        let cells: Vec<_> = row.iter().map(|cell| escaped(&cell.text())).collect();
        writeln!(text, "| {} |", cells.join(" | ")).ok();
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::super::{
        Band, Column, Environment, Kind, Plot, Sample, Scale, Series, Table, Target,
    };
    use super::*;

    fn section(id: &str) -> Section {
        let sample = Sample::of(&[1.0, 2.0, 3.0], "ms");
        let mut section = Section::new(id, "A part", "concert bench part", Environment::default());
        let mut table = Table::new("Times", [Column::words("What"), Column::figures("Took", "ms")]);
        table.row(["a|b".into(), sample.clone().into()]);
        section.tables.push(table);
        section.targets.push(Target::at_most("time", &sample, 1.5).because("the disk"));
        section.plots.push(Plot {
            file: format!("{id}.svg"),
            title: "Times".into(),
            kind: Kind::Bars,
            x_label: String::new(),
            x_scale: Scale::Linear,
            y_label: "ms".into(),
            y_scale: Scale::Log,
            categories: vec!["one".into()],
            series: vec![Series { name: "ours".into(), points: vec![Band::of(0.0, &sample)] }],
        });
        section
    }

    #[test]
    fn the_page_has_targets_first_and_every_part() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("figures");
        std::fs::create_dir(&from).unwrap();
        for id in ["other", "locks"] {
            let text = serde_json::to_string(&section(id)).unwrap();
            std::fs::write(from.join(format!("{id}.json")), text).unwrap();
        }
        let args = Args { from: from.clone(), to: folder.path().join("PAGE.md") };
        run(&args).unwrap();
        let page = std::fs::read_to_string(&args.to).unwrap();
        assert!(page.contains("0 of 2 are met"), "{page}");
        assert!(page.contains("| **not met** | A part | time | at most 1.50 ms |"), "{page}");
        assert!(page.contains("| a\\|b | 2.00 (1.00 to 3.00) |"), "{page}");
        let locks = page.find("(figures/locks.svg)").unwrap();
        assert!(locks < page.find("(figures/other.svg)").unwrap(), "{page}");
        assert!(from.join("locks.svg").is_file());
        let locks = std::fs::read_to_string(folder.path().join("LOCKS.md")).unwrap();
        assert!(locks.contains("Which to use") && locks.contains("| a\\|b |"), "{locks}");
    }

    #[test]
    fn pictures_stay_in_their_folder() {
        assert!(file_name("growth-1m.svg").is_ok());
        for name in ["../x.svg", "x.png", ".svg", "a/b.svg"] {
            assert!(file_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn no_figures_are_a_failure_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("has no figures"), "{error}");
    }
}
