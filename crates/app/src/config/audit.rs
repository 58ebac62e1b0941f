use std::time::Duration;

use super::parse;

/// How long it is known what operators changed.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Operators (every flag is also an environment variable)")]
pub struct Audit {
    /// How long changes made by operators are kept in the audit log; 100ms to 365d.
    #[arg(long, env, value_name = "TIME", default_value = "365d", value_parser = parse::duration)]
    pub audit_retention: Duration,
}

impl Default for Audit {
    fn default() -> Self {
        Self { audit_retention: Duration::from_secs(365 * 24 * 3_600) }
    }
}
