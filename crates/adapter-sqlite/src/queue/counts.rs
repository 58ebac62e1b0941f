//! How many wait, by sequence in buckets of two sizes, so that a rank is the sum of a bounded
//! number of rows however long the queue is.

use std::collections::BTreeMap;

use concert_domain::{ConcertId, Result};

use crate::db::Tx;
use crate::sql::sql;

/// A bucket of level 1 has 2^8 sequence numbers, one of level 2 has 2^16.
const BITS: [(i64, u32); 2] = [(1, 8), (2, 16)];

/// How many tokens whose wait is over, but which no step has dropped yet, a rank leaves out.
const LATE_BOUND: i64 = 1_000;

/// Changes of the counts, gathered so that each bucket is written once.
#[derive(Default)]
pub(super) struct Counts(BTreeMap<(i64, i64), i64>);

impl Counts {
    /// So many (negative: fewer) wait under the sequence number.
    pub fn add(&mut self, sequence: i64, change: i64) {
        for (level, bits) in BITS {
            *self.0.entry((level, sequence >> bits)).or_default() += change;
        }
    }

    /// Writes the changes; a bucket in which nobody waits has no row.
    pub fn save(self, tx: &mut Tx<'_>, concert: ConcertId) -> Result<()> {
        for ((level, bucket), change) in self.0 {
            let waiting = sql("INSERT INTO queue_counts (concert_id, level, bucket, waiting)
                 VALUES (?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET waiting = waiting + excluded.waiting
                 RETURNING waiting AS n")
            .int(concert)
            .int(level)
            .int(bucket)
            .int(change)
            .count(tx.conn)?;
            if waiting == 0 {
                sql("DELETE FROM queue_counts WHERE concert_id = ? AND level = ? AND bucket = ?")
                    .int(concert)
                    .int(level)
                    .int(bucket)
                    .run(tx.conn)?;
            }
        }
        Ok(())
    }
}

/// The place from 1 of the sequence number that waits: whole large buckets below it, whole small
/// ones below it inside its large one, rows inside its small one; without those whose wait is
/// over.
pub(super) fn rank(tx: &mut Tx<'_>, concert: ConcertId, sequence: i64) -> Result<u64> {
    let (small, large) = (sequence >> 8, sequence >> 16);
    let rank = sql("SELECT
          (SELECT coalesce(sum(waiting), 0) FROM queue_counts
           WHERE concert_id = ? AND level = 2 AND bucket < ?)
        + (SELECT coalesce(sum(waiting), 0) FROM queue_counts
           WHERE concert_id = ? AND level = 1 AND bucket >= ? AND bucket < ?)
        + (SELECT count(*) FROM queue_tokens
           WHERE concert_id = ? AND status = 'WAITING' AND sequence BETWEEN ? AND ?)
        - (SELECT count(*) FROM
             (SELECT sequence FROM queue_tokens
              WHERE concert_id = ? AND status = 'WAITING' AND deadline <= ?
              ORDER BY deadline LIMIT ?)
           WHERE sequence < ?) AS n")
    .int(concert)
    .int(large)
    .int(concert)
    .int(large << 8)
    .int(small)
    .int(concert)
    .int(small << 8)
    .int(sequence)
    .int(concert)
    .time(tx.now)
    .int(LATE_BOUND)
    .int(sequence)
    .count(tx.conn)?;
    Ok(u64::try_from(rank).unwrap_or(0).max(1))
}
