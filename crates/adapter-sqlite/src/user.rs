use async_trait::async_trait;
use concert_domain::user::{Kept, User, UserName, UserStore};
use concert_domain::{Result, Timestamp, UserId};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};

use crate::Sqlite;
use crate::db::Tx;
use crate::sql::{sql, unknown_word};

#[async_trait]
impl UserStore for Sqlite {
    async fn keep(&self, id: UserId, name: UserName) -> Result<Kept> {
        self.write(move |tx| keep(tx, id, name)).await
    }

    async fn create(&self, id: UserId, name: UserName) -> Result<Option<User>> {
        self.write(move |tx| if in_use(tx, id)? { Ok(None) } else { add(tx, id, name).map(Some) })
            .await
    }

    async fn find(&self, id: UserId) -> Result<Option<User>> {
        self.read(move |tx| find(tx, id)).await
    }
}

#[derive(QueryableByName)]
struct UserRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

fn find(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>> {
    let row: Option<UserRow> =
        sql("SELECT name, created_at FROM users WHERE id = ?").int(id).row(tx.conn)?;
    let Some(row) = row else { return Ok(None) };
    let name =
        UserName::try_from(row.name.clone()).map_err(|_| unknown_word("users.name", &row.name))?;
    Ok(Some(User { id, name, created_at: Timestamp::from_millis(row.created_at) }))
}

fn keep(tx: &mut Tx<'_>, id: UserId, name: UserName) -> Result<Kept> {
    let Some(before) = find(tx, id)? else {
        return add(tx, id, name).map(Kept::Created);
    };
    sql("UPDATE users SET name = ? WHERE id = ?").text(name.as_str()).int(id).run(tx.conn)?;
    Ok(Kept::Renamed(User { name, ..before }))
}

fn add(tx: &mut Tx<'_>, id: UserId, name: UserName) -> Result<User> {
    sql("INSERT INTO users (id, name, created_at) VALUES (?, ?, ?)")
        .int(id)
        .text(name.as_str())
        .time(tx.now)
        .run(tx.conn)?;
    Ok(User { id, name, created_at: tx.now })
}

/// Whether anything belongs to the id: a name, points or a charge under way (both have an
/// account), a reservation, a place in a queue. The last one is looked up queue by queue, which
/// is one step each however many wait there.
fn in_use(tx: &mut Tx<'_>, id: UserId) -> Result<bool> {
    let used = sql("SELECT EXISTS (SELECT 1 FROM users WHERE id = ?)
             OR EXISTS (SELECT 1 FROM point_accounts WHERE user_id = ?)
             OR EXISTS (SELECT 1 FROM reservations WHERE user_id = ?)
             OR EXISTS (SELECT 1 FROM queue_states q CROSS JOIN queue_tokens t
                 WHERE t.concert_id = q.concert_id AND t.user_id = ?
                 AND t.status IN ('WAITING', 'ACTIVE')) AS n")
    .int(id)
    .int(id)
    .int(id)
    .int(id)
    .count(tx.conn)?;
    Ok(used == 1)
}
