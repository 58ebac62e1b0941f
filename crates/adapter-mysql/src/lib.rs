//! The shared engine: the domain's durable ports over a MySQL server, for any number of instances.
//!
//! Work is done on a bounded pool of connections, in tasks of the main runtime, so that a caller
//! who goes away never leaves a connection in the middle of a query. What decides is a conditional
//! update and the server's clock. Queue, lock, cache and event log are not kept here.

mod audit;
mod batch;
mod batches;
mod charge;
mod charges;
mod concert;
mod concert_admin;
mod consumer;
mod db;
mod error;
mod group;
mod health;
mod hold;
mod holders;
mod id;
mod idempotency;
pub mod lab;
mod lease;
mod migrate;
mod outbox;
mod payment;
mod point;
mod policy;
mod reservation;
mod seal;
mod seed;
mod settle;
mod sql;
mod user;

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;
#[cfg(test)]
#[path = "../tests/common/proxy.rs"]
mod proxy;
#[cfg(test)]
mod tests;

pub use db::{Mysql, Options};
