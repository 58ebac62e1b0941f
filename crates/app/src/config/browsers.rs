use std::time::Duration;

use super::parse;

/// What browsers are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Browsers (every flag is also an environment variable)")]
pub struct Browsers {
    /// Sites whose pages may call this service from a browser, such as `https://shop.example`
    /// [default: none].
    #[arg(long, env, value_name = "ORIGIN,...", value_parser = origins)]
    pub cors_allowed_origins: Option<Origins>,

    /// For how long a browser that came by HTTPS shall come by nothing else; to be set only where
    /// a proxy in front speaks TLS; 100ms to 365d [default: not said].
    #[arg(long, env, value_name = "TIME", value_parser = parse::duration)]
    pub hsts_max_age: Option<Duration>,
}

/// Sites by scheme, host and port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins(pub Vec<String>);

/// Reads a list of origins; an empty text is none.
pub fn origins(text: &str) -> Result<Origins, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let all: Vec<String> = names.map(str::to_owned).collect();
    if all.iter().all(|name| is_origin(name)) {
        Ok(Origins(all))
    } else {
        Err("must be origins as browsers write them, such as https://shop.example or \
             http://localhost:3000, with commas between"
            .to_owned())
    }
}

fn is_origin(name: &str) -> bool {
    let parsed = url::Url::parse(name);
    parsed.is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == name
    })
}
