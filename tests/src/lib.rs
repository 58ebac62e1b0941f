//! What the tests of the whole service stand on: an application on a port of its own, a small
//! client that checks every answer against the OpenAPI document, and the audit of the books.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "everything here runs inside tests, where a panic is the way to fail"
)]

mod app;
mod background;
mod balancer;
mod books;
mod buyer;
mod client;
mod collector;
mod contract;
mod crowd;
mod database;
mod engines;
mod full_set;
pub mod hard;
mod notes;
mod process;
mod servers;
mod shopper;
mod show;
mod stores;
mod wait;

pub use app::{TestApp, quick};
pub use balancer::Balancer;
pub use books::{Books, audit};
pub use buyer::Buyer;
pub use client::{Answer, Call, Client};
pub use collector::{Collector, attribute};
pub use contract::{Contract, ROUTES};
pub use crowd::{Crowd, Instances, Told};
pub use database::{Database, Session};
pub use engines::Engines;
pub use full_set::FullSet;
pub use notes::{DEADLINE, Notes, Table};
pub use process::{Log, Service, concert, concert_begun, concert_in};
pub use servers::{Addresses, Server, Servers};
pub use show::{PRICE, Show};
pub use stores::{read_topic, reconcile};
pub use wait::eventually;

/// Days as a duration.
pub fn days(n: u64) -> std::time::Duration {
    std::time::Duration::from_secs(n * 86_400)
}

/// Seconds as a duration.
pub fn seconds(n: u64) -> std::time::Duration {
    std::time::Duration::from_secs(n)
}
