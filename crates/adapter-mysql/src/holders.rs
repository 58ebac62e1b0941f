//! How many seats users hold.
//!
//! Two who hold for one user at once do not see each other's rows before the COMMIT. So the count is
//! taken twice: before the change without a lock, to refuse who has enough; and after it with one,
//! which waits for whoever else writes for that user. Of two that wait for each other the server
//! ends one, and it is done again.

use std::collections::HashMap;

use concert_domain::Error;
use concert_domain::reservation::{Hold, Reservation};
use diesel::QueryableByName;
use diesel::sql_types::BigInt;

use crate::error::Run;
use crate::sql::{Tx, sql};

macro_rules! live {
    ($locking:literal) => {
        concat!(
            "SELECT r.user_id, r.concert_id, COUNT(*) AS live
             FROM JSON_TABLE(?, '$[*]' COLUMNS (user_id BIGINT PATH '$[0]',
                 concert_id BIGINT PATH '$[1]')) t
             STRAIGHT_JOIN reservations r FORCE INDEX (idx_reservations_holder)
                 ON r.user_id = t.user_id AND r.concert_id = t.concert_id
                AND r.status = 'PENDING' AND r.expires_at > {now}
             GROUP BY r.user_id, r.concert_id ",
            $locking
        )
    };
}

const LIVE: &str = live!("");
const LIVE_LOCKED: &str = live!("FOR SHARE OF r");

/// A user and a concert.
type Holder = (i64, i64);

/// Live holds by their holder.
#[derive(Debug, Default)]
pub(crate) struct Holders(HashMap<Holder, i64>);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    user_id: i64,
    #[diesel(sql_type = BigInt)]
    concert_id: i64,
    #[diesel(sql_type = BigInt)]
    live: i64,
}

impl Holders {
    /// As they were committed.
    pub async fn of(tx: &mut Tx, holds: impl Iterator<Item = &Hold>) -> Run<Self> {
        Self::read(tx, holds, LIVE).await
    }

    /// Counts one more, unless its user has enough.
    pub fn admit(&mut self, hold: &Hold) -> bool {
        let live = self.0.entry(holder(&hold.reservation)).or_default();
        let room = *live < i64::from(hold.most);
        *live += i64::from(room);
        room
    }

    async fn read(
        tx: &mut Tx,
        holds: impl Iterator<Item = &Hold>,
        text: &'static str,
    ) -> Run<Self> {
        let mut holders: Vec<_> = holds.map(|hold| holder(&hold.reservation)).collect();
        holders.sort_unstable();
        holders.dedup();
        let rows: Vec<Row> = sql(text).json(&holders)?.rows(tx).await?;
        Ok(Self(rows.into_iter().map(|row| ((row.user_id, row.concert_id), row.live)).collect()))
    }
}

/// Refuses what was written, if with it somebody holds more than one may.
pub(crate) async fn check(tx: &mut Tx, written: &[&Hold]) -> Run<()> {
    let holders = Holders::read(tx, written.iter().copied(), LIVE_LOCKED).await?;
    let live = |hold: &Hold| holders.0.get(&holder(&hold.reservation)).copied().unwrap_or(0);
    if written.iter().any(|hold| live(hold) > i64::from(hold.most)) {
        return Err(Error::HoldLimitExceeded.into());
    }
    Ok(())
}

fn holder(reservation: &Reservation) -> Holder {
    (reservation.user_id.get(), reservation.concert_id.get())
}
