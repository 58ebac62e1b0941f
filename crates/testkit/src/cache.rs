//! Laws of [`Cache`](concert_domain::cache::Cache).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use concert_domain::cache::Generation;

use crate::fixtures::{LONG, SHORT};
use crate::{Harness, World, race};

/// One test for each law of the cache.
#[macro_export]
macro_rules! cache_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, cache:
            a_value_is_found_under_its_name_only,
            a_bump_makes_the_value_old,
            a_bump_reaches_every_name,
            s10_a_fill_that_raced_a_change_stores_nothing,
            s10_a_copy_never_goes_back_in_time,
            a_value_ends_with_its_time_to_live,
            a_generation_never_comes_back,
            a_generation_from_before_a_restart_and_a_bump_stores_nothing,
        }
    };
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub async fn a_value_is_found_under_its_name_only<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let noted = cache.get("a").await.unwrap();
    assert_eq!(noted.value, None);
    assert_eq!(cache.put("a", noted.generation, b"1".to_vec(), LONG).await, Ok(true));
    assert_eq!(cache.get("a").await.unwrap().value, Some(b"1".to_vec()));
    assert_eq!(cache.get("b").await.unwrap().value, None);
    assert_eq!(cache.put("a", noted.generation, b"2".to_vec(), LONG).await, Ok(true));
    assert_eq!(cache.get("a").await.unwrap().value, Some(b"2".to_vec()));
}

pub async fn a_bump_makes_the_value_old<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let noted = cache.get("a").await.unwrap().generation;
    cache.put("a", noted, b"1".to_vec(), LONG).await.unwrap();
    cache.bump(&names(&["a"])).await.unwrap();
    let after = cache.get("a").await.unwrap();
    assert_eq!(after.value, None);
    assert_eq!(cache.put("a", after.generation, b"2".to_vec(), LONG).await, Ok(true));
    assert_eq!(cache.get("a").await.unwrap().value, Some(b"2".to_vec()));
}

pub async fn a_bump_reaches_every_name<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    for name in ["a", "b", "c"] {
        let noted = cache.get(name).await.unwrap().generation;
        cache.put(name, noted, b"1".to_vec(), LONG).await.unwrap();
    }
    cache.bump(&names(&["a", "b", "never seen"])).await.unwrap();
    assert_eq!(cache.get("a").await.unwrap().value, None);
    assert_eq!(cache.get("b").await.unwrap().value, None);
    assert_eq!(cache.get("c").await.unwrap().value, Some(b"1".to_vec()));
}

/// A cache that is written whenever a read is done keeps the list from before the sale.
pub async fn s10_a_fill_that_raced_a_change_stores_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    // Once for a name that the cache has never seen, once for one that it knows.
    for _ in 0..2 {
        let noted = cache.get("a").await.unwrap().generation;
        cache.bump(&names(&["a"])).await.unwrap();
        assert_eq!(cache.put("a", noted, b"old".to_vec(), LONG).await, Ok(false));
        assert_eq!(cache.get("a").await.unwrap().value, None);
    }
}

/// Readers fill while the one writer changes: right after its bump the writer finds either
/// nothing or what it wrote itself.
pub async fn s10_a_copy_never_goes_back_in_time<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let store = Arc::new(AtomicU8::new(0));
    race(8, |caller| {
        let (cache, store) = (cache.clone(), store.clone());
        async move {
            for _ in 0..100 {
                if caller == 0 {
                    let written = store.fetch_add(1, Ordering::SeqCst) + 1;
                    cache.bump(&names(&["a"])).await.unwrap();
                    tokio::task::yield_now().await;
                    let copy = cache.get("a").await.unwrap().value;
                    assert!(copy.is_none() || copy == Some(vec![written]), "{copy:?} {written}");
                } else {
                    let noted = cache.get("a").await.unwrap().generation;
                    let read = store.load(Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    cache.put("a", noted, vec![read], LONG).await.unwrap();
                }
            }
        }
    })
    .await;
}

pub async fn a_value_ends_with_its_time_to_live<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let noted = cache.get("a").await.unwrap().generation;
    cache.put("a", noted, b"1".to_vec(), SHORT).await.unwrap();
    assert_eq!(cache.get("a").await.unwrap().value, Some(b"1".to_vec()));
    world.pass(SHORT).await;
    assert_eq!(cache.get("a").await.unwrap().value, None);
}

pub async fn a_generation_never_comes_back<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let mut seen: Vec<Generation> = Vec::new();
    for _ in 0..20 {
        let generation = cache.get("a").await.unwrap().generation;
        assert!(!seen.contains(&generation), "{generation:?} came back");
        seen.push(generation);
        cache.bump(&names(&["a"])).await.unwrap();
    }
}

/// A counter that starts anew when it was lost hands out old numbers again, under which a very
/// late fill could store its list.
pub async fn a_generation_from_before_a_restart_and_a_bump_stores_nothing<H: Harness>() {
    let mut world = World::<H>::start().await;
    let noted = world.ports().cache.get("a").await.unwrap().generation;
    world.ports().cache.bump(&names(&["a"])).await.unwrap();
    world.harness.restart().await;
    let cache = world.ports().cache;
    assert_ne!(cache.get("a").await.unwrap().generation, noted);
    assert_eq!(cache.put("a", noted, b"old".to_vec(), LONG).await, Ok(false));
}
