//! `concert outbox`: events on their way to the event log, and those that could not be handled.

use anyhow::{Context, Result};
use clap::Subcommand;
use concert_domain::event::{DeadLetter, Outbox, OutboxEntry};
use concert_domain::{Cursor, Page, PageRequest};
use serde_json::{Value, json};

use super::say;
use crate::composition;
use crate::config::Engines;

/// What is looked at, and in which store.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  concert outbox list                what waits to be published
  concert outbox dead                what could not be handled, and why
  concert outbox dead --json | jq .  the same for a program
  concert outbox replay 7            put letter 7 back on its way
  concert outbox replay --all        put every letter back on its way")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    engines: Engines,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List events that are not published yet, the oldest first.
    List(ListArgs),
    /// List dead letters: events that could not be handled, with the reason.
    Dead(ListArgs),
    /// Put dead letters back on their way; each goes once.
    Replay {
        /// The letter's number, as `dead` shows it.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<i64>,
        /// Every letter that was not replayed before.
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Most lines.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// Runs the command.
pub async fn run(args: Args) -> Result<()> {
    let outbox = composition::outbox(&args.engines).await?;
    match args.action {
        Action::List(list) => pending(&*outbox, &list).await,
        Action::Dead(list) => dead(&*outbox, &list).await,
        Action::Replay { id: Some(id), .. } => {
            outbox.replay(id).await?;
            say(format_args!("Letter {id} is on its way again. See: concert outbox list"))
        }
        Action::Replay { id: None, .. } => replay_all(&*outbox).await,
    }
}

async fn pending(outbox: &dyn Outbox, args: &ListArgs) -> Result<()> {
    let entries = collect(args.limit, async |page| outbox.pending(page).await).await?;
    if args.json {
        return entries.iter().try_for_each(|entry| say(pending_json(entry)));
    }
    if entries.is_empty() {
        return say("Nothing waits: every recorded event is published.");
    }
    say(format_args!("{:>10}  {:<20}  {:<12}  EVENT", "SEQUENCE", "TOPIC", "KEY"))?;
    for OutboxEntry { sequence, topic, record } in &entries {
        let (key, event) = (cell(&record.key), cell(&String::from_utf8_lossy(&record.value)));
        say(format_args!("{sequence:>10}  {topic:<20}  {key:<12}  {event}"))?;
    }
    let total = outbox.backlog().await?.pending;
    say(format_args!("{} of {total} shown. A running worker publishes them.", entries.len()))
}

async fn dead(outbox: &dyn Outbox, args: &ListArgs) -> Result<()> {
    let letters = collect(args.limit, async |page| outbox.dead_letters(page).await).await?;
    if args.json {
        return letters.iter().try_for_each(|letter| say(dead_json(letter)));
    }
    if letters.is_empty() {
        return say("No dead letters: every event could be handled.");
    }
    say(format_args!(
        "{:>6}  {:<24}  {:<24}  {:<24}  REASON",
        "LETTER", "DIED", "PLACE", "REPLAYED"
    ))?;
    for letter in &letters {
        let place = format!("{}/{}@{}", letter.topic, letter.partition, letter.offset);
        let replayed = letter.replayed_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let died = letter.died_at.to_string();
        say(format_args!(
            "{:>6}  {died:<24}  {place:<24}  {replayed:<24}  {}",
            letter.id,
            cell(&letter.reason)
        ))?;
    }
    say("Put one back on its way once its cause is gone: concert outbox replay LETTER")
}

async fn replay_all(outbox: &dyn Outbox) -> Result<()> {
    let letters = collect(usize::MAX, async |page| outbox.dead_letters(page).await).await?;
    let waiting: Vec<i64> = letters
        .iter()
        .filter(|letter| letter.replayed_at.is_none())
        .map(|letter| letter.id)
        .collect();
    for (done, id) in waiting.iter().enumerate() {
        outbox.replay(*id).await.with_context(|| {
            format!("letter {id} could not be replayed; {done} before it are on their way")
        })?;
    }
    match waiting.len() {
        0 => say("No dead letter waits for a replay."),
        count => say(format_args!("{count} letter(s) are on their way again.")),
    }
}

/// Reads pages until there are enough items.
async fn collect<T>(
    limit: usize,
    read: impl AsyncFn(PageRequest) -> concert_domain::Result<Page<T>>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    let mut after: Option<Cursor> = None;
    while items.len() < limit {
        let page = read(PageRequest { after, ..PageRequest::default() }).await?;
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    items.truncate(limit);
    Ok(items)
}

/// A text for a table that people read: what stands in a broken event must neither break the line
/// nor command the terminal.
fn cell(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn pending_json(entry: &OutboxEntry) -> Value {
    json!({
        "sequence": entry.sequence,
        "topic": entry.topic,
        "key": entry.record.key,
        "value": text(&entry.record.value),
    })
}

fn dead_json(letter: &DeadLetter) -> Value {
    json!({
        "letter": letter.id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "key": letter.record.key,
        "value": text(&letter.record.value),
        "reason": letter.reason,
        "diedAt": letter.died_at,
        "replayedAt": letter.replayed_at,
    })
}

/// The event as JSON, or the bytes as text if they are none, which is what makes letters dead.
fn text(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}
