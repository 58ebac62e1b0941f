//! The same tests of the API on MySQL, Redis and Kafka, but for those in `clock.rs`, which tells why.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

mod admin;
mod auth;
mod browsers;
mod common;
mod concert;
mod edits;
mod errors;
mod events;
mod health;
mod idempotency;
mod journey;
mod payment;
mod point;
mod queue;
mod request_id;
mod reservation;
mod user;
mod wire;

use common::{NO_IDS, id, no_ids, start, start_with, start_with_demo};
use concert_tests::Engines;

/// What the services of these tests run on.
async fn engines() -> Engines {
    Engines::full().await
}
