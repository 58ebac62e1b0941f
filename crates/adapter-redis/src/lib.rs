//! The queue, the lock and the cache of the service over one Redis.
//!
//! Nothing here is worth keeping: Redis may lose everything at any instant and no seat is sold
//! twice, no money is lost and no more than N users are admitted; users who were in the queue
//! join again.
//!
//! * Commands go through a few multiplexed connections ([`Redis`]), each with a deadline.
//! * Every change is one Lua script on the keys of one hash tag, so that it is atomic and fits a
//!   Redis Cluster; the connections, though, lead to one server. What decides about time is the
//!   server's `TIME`.
//! * A command that timed out may have run, so every script can be repeated without harm.
//!
//! Redis 7.0 or later is needed (ranges of bits in `BITCOUNT` and `BITPOS`, `SET` with `NX` and
//! `GET`), with the eviction policy `noeviction`.

mod budget;
mod cache;
mod db;
mod health;
mod lock;
mod queue;
mod together;

pub use db::{BadAddress, Redis};
