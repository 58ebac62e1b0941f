//! Policies of queues, as the database has them. What a queue was told of its own lies with its
//! counters.

use async_trait::async_trait;
use concert_domain::audit::{Change, Edit};
use concert_domain::queue::{KeptPolicy, MAX_POLICIES, Mode, Policy, PolicyPatch, PolicyStore};
use concert_domain::{ConcertId, Error, Result};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::Sqlite;
use crate::audit::note;
use crate::concert::concert;
use crate::db::Tx;
use crate::sql::{sql, typed, unknown_word};

#[async_trait]
impl PolicyStore for Sqlite {
    async fn policies(&self) -> Result<Vec<(ConcertId, KeptPolicy)>> {
        self.read(|tx| {
            let rows: Vec<PolicyRow> = sql("SELECT concert_id, mode, active_limit,
                 admissions_per_second, version FROM queue_policies ORDER BY concert_id LIMIT ?")
            .int(MAX_POLICIES)
            .rows(tx.conn)?;
            rows.into_iter().map(PolicyRow::kept).collect()
        })
        .await
    }

    async fn policy(&self, concert: ConcertId) -> Result<KeptPolicy> {
        self.read(move |tx| policy(tx, concert)).await
    }

    async fn set_policy(
        &self,
        edit: Edit,
        concert: ConcertId,
        patch: PolicyPatch,
    ) -> Result<KeptPolicy> {
        self.write(move |tx| set_policy(tx, &edit, concert, patch)).await
    }
}

fn set_policy(
    tx: &mut Tx<'_>,
    edit: &Edit,
    id: ConcertId,
    patch: PolicyPatch,
) -> Result<KeptPolicy> {
    concert(tx, id)?.ok_or(Error::ConcertNotFound)?;
    let before = policy(tx, id)?;
    edit.condition.check(before.version)?;
    if before.version == 0 {
        let there = sql("SELECT COUNT(*) AS n FROM queue_policies").count(tx.conn)?;
        if there >= i64::from(MAX_POLICIES) {
            return Err(Error::Conflict("as many concerts as may have a policy of their own"));
        }
    }
    let after = KeptPolicy { policy: before.policy.patched(patch), version: before.version + 1 };
    save(tx, id, after)?;
    note(tx, &edit.editor, &Change::edited_queue(id, before, after))?;
    Ok(after)
}

#[derive(QueryableByName)]
struct PolicyRow {
    #[diesel(sql_type = BigInt)]
    concert_id: i64,
    #[diesel(sql_type = Text)]
    mode: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    active_limit: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    admissions_per_second: Option<i64>,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

impl PolicyRow {
    fn kept(self) -> Result<(ConcertId, KeptPolicy)> {
        let number = |column, value: Option<i64>| value.map(|v| typed(column, v)).transpose();
        let policy = Policy {
            mode: Mode::of_word(&self.mode)
                .ok_or_else(|| unknown_word("queue_policies.mode", &self.mode))?,
            active_limit: number("active_limit", self.active_limit)?,
            admissions_per_second: number("admissions_per_second", self.admissions_per_second)?,
        };
        let concert = typed("queue_policies.concert_id", self.concert_id)?;
        Ok((concert, KeptPolicy { policy, version: self.version }))
    }
}

fn policy(tx: &mut Tx<'_>, concert: ConcertId) -> Result<KeptPolicy> {
    let row: Option<PolicyRow> = sql("SELECT concert_id, mode, active_limit,
         admissions_per_second, version FROM queue_policies WHERE concert_id = ?")
    .int(concert)
    .row(tx.conn)?;
    Ok(row.map(PolicyRow::kept).transpose()?.map_or_else(KeptPolicy::default, |(_, kept)| kept))
}

fn save(tx: &mut Tx<'_>, concert: ConcertId, kept: KeptPolicy) -> Result<()> {
    sql("INSERT OR REPLACE INTO queue_policies
         (concert_id, mode, active_limit, admissions_per_second, version, updated_at)
         VALUES (?, ?, ?, ?, ?, ?)")
    .int(concert)
    .text(kept.policy.mode.word())
    .int_or_null(kept.policy.active_limit)
    .int_or_null(kept.policy.admissions_per_second)
    .int(kept.version)
    .time(tx.now)
    .run(tx.conn)?;
    Ok(())
}
