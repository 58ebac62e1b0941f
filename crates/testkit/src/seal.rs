//! Laws of [`SealKeys`](concert_domain::queue::SealKeys).

use concert_domain::queue::SealKey;

use crate::{Harness, World, race};

/// One test for each law of the key that seals queue tokens.
#[macro_export]
macro_rules! seal_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, seal:
            of_concurrent_offers_of_a_key_one_stays,
            the_key_is_the_same_after_a_restart,
        }
    };
}

fn key(byte: u8) -> SealKey {
    SealKey::from_bytes([byte; 16])
}

pub async fn of_concurrent_offers_of_a_key_one_stays<H: Harness>() {
    let world = World::<H>::start().await;
    let keys = world.ports().seal_keys;
    let got = race(16, |n| {
        let keys = keys.clone();
        async move { keys.seal_key(key(n as u8 + 1)).await.unwrap() }
    })
    .await;
    assert!(got.iter().all(|other| other == &got[0]), "callers have different keys");
    assert!((1..=16).any(|n| got[0] == key(n)), "nobody offered it");
}

pub async fn the_key_is_the_same_after_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let before = world.ports().seal_keys.seal_key(key(1)).await.unwrap();
    world.harness.restart().await;
    assert_eq!(world.ports().seal_keys.seal_key(key(2)).await.unwrap(), before);
}
