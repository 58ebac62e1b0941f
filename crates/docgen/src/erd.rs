//! The schema, read back from a database that the migrations made.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

const INTRODUCTION: &str = "\
# The tables of the embedded engine

Made from the migrations by `make docs-update`; `make ci` fails when it is out of date. Times are
milliseconds since 1970 in UTC, money is whole won. What a table is for stands in the comments of
`migrations/sqlite`.

MySQL has the same tables, columns and indexes but for a few, which
[ARCHITECTURE.md](ARCHITECTURE.md#where-things-lie) names, together with the keys in Redis and the topics in Kafka.

A solid line is a foreign key. A dotted line is a column that names a row of another table without
a key: users need no row of their own, history outlives what it names, and a seat and its
reservation name each other.

";

const KEYS: &str = "\
## Unique keys

Besides the primary keys. They are the net below the conditional updates of the adapter: a law that
code got wrong ends in a refused statement, not in a second owner.

";

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    required: i64,
    #[diesel(sql_type = BigInt)]
    key: i64,
}

#[derive(QueryableByName)]
struct ForeignKey {
    #[diesel(sql_type = Text)]
    target: String,
    #[diesel(sql_type = Text)]
    column: String,
}

/// The version of the SQLite library that this workspace builds in.
pub fn sqlite_version() -> Result<String> {
    let mut conn = SqliteConnection::establish(":memory:")?;
    Ok(diesel::sql_query("SELECT sqlite_version() AS name").get_result::<Named>(&mut conn)?.name)
}

/// The document for the migrations in a directory.
pub fn markdown(migrations: &Path) -> Result<String> {
    let mut conn = SqliteConnection::establish(":memory:")?;
    migrate(&mut conn, migrations)?;
    let tables = names(
        &mut conn,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' \
         ESCAPE '!' ORDER BY rowid",
    )?;
    let mut out = INTRODUCTION.to_owned();
    out.push_str("```mermaid\nerDiagram\n");
    for table in &tables {
        draw(&mut conn, &mut out, table, &tables)?;
    }
    out.push_str("```\n\n");
    out.push_str(KEYS);
    out.push_str("```sql\n");
    for key in names(
        &mut conn,
        "SELECT sql AS name FROM sqlite_schema WHERE sql LIKE 'CREATE UNIQUE INDEX%' ORDER BY rowid",
    )? {
        writeln!(out, "{key};")?;
    }
    out.push_str("```\n");
    Ok(out)
}

fn migrate(conn: &mut SqliteConnection, dir: &Path) -> Result<()> {
    let steps = std::fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))?;
    let mut steps = steps.map(|step| Ok(step?.path())).collect::<Result<Vec<_>>>()?;
    steps.sort();
    for step in steps {
        let file = step.join("up.sql");
        let sql = std::fs::read_to_string(&file)
            .with_context(|| format!("reading {}", file.display()))?;
        conn.batch_execute(&sql).with_context(|| format!("running {}", file.display()))?;
    }
    Ok(())
}

/// One table with its columns, and its lines to other tables.
fn draw(
    conn: &mut SqliteConnection,
    out: &mut String,
    table: &str,
    tables: &[String],
) -> Result<()> {
    let keys: Vec<ForeignKey> = diesel::sql_query(
        "SELECT \"table\" AS target, \"from\" AS \"column\" FROM pragma_foreign_key_list(?)",
    )
    .bind::<Text, _>(table)
    .load(conn)?;
    let columns: Vec<Column> = diesel::sql_query(
        "SELECT name, type AS kind, \"notnull\" AS required, pk AS \"key\" \
         FROM pragma_table_info(?) ORDER BY cid",
    )
    .bind::<Text, _>(table)
    .load(conn)?;

    writeln!(out, "    {table} {{")?;
    for column in &columns {
        let mut marks = Vec::new();
        if column.key > 0 {
            marks.push("PK");
        }
        if keys.iter().any(|key| key.column == column.name) {
            marks.push("FK");
        }
        let marks = if marks.is_empty() { String::new() } else { format!(" {}", marks.join(",")) };
        let optional = if column.required == 0 { " \"may be NULL\"" } else { "" };
        writeln!(out, "        {} {}{marks}{optional}", column.kind, column.name)?;
    }
    writeln!(out, "    }}")?;

    for column in &columns {
        if let Some(key) = keys.iter().find(|key| key.column == column.name) {
            writeln!(out, "    {} ||--o{{ {table} : \"{}\"", key.target, column.name)?;
        } else if let Some(target) = named_table(table, &column.name, tables) {
            writeln!(out, "    {target} |o..o{{ {table} : \"{}\"", column.name)?;
        }
    }
    Ok(())
}

/// The other table whose row a column such as `seat_id` names.
fn named_table<'a>(table: &str, column: &str, tables: &'a [String]) -> Option<&'a String> {
    let plural = format!("{}s", column.strip_suffix("_id")?);
    tables.iter().find(|name| **name == plural && *name != table)
}

fn names(conn: &mut SqliteConnection, query: &str) -> Result<Vec<String>> {
    let rows: Vec<Named> = diesel::sql_query(query).load(conn)?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_and_every_line_is_drawn() {
        let dir = std::env::temp_dir().join(format!("concert-erd-{}", std::process::id()));
        let step = dir.join("1_first");
        std::fs::create_dir_all(&step).unwrap();
        let sql = "CREATE TABLE seats (id INTEGER NOT NULL PRIMARY KEY, note TEXT);
            CREATE TABLE users (id INTEGER NOT NULL PRIMARY KEY);
            CREATE TABLE holds (seat_id INTEGER NOT NULL REFERENCES seats (id), user_id INTEGER);
            CREATE UNIQUE INDEX uq_holds_seat ON holds (seat_id);";
        std::fs::write(step.join("up.sql"), sql).unwrap();
        let text = markdown(&dir).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        for line in [
            "INTEGER id PK\n",
            "TEXT note \"may be NULL\"",
            "INTEGER seat_id FK\n",
            "seats ||--o{ holds : \"seat_id\"",
            "users |o..o{ holds : \"user_id\"",
            "CREATE UNIQUE INDEX uq_holds_seat ON holds (seat_id);",
        ] {
            assert!(text.contains(line), "{line:?} is missing in:\n{text}");
        }
    }
}
