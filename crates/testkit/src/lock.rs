//! Laws of [`Lock`](concert_domain::lock::Lock).

use concert_domain::lock::Locked;

use crate::fixtures::{LONG, SHORT};
use crate::{Harness, World, race};

/// One test for each law of the shield.
#[macro_export]
macro_rules! lock_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, lock:
            of_100_callers_one_acquires_and_the_others_learn_who,
            names_are_locked_apart,
            a_released_name_is_free_at_once,
            a_lock_ends_with_its_lease,
            only_the_owner_releases,
            whoever_has_a_lock_it_can_be_cleared,
            s11_the_owner_of_a_lapsed_lease_does_not_release_the_next_owners_lock,
            an_owner_that_asks_twice_learns_its_own_name,
            only_the_owner_renews_and_only_while_it_has_the_lock,
            a_lock_that_is_kept_outlives_its_lease_and_ends_when_it_is_lost,
        }
    };
}

fn held_by(owner: &str) -> Locked {
    Locked::HeldBy(owner.to_owned())
}

pub async fn of_100_callers_one_acquires_and_the_others_learn_who<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    let results = race(100, |caller| {
        let lock = lock.clone();
        async move {
            let owner = format!("owner-{caller}");
            (lock.acquire("seat:1", &owner, LONG).await.unwrap(), owner)
        }
    })
    .await;
    let winners: Vec<_> =
        results.iter().filter(|(locked, _)| *locked == Locked::Acquired).collect();
    assert_eq!(winners.len(), 1);
    let winner = &winners[0].1;
    let losers = results.iter().filter(|(_, owner)| owner != winner);
    losers.for_each(|(locked, _)| assert_eq!(*locked, held_by(winner)));
}

pub async fn names_are_locked_apart<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    assert_eq!(lock.acquire("seat:1", "a", LONG).await, Ok(Locked::Acquired));
    assert_eq!(lock.acquire("seat:2", "b", LONG).await, Ok(Locked::Acquired));
    assert_eq!(lock.acquire("seat:1", "b", LONG).await, Ok(held_by("a")));
}

pub async fn a_released_name_is_free_at_once<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    assert_eq!(lock.acquire("seat:1", "a", LONG).await, Ok(Locked::Acquired));
    lock.release("seat:1", "a").await.unwrap();
    assert_eq!(lock.seen_holder("seat:1"), None);
    lock.release("seat:1", "a").await.unwrap();
    assert_eq!(lock.acquire("seat:1", "b", LONG).await, Ok(Locked::Acquired));
}

pub async fn a_lock_ends_with_its_lease<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    assert_eq!(lock.acquire("seat:1", "a", SHORT).await, Ok(Locked::Acquired));
    assert_eq!(lock.acquire("seat:1", "b", LONG).await, Ok(held_by("a")));
    world.pass(SHORT).await;
    assert_eq!(lock.acquire("seat:1", "b", LONG).await, Ok(Locked::Acquired));
}

pub async fn only_the_owner_releases<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    assert_eq!(lock.acquire("seat:1", "a", LONG).await, Ok(Locked::Acquired));
    lock.release("seat:1", "b").await.unwrap();
    assert_eq!(lock.acquire("seat:1", "b", LONG).await, Ok(held_by("a")));
}

pub async fn whoever_has_a_lock_it_can_be_cleared<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    assert_eq!(lock.holder("seat:1").await, Ok(None));
    assert_eq!(lock.acquire("seat:1", "a", LONG).await, Ok(Locked::Acquired));
    assert_eq!(lock.holder("seat:1").await, Ok(Some("a".to_owned())));
    assert!(lock.seen_holder("seat:1").is_none_or(|holder| holder == "a"));
    lock.clear("seat:1").await.unwrap();
    assert_eq!(lock.seen_holder("seat:1"), None, "what this process ended is over");
    lock.clear("seat:1").await.unwrap();
    assert_eq!(lock.holder("seat:1").await, Ok(None));
    assert_eq!(lock.renew("seat:1", "a", LONG).await, Ok(false));
    assert_eq!(lock.acquire("seat:1", "b", SHORT).await, Ok(Locked::Acquired));
    world.pass(SHORT).await;
    assert_eq!(lock.holder("seat:1").await, Ok(None));
}

/// An unlock by plain delete frees a lock that is somebody else's by now.
pub async fn s11_the_owner_of_a_lapsed_lease_does_not_release_the_next_owners_lock<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    assert_eq!(lock.acquire("seat:1", "slow", SHORT).await, Ok(Locked::Acquired));
    world.pass(SHORT).await;
    assert_eq!(lock.acquire("seat:1", "next", LONG).await, Ok(Locked::Acquired));
    lock.release("seat:1", "slow").await.unwrap();
    assert_eq!(lock.acquire("seat:1", "third", LONG).await, Ok(held_by("next")));
}

pub async fn an_owner_that_asks_twice_learns_its_own_name<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    assert_eq!(lock.acquire("seat:1", "a", LONG).await, Ok(Locked::Acquired));
    assert_eq!(lock.acquire("seat:1", "a", LONG).await, Ok(held_by("a")));
}

pub async fn only_the_owner_renews_and_only_while_it_has_the_lock<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    assert_eq!(lock.renew("seat:1", "a", LONG).await, Ok(false));
    assert_eq!(lock.acquire("seat:1", "a", SHORT).await, Ok(Locked::Acquired));
    assert_eq!(lock.renew("seat:1", "b", LONG).await, Ok(false));
    assert_eq!(lock.renew("seat:1", "a", SHORT * 4).await, Ok(true));
    world.pass(SHORT * 2).await;
    assert_eq!(lock.acquire("seat:1", "b", LONG).await, Ok(held_by("a")));
    world.pass(SHORT * 2).await;
    assert_eq!(lock.renew("seat:1", "a", LONG).await, Ok(false));
    assert_eq!(lock.acquire("seat:1", "b", LONG).await, Ok(Locked::Acquired));
}

/// A clock that is moved by hand does not move with the renewals, so it goes on in small steps.
pub async fn a_lock_that_is_kept_outlives_its_lease_and_ends_when_it_is_lost<H: Harness>() {
    let world = World::<H>::start().await;
    let lock = world.ports().lock;
    let lease = SHORT * 3;
    assert_eq!(lock.acquire("seat:1", "a", lease).await, Ok(Locked::Acquired));
    let keeper = lock.clone();
    let kept = tokio::spawn(async move { keeper.keep("seat:1", "a", lease).await });
    for _ in 0..6 {
        tokio::time::sleep(SHORT).await;
        world.pass(SHORT).await;
        assert_eq!(lock.acquire("seat:1", "b", LONG).await, Ok(held_by("a")));
    }
    lock.release("seat:1", "a").await.unwrap();
    kept.await.unwrap();
}
