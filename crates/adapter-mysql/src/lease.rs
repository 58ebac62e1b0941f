//! Connections on loan.

use std::time::Duration;

use concert_domain::{Error, Result};
use deadpool::Runtime;
use deadpool::managed::Timeouts;
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
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|e| Error::bug(e.to_string()))?;
        Ok(Self(pool))
    }

    /// Borrows a connection.
    pub(crate) async fn lease(&self) -> Run<Lease> {
        match self.0.get().await {
            Ok(object) => Ok(Lease(Some(object))),
            Err(error) => {
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
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}
