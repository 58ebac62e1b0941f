//! A store for tests that look at rows which no port shows.

use std::sync::Arc;

use concert_domain::{Result, Timestamp};
use tempfile::TempDir;

use crate::sql::sql;
use crate::{ManualClock, Sqlite};

/// A migrated store in a folder of its own, and the clock that is its time.
pub(crate) struct TestStore {
    pub sqlite: Sqlite,
    pub clock: Arc<ManualClock>,
    _folder: TempDir,
}

impl TestStore {
    /// An empty store; its time stands at so many milliseconds.
    pub async fn at(millis: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(millis)));
        let sqlite = Sqlite::open(&folder.path().join("test.db"), clock.clone()).await.unwrap();
        sqlite.migrate().await.unwrap();
        Self { sqlite, clock, _folder: folder }
    }

    /// Runs the statements, past every port.
    pub async fn run(&self, statements: &'static [&'static str]) {
        let run = self.sqlite.write(move |tx| -> Result<()> {
            statements.iter().try_for_each(|text| sql(text).run(tx.conn).map(drop))
        });
        run.await.unwrap();
    }
}
