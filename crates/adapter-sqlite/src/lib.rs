//! The embedded engine: every port of the domain over one SQLite file, durable, without a server.
//!
//! One writer thread owns the only connection that writes and commits the changes of many
//! requests together; a few reader threads answer reads beside it (WAL). No SQLite call runs on
//! an async worker thread. The lock and the cache live in memory, since losing them is harmless.

mod audit;
mod cache;
mod charge;
mod clock;
mod concert;
mod concert_admin;
mod consumer;
mod db;
mod health;
mod id;
mod idempotency;
mod lock;
mod log;
mod outbox;
mod payment;
mod point;
mod policy;
mod queue;
mod reservation;
mod seal;
mod seed;
mod sql;
#[cfg(test)]
mod testing;
mod user;

pub use cache::MemoryCache;
pub use clock::{ManualClock, SystemClock};
pub use db::Sqlite;
pub use lock::MemoryLock;
