//! Policies of queues. The queues themselves are not kept here.

use async_trait::async_trait;
use concert_domain::audit::{Change, Edit};
use concert_domain::queue::{KeptPolicy, MAX_POLICIES, Mode, Policy, PolicyPatch, PolicyStore};
use concert_domain::{ConcertId, Error, Result};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::Mysql;
use crate::audit::note;
use crate::concert_admin::lock_concert;
use crate::error::{Run, typed, unknown_word};
use crate::sql::{Tx, sql};

#[async_trait]
impl PolicyStore for Mysql {
    async fn policies(&self) -> Result<Vec<(ConcertId, KeptPolicy)>> {
        self.read((), |tx, ()| Box::pin(policies(tx))).await
    }

    async fn policy(&self, concert: ConcertId) -> Result<KeptPolicy> {
        self.read(concert, |tx, concert| Box::pin(policy(tx, *concert))).await
    }

    async fn set_policy(
        &self,
        edit: Edit,
        concert: ConcertId,
        patch: PolicyPatch,
    ) -> Result<KeptPolicy> {
        self.write((edit, concert, patch), |tx, (edit, concert, patch)| {
            Box::pin(set_policy(tx, edit, *concert, *patch))
        })
        .await
    }
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

async fn policies(tx: &mut Tx) -> Run<Vec<(ConcertId, KeptPolicy)>> {
    let rows: Vec<PolicyRow> = sql("SELECT concert_id, mode, active_limit, admissions_per_second,
         version FROM queue_policies ORDER BY concert_id LIMIT ?")
    .int(MAX_POLICIES)
    .rows(tx)
    .await?;
    Ok(rows.into_iter().map(PolicyRow::kept).collect::<Result<_>>()?)
}

async fn policy(tx: &mut Tx, concert: ConcertId) -> Run<KeptPolicy> {
    let row: Option<PolicyRow> = sql("SELECT concert_id, mode, active_limit,
         admissions_per_second, version FROM queue_policies WHERE concert_id = ?")
    .int(concert)
    .row(tx)
    .await?;
    let kept = row.map(PolicyRow::kept).transpose()?;
    Ok(kept.map_or_else(KeptPolicy::default, |(_, kept)| kept))
}

/// The lock of the concert makes changes of one policy follow each other.
async fn set_policy(
    tx: &mut Tx,
    edit: &Edit,
    id: ConcertId,
    patch: PolicyPatch,
) -> Run<KeptPolicy> {
    lock_concert(tx, id).await?;
    let before = policy(tx, id).await?;
    edit.condition.check(before.version)?;
    if before.version == 0 {
        let there = sql("SELECT COUNT(*) AS n FROM queue_policies").count(tx).await?;
        if there >= i64::from(MAX_POLICIES) {
            let full = Error::Conflict("as many concerts as may have a policy of their own");
            return Err(full.into());
        }
    }
    let after = KeptPolicy { policy: before.policy.patched(patch), version: before.version + 1 };
    save(tx, id, after).await?;
    note(tx, &edit.editor, &Change::edited_queue(id, before, after)).await?;
    Ok(after)
}

async fn save(tx: &mut Tx, concert: ConcertId, kept: KeptPolicy) -> Run<()> {
    sql("INSERT INTO queue_policies
         (concert_id, mode, active_limit, admissions_per_second, version, updated_at)
         VALUES (?, ?, ?, ?, ?, {now}) AS told
         ON DUPLICATE KEY UPDATE mode = told.mode, active_limit = told.active_limit,
             admissions_per_second = told.admissions_per_second, version = told.version,
             updated_at = told.updated_at")
    .int(concert)
    .text(kept.policy.mode.word())
    .int_or_null(kept.policy.active_limit)
    .int_or_null(kept.policy.admissions_per_second)
    .int(kept.version)
    .run(tx)
    .await?;
    Ok(())
}
