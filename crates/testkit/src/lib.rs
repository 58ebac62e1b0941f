//! The laws of the ports, as tests that every adapter runs.
//!
//! Each slice has a module with one function per law, generic over a [`Harness`], and a macro
//! that makes a test of each: `concert_testkit::reservation_contract!(MyHarness);`. An adapter
//! that serves every port says [`all_contracts!`]. A law named `s1_...` to `s12_...` guards
//! against the known wrong design of that number; its comment says which code would fail.
// This crate is test code: a broken law is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod audit;
pub mod booking;
pub mod budget;
pub mod cache;
pub mod charge;
pub mod concert;
pub mod consumer;
pub mod edits;
pub mod events;
pub mod fixtures;
pub mod gateway;
pub mod harness;
pub mod idempotency;
pub mod ids;
pub mod lock;
pub mod log;
pub mod model;
pub mod money;
pub mod outbox;
pub mod payment;
pub mod point;
pub mod policy;
pub mod queue;
pub mod queue_time;
pub mod ranking;
pub mod reservation;
pub mod scripted;
pub mod seal;
pub mod seed;
pub mod user;

pub use fixtures::{World, race};
pub use gateway::GatewayHarness;
pub use harness::Harness;
pub use scripted::{ScriptedGateway, SequentialTokens};

/// Makes a test module of the named laws of one slice. The slices' own macros call it.
#[doc(hidden)]
#[macro_export]
macro_rules! laws {
    ($harness:ty, $slice:ident: $($law:ident),+ $(,)?) => {
        mod $slice {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $law() {
                    $crate::$slice::$law::<$harness>().await;
                }
            )+
        }
    };
}

/// Every contract, for an engine that serves every port.
#[macro_export]
macro_rules! all_contracts {
    ($harness:ty) => {
        $crate::ids_contract!($harness);
        $crate::user_contract!($harness);
        $crate::concert_contract!($harness);
        $crate::ranking_contract!($harness);
        $crate::reservation_contract!($harness);
        $crate::payment_contract!($harness);
        $crate::point_contract!($harness);
        $crate::charge_contract!($harness);
        $crate::money_contract!($harness);
        $crate::idempotency_contract!($harness);
        $crate::policy_contract!($harness);
        $crate::audit_contract!($harness);
        $crate::edits_contract!($harness);
        $crate::queue_contract!($harness);
        $crate::queue_time_contract!($harness);
        $crate::lock_contract!($harness);
        $crate::cache_contract!($harness);
        $crate::outbox_contract!($harness);
        $crate::log_contract!($harness);
        $crate::consumer_contract!($harness);
        $crate::seal_contract!($harness);
        $crate::seed_contract!($harness);
        $crate::booking_contract!($harness);
        $crate::events_contract!($harness);
    };
}

#[cfg(test)]
mod tests {
    /// A law that is written but in no macro would never run.
    #[test]
    fn every_law_is_in_the_macro_of_its_slice() {
        for (file, text) in [
            (
                "booking",
                concat!(
                    include_str!("booking.rs"),
                    include_str!("booking/guards.rs"),
                    include_str!("booking/seats.rs"),
                ),
            ),
            ("audit", include_str!("audit.rs")),
            ("cache", include_str!("cache.rs")),
            ("charge", include_str!("charge.rs")),
            ("concert", include_str!("concert.rs")),
            ("consumer", include_str!("consumer.rs")),
            ("edits", include_str!("edits.rs")),
            ("events", include_str!("events.rs")),
            ("gateway", include_str!("gateway.rs")),
            ("idempotency", include_str!("idempotency.rs")),
            ("ids", include_str!("ids.rs")),
            ("lock", include_str!("lock.rs")),
            ("log", include_str!("log.rs")),
            ("money", include_str!("money.rs")),
            ("outbox", include_str!("outbox.rs")),
            ("payment", include_str!("payment.rs")),
            ("point", include_str!("point.rs")),
            ("policy", include_str!("policy.rs")),
            ("queue", include_str!("queue.rs")),
            ("queue_time", include_str!("queue_time.rs")),
            ("ranking", include_str!("ranking.rs")),
            ("reservation", include_str!("reservation.rs")),
            ("seal", include_str!("seal.rs")),
            ("seed", include_str!("seed.rs")),
            ("user", include_str!("user.rs")),
        ] {
            let laws: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once("<H: "))
                .map(|(name, _)| name)
                .collect();
            assert!(!laws.is_empty(), "{file} has no laws");
            for law in laws {
                let listed = text.lines().any(|line| line.trim() == format!("{law},"));
                assert!(listed, "{file}: {law} is in no macro");
            }
        }
    }
}
