use std::path::PathBuf;

use anyhow::{Context, Result};

use super::super::super::say;
use super::rounds::{ENOUGH, Rounds};
use super::{Section, terminal};

/// How a part is run and where its figures go; every part takes these.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Rounds and output")]
pub struct Output {
    /// Write the figures to this file, for `concert bench report`.
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Print the figures as one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Less data and fewer rounds: to see that it works, not to be cited.
    #[arg(long)]
    pub quick: bool,
    /// Measure each figure so often; 5, or 1 with --quick, if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: Option<u16>,
}

impl Output {
    /// How often each figure is measured.
    pub fn rounds(&self) -> Rounds {
        let usual = if self.quick { 1 } else { ENOUGH };
        Rounds(self.rounds.map_or(usual, usize::from))
    }

    /// Notes what makes the figures weak, then writes, prints or shows them.
    pub fn finish(&self, mut section: Section) -> Result<()> {
        if self.quick {
            section.notes.push("A quick run, with less data than the page is meant for.".into());
        }
        let rounds = self.rounds().0;
        if rounds < ENOUGH {
            section.notes.push(format!("Only {rounds} round(s); ranges need {ENOUGH} or more."));
        }
        if section.environment.build == "debug" {
            section.notes.push("A debug build: the figures say little.".into());
        }
        if let Some(path) = &self.out {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("the folder {}", folder.display()))?;
            }
            let text = serde_json::to_string_pretty(&section)? + "\n";
            std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        if self.json {
            return say(serde_json::to_string(&section)?);
        }
        say(terminal::render(&section))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::report::Environment;

    #[test]
    fn what_is_written_says_what_is_weak_about_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/part.json");
        let output = Output { out: Some(path.clone()), quick: true, ..Output::default() };
        assert_eq!(output.rounds().0, 1);
        let section = Section::new("part", "Part", "concert bench part", Environment::default());
        output.finish(section).unwrap();
        let read: Section = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(read.notes.len(), 2);
        assert_eq!(Output::default().rounds().0, ENOUGH);
    }
}
