use async_trait::async_trait;
use concert_domain::user::{Kept, User, UserName, UserStore};
use concert_domain::{Error, Result, Timestamp, UserId};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};

use crate::Mysql;
use crate::error::{Fault, Run, unknown_word};
use crate::sql::{Tx, sql};

#[async_trait]
impl UserStore for Mysql {
    async fn keep(&self, id: UserId, name: UserName) -> Result<Kept> {
        self.write((id, name), |tx, (id, name)| Box::pin(keep(tx, *id, name))).await
    }

    async fn create(&self, id: UserId, name: UserName) -> Result<Option<User>> {
        self.write((id, name), |tx, (id, name)| Box::pin(create(tx, *id, name))).await
    }

    async fn find(&self, id: UserId) -> Result<Option<User>> {
        self.read(id, |tx, id| Box::pin(find(tx, *id))).await
    }
}

#[derive(QueryableByName)]
struct UserRow {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

async fn find(tx: &mut Tx, id: UserId) -> Run<Option<User>> {
    let row: Option<UserRow> =
        sql("SELECT name, created_at FROM users WHERE id = ?").int(id).row(tx).await?;
    let Some(row) = row else { return Ok(None) };
    let name =
        UserName::try_from(row.name.clone()).map_err(|_| unknown_word("users.name", &row.name))?;
    Ok(Some(User { id, name, created_at: Timestamp::from_millis(row.created_at) }))
}

async fn keep(tx: &mut Tx, id: UserId, name: &UserName) -> Run<Kept> {
    let renamed =
        sql("UPDATE users SET name = ? WHERE id = ?").text(name.as_str()).int(id).run(tx).await?;
    if renamed == 0 && !add(tx, id, name).await? {
        // Somebody else gave the name in between; it is there to be replaced now.
        return Err(Fault::Contended);
    }
    let user = find(tx, id).await?.ok_or_else(|| Error::bug("a user was not written"))?;
    Ok(if renamed == 0 { Kept::Created(user) } else { Kept::Renamed(user) })
}

async fn create(tx: &mut Tx, id: UserId, name: &UserName) -> Run<Option<User>> {
    if in_use(tx, id).await? || !add(tx, id, name).await? {
        return Ok(None);
    }
    find(tx, id).await
}

async fn add(tx: &mut Tx, id: UserId, name: &UserName) -> Run<bool> {
    sql("INSERT INTO users (id, name, created_at) VALUES (?, ?, {now})")
        .int(id)
        .text(name.as_str())
        .insert(tx)
        .await
}

/// Whether anything belongs to the id: a name, points or a charge under way (both have an
/// account), a reservation.
async fn in_use(tx: &mut Tx, id: UserId) -> Run<bool> {
    let used = sql("SELECT EXISTS (SELECT 1 FROM users WHERE id = ?)
             OR EXISTS (SELECT 1 FROM point_accounts WHERE user_id = ?)
             OR EXISTS (SELECT 1 FROM reservations WHERE user_id = ?) AS n")
    .int(id)
    .int(id)
    .int(id)
    .count(tx)
    .await?;
    Ok(used == 1)
}
