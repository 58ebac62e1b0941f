//! What is kept per concert: the counters of its queue, and the newest policy it was told.

use concert_domain::queue::{KeptPolicy, Pace};
use concert_domain::{ConcertId, Error, Result, Timestamp};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Double, Nullable, Text};

use crate::db::Tx;
use crate::sql::sql;

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
    /// The newest policy that a transition told, as JSON.
    #[diesel(sql_type = Nullable<Text>)]
    policy: Option<String>,
}

impl State {
    pub fn load(tx: &mut Tx<'_>, concert: ConcertId) -> Result<Self> {
        let row = sql("SELECT last_sequence, waiting, active, admitted, pace, pace_at, rate_at,
             policy FROM queue_states WHERE concert_id = ?")
        .int(concert)
        .row(tx.conn)?;
        Ok(row.unwrap_or_default())
    }

    pub fn save(&self, tx: &mut Tx<'_>, concert: ConcertId) -> Result<()> {
        sql("INSERT OR REPLACE INTO queue_states
             (concert_id, last_sequence, waiting, active, admitted, pace, pace_at, rate_at, policy)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .int(concert)
        .int(self.last_sequence)
        .int(self.waiting)
        .int(self.active)
        .int(self.admitted)
        .real(self.pace)
        .int(self.pace_at)
        .int(self.rate_at)
        .text_or_null(self.policy.as_deref())
        .run(tx.conn)?;
        Ok(())
    }

    /// The newer of the policy that is known and the one that a transition is told, which is kept.
    pub fn newest_policy(&mut self, told: KeptPolicy) -> Result<KeptPolicy> {
        let garbled = |error: serde_json::Error| Error::bug(error.to_string());
        let known =
            self.policy.as_deref().map(serde_json::from_str).transpose().map_err(garbled)?;
        let known: KeptPolicy = known.unwrap_or_default();
        if told.version <= known.version {
            return Ok(known);
        }
        self.policy = Some(serde_json::to_string(&told).map_err(garbled)?);
        Ok(told)
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
