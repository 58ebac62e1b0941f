//! What is kept per concert: the counters of its queue and its own policy.

use concert_domain::queue::{Mode, Pace, Policy};
use concert_domain::{ConcertId, Result, Timestamp};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Double, Nullable, Text};

use crate::db::Tx;
use crate::sql::{sql, typed, unknown_word};

/// The counters of one queue. All zero: nobody ever joined.
#[derive(QueryableByName, Clone, PartialEq, Default)]
pub(super) struct State {
    #[diesel(sql_type = BigInt)]
    pub last_sequence: i64,
    /// Rows with the status WAITING; what is past its deadline counts until a step drops it.
    #[diesel(sql_type = BigInt)]
    pub waiting: i64,
    /// Rows with the status ACTIVE, likewise.
    #[diesel(sql_type = BigInt)]
    pub active: i64,
    #[diesel(sql_type = BigInt)]
    pub admitted: i64,
    #[diesel(sql_type = Double)]
    pub pace: f64,
    #[diesel(sql_type = BigInt)]
    pub pace_at: i64,
    #[diesel(sql_type = BigInt)]
    pub rate_at: i64,
}

impl State {
    pub fn load(tx: &mut Tx<'_>, concert: ConcertId) -> Result<Self> {
        let row = sql("SELECT last_sequence, waiting, active, admitted, pace, pace_at, rate_at
             FROM queue_states WHERE concert_id = ?")
        .int(concert)
        .row(tx.conn)?;
        Ok(row.unwrap_or_default())
    }

    pub fn save(&self, tx: &mut Tx<'_>, concert: ConcertId) -> Result<()> {
        sql("INSERT OR REPLACE INTO queue_states
             (concert_id, last_sequence, waiting, active, admitted, pace, pace_at, rate_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .int(concert)
        .int(self.last_sequence)
        .int(self.waiting)
        .int(self.active)
        .int(self.admitted)
        .real(self.pace)
        .int(self.pace_at)
        .int(self.rate_at)
        .run(tx.conn)?;
        Ok(())
    }

    /// The pace as of now.
    pub fn pace(&self, now: Timestamp) -> Pace {
        self.kept_pace().after(now, 0)
    }

    /// Counts admissions into the pace.
    pub fn quicken(&mut self, now: Timestamp, admitted: u64) {
        let pace = self.kept_pace().after(now, admitted);
        (self.pace, self.pace_at) = (pace.per_second(), pace.at().as_millis());
    }

    fn kept_pace(&self) -> Pace {
        Pace::new(self.pace, Timestamp::from_millis(self.pace_at))
    }
}

#[derive(QueryableByName)]
struct PolicyRow {
    #[diesel(sql_type = Text)]
    mode: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    active_limit: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    admissions_per_second: Option<i64>,
}

/// A concert's own policy; the default one if it has none.
pub(super) fn policy(tx: &mut Tx<'_>, concert: ConcertId) -> Result<Policy> {
    let row: Option<PolicyRow> = sql("SELECT mode, active_limit, admissions_per_second
         FROM queue_policies WHERE concert_id = ?")
    .int(concert)
    .row(tx.conn)?;
    let Some(row) = row else { return Ok(Policy::default()) };
    let number = |column, value: Option<i64>| value.map(|v| typed(column, v)).transpose();
    Ok(Policy {
        mode: mode(&row.mode)?,
        active_limit: number("active_limit", row.active_limit)?,
        admissions_per_second: number("admissions_per_second", row.admissions_per_second)?,
    })
}

pub(super) fn save_policy(tx: &mut Tx<'_>, concert: ConcertId, policy: Policy) -> Result<()> {
    sql("INSERT OR REPLACE INTO queue_policies
         (concert_id, mode, active_limit, admissions_per_second) VALUES (?, ?, ?, ?)")
    .int(concert)
    .text(word(policy.mode))
    .int_or_null(policy.active_limit)
    .int_or_null(policy.admissions_per_second)
    .run(tx.conn)?;
    Ok(())
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Open => "OPEN",
        Mode::Hold => "HOLD",
        Mode::Drain => "DRAIN",
    }
}

fn mode(word: &str) -> Result<Mode> {
    match word {
        "OPEN" => Ok(Mode::Open),
        "HOLD" => Ok(Mode::Hold),
        "DRAIN" => Ok(Mode::Drain),
        _ => Err(unknown_word("queue_policies.mode", word)),
    }
}
