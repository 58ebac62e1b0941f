use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderValue};
use concert_domain::budget::Quota;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, RateLimiter};
use sha2::{Digest, Sha256};

use super::class::Class;
use super::client::client;
use super::polls::Polls;
use crate::config::Limits;
use crate::extract::{TOKEN_HEADER, USER_HEADER};

/// Budgets lie in so many slots, so that no stranger can make this process remember more. Which
/// slot is whose nobody outside can tell; two that share one share a budget that is ample.
const SLOTS: u64 = 1 << 18;

/// Token buckets of this process: one per address and class, one per caller and class.
pub(super) struct Rates {
    limits: Limits,
    addresses: [DefaultKeyedRateLimiter<u32>; Class::ALL.len()],
    callers: [DefaultKeyedRateLimiter<u32>; Class::ALL.len()],
    pub(super) polls: Polls,
    hasher: RandomState,
    clock: DefaultClock,
}

impl Rates {
    pub(super) fn new(limits: &Limits) -> Self {
        let address = |class| buckets(of_address(class, limits.joins_per_address));
        Self {
            limits: limits.clone(),
            addresses: Class::ALL.map(address),
            callers: Class::ALL.map(|class| buckets(of_caller(class))),
            polls: Polls::new(),
            hasher: RandomState::new(),
            clock: DefaultClock::default(),
        }
    }

    /// Takes from the budgets of a request; how long it must wait if one of them is empty.
    pub(super) fn take(&self, request: &ServiceRequest, class: Class) -> Option<Duration> {
        let peer = request.peer_addr()?.ip();
        let address = client(peer, request.headers(), &self.limits.trusted_proxies);
        self.take_from(&self.addresses[class.index()], self.slot(&address)).or_else(|| {
            let caller = self.caller(request)?;
            self.take_from(&self.callers[class.index()], (caller % SLOTS) as u32)
        })
    }

    /// The budget of all instances that a request uses, by a name that all of them find. Looking
    /// and polling have none: they would cost more than they ask for.
    pub(super) fn shared(&self, request: &ServiceRequest, class: Class) -> Option<(String, Quota)> {
        match class {
            Class::Join => {
                let peer = request.peer_addr()?.ip();
                let address = client(peer, request.headers(), &self.limits.trusted_proxies);
                let joins = of_address(class, self.limits.joins_per_address);
                Some((format!("join:{address}"), joins))
            }
            Class::Hold | Class::Pay => {
                let caller = Sha256::digest(identity(request)?.as_bytes());
                let caller = u128::from_be_bytes(*caller.first_chunk()?);
                Some((format!("{}:{caller:032x}", class.name()), of_caller(class)))
            }
            Class::Read | Class::Poll | Class::Admin => None,
        }
    }

    /// Who asks, as far as a header tells. Whether it tells the truth is judged later; a lie has
    /// the budget of its address and one of its own.
    pub(super) fn caller(&self, request: &ServiceRequest) -> Option<u64> {
        Some(self.hasher.hash_one(identity(request)?.as_bytes()))
    }

    /// Forgets full buckets.
    pub(super) fn upkeep(&self) {
        for limiter in self.addresses.iter().chain(&self.callers) {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        self.polls.upkeep();
    }

    fn slot(&self, address: &IpAddr) -> u32 {
        (self.hasher.hash_one(address) % SLOTS) as u32
    }

    fn take_from(&self, limiter: &DefaultKeyedRateLimiter<u32>, slot: u32) -> Option<Duration> {
        let refused = limiter.check_key(&slot).err()?;
        Some(refused.wait_time_from(self.clock.now()))
    }
}

/// What tells callers apart: the queue token, else the bearer token, else the vouched user.
fn identity(request: &ServiceRequest) -> Option<&HeaderValue> {
    let headers = request.headers();
    let token = headers.get(TOKEN_HEADER).or_else(|| headers.get(AUTHORIZATION));
    token.or_else(|| headers.get(USER_HEADER))
}

/// Ample for an office, a school or a train behind one address.
fn of_address(class: Class, joins: u32) -> Quota {
    match class {
        Class::Pay | Class::Admin => quota(100, 1_000),
        Class::Hold => quota(200, 2_000),
        Class::Read | Class::Poll => quota(1_000, 10_000),
        Class::Join => Quota { burst: joins, refill: Duration::from_secs(60) / joins.max(1) },
    }
}

/// Ample for a person with several windows open.
fn of_caller(class: Class) -> Quota {
    match class {
        Class::Pay => quota(2, 20),
        Class::Hold => quota(5, 50),
        Class::Join => quota(2, 60),
        Class::Read | Class::Poll => quota(50, 500),
        Class::Admin => quota(100, 1_000),
    }
}

fn quota(per_second: u32, burst: u32) -> Quota {
    Quota { burst, refill: Duration::from_secs(1) / per_second }
}

/// The buckets of this process for a quota.
fn buckets(quota: Quota) -> DefaultKeyedRateLimiter<u32> {
    let burst = NonZeroU32::new(quota.burst).unwrap_or(NonZeroU32::MIN);
    let cell = governor::Quota::with_period(quota.refill);
    RateLimiter::dashmap(cell.unwrap_or(governor::Quota::per_second(burst)).allow_burst(burst))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn from(address: &str) -> TestRequest {
        TestRequest::get().peer_addr(format!("{address}:1").parse().unwrap())
    }

    #[test]
    fn budgets_are_apart_by_address_class_and_caller() {
        let rates = Rates::new(&Limits { joins_per_address: 3, ..Limits::default() });
        let take = |request: TestRequest, class| rates.take(&request.to_srv_request(), class);
        for _ in 0..3 {
            assert_eq!(take(from("192.0.2.1"), Class::Join), None);
        }
        assert!(take(from("192.0.2.1"), Class::Join).unwrap() <= Duration::from_secs(20));
        assert_eq!(take(from("192.0.2.2"), Class::Join), None);
        assert_eq!(take(from("192.0.2.1"), Class::Pay), None);

        let paying =
            |user: &str| take(from("192.0.2.3").insert_header((USER_HEADER, user)), Class::Pay);
        assert!((0..20).all(|_| paying("1").is_none()));
        assert!((0..20).any(|_| paying("1").is_some()));
        assert_eq!(paying("2"), None);
    }

    #[test]
    fn strangers_cannot_make_it_remember_more_than_the_slots() {
        let rates = Rates::new(&Limits::default());
        let limiter = &rates.addresses[Class::Read.index()];
        for n in 0..5_000_u32 {
            rates.take_from(limiter, rates.slot(&std::net::Ipv4Addr::from(n).into()));
        }
        assert!(limiter.len() as u64 <= SLOTS);
        assert!(
            (0..1_000_u32)
                .all(|n| u64::from(rates.slot(&std::net::Ipv4Addr::from(n).into())) < SLOTS)
        );
    }
}
