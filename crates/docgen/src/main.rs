//! Makes the documents that must agree with the code. Writes to the standard output.
//!
//! * `concert-docgen api < openapi.json`: the routes as Markdown
//! * `concert-docgen erd DIR`: the tables that the SQLite migrations in DIR make, as Markdown
//! * `concert-docgen sqlite-version`: the version of the SQLite that is built in

mod api;
mod erd;

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["api"] => {
            let mut json = String::new();
            std::io::stdin().read_to_string(&mut json)?;
            api::markdown(&serde_json::from_str(&json)?)?
        }
        ["erd", dir] => erd::markdown(Path::new(dir))?,
        ["sqlite-version"] => erd::sqlite_version()? + "\n",
        _ => bail!("usage: concert-docgen api | erd DIR | sqlite-version"),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
