use super::parse;

/// Whether lists are kept.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Caching (every flag is also an environment variable)")]
pub struct Caching {
    /// Keep copies of lists, in the process and in Redis: `on` or `off`.
    #[arg(long, env, value_name = "SWITCH", default_value = "on", value_parser = parse::switch,
          action = clap::ArgAction::Set)]
    pub cache: bool,
}

impl Default for Caching {
    fn default() -> Self {
        Self { cache: true }
    }
}
