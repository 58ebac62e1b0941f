//! Connections on loan.

use std::time::{Duration, Instant};

use concert_domain::{Error, Result};
use deadpool::Runtime;
use deadpool::managed::{QueueMode, Timeouts};
use diesel::ConnectionError;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, SimpleAsyncConnection};

use crate::error::{Fault, Run, unavailable};
use crate::sql::Tx;

/// How long a request waits for a free connection, and for a new one to be made.
const WAIT: Duration = Duration::from_secs(2);

/// READ COMMITTED, so that a conditional update sees what was committed last; bounded waits on the
/// server; errors in the language that is matched on; times in UTC; no value cut to fit.
const SETUP: &str = "SET SESSION transaction_isolation = 'READ-COMMITTED', \
    innodb_lock_wait_timeout = 2, max_execution_time = 5000, lc_messages = 'en_US', \
    time_zone = '+00:00', sql_mode = 'TRADITIONAL'";

/// The connections of this process.
#[derive(Clone)]
pub(crate) struct Connections(Pool<AsyncMysqlConnection>);

impl Connections {
    /// A pool of at most so many connections, made when they are needed.
    pub(crate) fn new(url: &str, most: usize) -> Result<Self> {
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(|url| Box::pin(connect(url)));
        // Not verified: that costs a round trip, and is no cure for a cancelled query. See `Lease`.
        config.recycling_method = RecyclingMethod::Fast;
        let manager = AsyncDieselConnectionManager::new_with_config(url, config);
        let timeouts = Timeouts { wait: Some(WAIT), create: Some(WAIT), recycle: Some(WAIT) };
        let pool = Pool::builder(manager)
            .max_size(most)
            .timeouts(timeouts)
            // The one that was used last has its statements prepared and is awake at the server.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| Error::bug(e.to_string()))?;
        Ok(Self(pool))
    }

    /// Borrows a connection.
    pub(crate) async fn lease(&self) -> Run<Lease> {
        let asked = Instant::now();
        match self.0.get().await {
            Ok(object) => {
                metrics::histogram!("concert_db_connection_wait_seconds").record(asked.elapsed());
                metrics::gauge!("concert_db_connections_in_use").increment(1.0);
                Ok(Lease(Some(object)))
            }
            Err(error) => {
                metrics::counter!("concert_db_connection_timeouts_total").increment(1);
                tracing::warn!(%error, "no connection to the database");
                Err(unavailable().into())
            }
        }
    }

    /// Forgets the idle connections: when one is lost, the others may be as well.
    pub(crate) fn forget_idle(&self) {
        self.0.retain(|_, _| false);
    }
}

/// A connection with its session set up.
pub(crate) async fn connect(
    url: &str,
) -> std::result::Result<AsyncMysqlConnection, ConnectionError> {
    let mut conn = AsyncMysqlConnection::establish(url).await?;
    conn.batch_execute(SETUP).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// A borrowed connection. It goes back to the pool only through [`Lease::give_back`]; dropped in
/// any other way it is closed, because it may stand in the middle of a query, and whoever used it
/// next would read the answer to that.
pub(crate) struct Lease(Option<Object<AsyncMysqlConnection>>);

impl Lease {
    /// The connection.
    pub(crate) fn conn(&mut self) -> Run<&mut Tx> {
        self.0.as_deref_mut().ok_or(Fault::Lost)
    }

    /// Says that every statement ran to its end and no transaction is open.
    pub(crate) fn give_back(mut self) {
        metrics::gauge!("concert_db_connections_in_use").decrement(1.0);
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            metrics::gauge!("concert_db_connections_in_use").decrement(1.0);
            drop(Object::take(object));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, Database};
    use crate::sql::sql;

    async fn update(lease: &mut Lease, statement: &'static str) -> Run<usize> {
        sql(statement).run(lease.conn()?).await
    }

    /// Without the guard the second user of the connection reads the first one's answer: "one row
    /// changed" where there was none.
    #[tokio::test]
    async fn a_dropped_update_leaves_no_answer_to_the_next_user() {
        let database = Database::create().await;
        let mut other = common::connect(&database.url).await;
        let rows = "CREATE TABLE seat (status BIGINT); INSERT INTO seat VALUES (0);
            START TRANSACTION; UPDATE seat SET status = 2";
        other.batch_execute(rows).await.unwrap();
        let connections = Connections::new(&database.url, 1).unwrap();
        let mut lease = connections.lease().await.unwrap();
        let gone = tokio::select! {
            _ = update(&mut lease, "UPDATE seat SET status = 1 WHERE status = 0") => false,
            () = common::until_busy(&database, "UPDATE seat SET status = 1") => true,
        };
        assert!(gone, "the update was not blocked");
        drop(lease);
        other.batch_execute("ROLLBACK").await.unwrap();
        let mut next = connections.lease().await.unwrap();
        let nothing = "UPDATE seat SET status = 9 WHERE status = 8";
        assert_eq!(update(&mut next, nothing).await, Ok(0));
        next.give_back();
    }

    #[tokio::test]
    async fn a_connection_that_was_given_back_is_used_again() {
        let database = Database::create().await;
        let connections = Connections::new(&database.url, 1).unwrap();
        let mut ids = Vec::new();
        for _ in 0..2 {
            let mut lease = connections.lease().await.unwrap();
            let id = sql("SELECT CAST(CONNECTION_ID() AS SIGNED) AS n");
            ids.push(id.count(lease.conn().unwrap()).await.unwrap());
            lease.give_back();
        }
        assert_eq!(ids[0], ids[1]);
    }

    #[tokio::test]
    async fn who_finds_no_connection_is_refused_after_a_bounded_wait() {
        let database = Database::create().await;
        let connections = Connections::new(&database.url, 1).unwrap();
        let _held = connections.lease().await.unwrap();
        let refused = connections.lease().await.map(drop);
        assert_eq!(refused, Err(Fault::Refused(unavailable())));
    }
}
