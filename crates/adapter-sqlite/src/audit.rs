//! What operators changed: one line to a change, in its transaction.

use std::time::Duration;

use async_trait::async_trait;
use concert_domain::audit::{Action, AuditLog, Change, Editor, Entry, Filter, Resource};
use concert_domain::{Cursor, Error, Page, PageRequest, Result, Timestamp};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde_json::Value;

use crate::Sqlite;
use crate::db::Tx;
use crate::sql::{sql, typed, unknown_word};

#[async_trait]
impl AuditLog for Sqlite {
    async fn changes(&self, filter: Filter, page: PageRequest) -> Result<Page<Entry>> {
        self.read(move |tx| changes(tx, filter, page)).await
    }

    async fn purge(&self, age: Duration, limit: u32) -> Result<u32> {
        let purged = self.write(move |tx| {
            sql("DELETE FROM admin_audit WHERE id IN
                 (SELECT id FROM admin_audit WHERE at < ? ORDER BY at LIMIT ?)")
            .time(tx.now.minus(age))
            .int(limit)
            .run(tx.conn)
        });
        Ok(u32::try_from(purged.await?).unwrap_or(u32::MAX))
    }
}

/// Writes the line of a change.
pub(crate) fn note(tx: &mut Tx<'_>, editor: &Editor, change: &Change) -> Result<()> {
    sql("INSERT INTO admin_audit
         (at, actor, request_id, action, resource, resource_id, state_before, state_after)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
    .time(tx.now)
    .int_or_null(editor.user)
    .text_or_null(editor.request_id.as_deref())
    .text(change.action().word())
    .text(change.resource.word())
    .int(change.id)
    .text_or_null(change.before.as_ref().map(Value::to_string))
    .text_or_null(change.after.as_ref().map(Value::to_string))
    .run(tx.conn)?;
    Ok(())
}

fn changes(tx: &mut Tx<'_>, filter: Filter, page: PageRequest) -> Result<Page<Entry>> {
    let wanted = match filter {
        Filter::All => sql("SELECT * FROM admin_audit WHERE id < ? ORDER BY id DESC LIMIT ?"),
        Filter::Of(resource) => sql("SELECT * FROM admin_audit WHERE resource = ?
             AND id < ? ORDER BY id DESC LIMIT ?")
        .text(resource.word()),
        Filter::One(resource, id) => sql("SELECT * FROM admin_audit WHERE resource = ?
             AND resource_id = ? AND id < ? ORDER BY id DESC LIMIT ?")
        .text(resource.word())
        .int(id),
    };
    let rows: Vec<EntryRow> = wanted
        .int(page.after.map_or(i64::MAX, |after| after.id))
        .int(page.limit.get() + 1)
        .rows(tx.conn)?;
    let entries = rows.into_iter().map(EntryRow::entry).collect::<Result<_>>()?;
    Ok(Page::from_rows(entries, page.limit, |entry| Cursor { key: entry.id, id: entry.id }))
}

#[derive(QueryableByName)]
struct EntryRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    actor: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Text)]
    resource: String,
    #[diesel(sql_type = BigInt)]
    resource_id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    state_before: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    state_after: Option<String>,
}

impl EntryRow {
    fn entry(self) -> Result<Entry> {
        let user = self.actor.map(|actor| typed("admin_audit.actor", actor)).transpose()?;
        Ok(Entry {
            id: self.id,
            at: Timestamp::from_millis(self.at),
            editor: Editor { user, request_id: self.request_id },
            action: Action::of_word(&self.action)
                .ok_or_else(|| unknown_word("admin_audit.action", &self.action))?,
            resource: Resource::of_word(&self.resource)
                .ok_or_else(|| unknown_word("admin_audit.resource", &self.resource))?,
            resource_id: self.resource_id,
            before: self.state_before.as_deref().map(state).transpose()?,
            after: self.state_after.as_deref().map(state).transpose()?,
        })
    }
}

fn state(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::bug(error.to_string()))
}
