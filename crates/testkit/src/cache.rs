//! Laws of [`Cache`](concert_domain::cache::Cache).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use concert_domain::cache::{Generation, Value};

use crate::fixtures::{LONG, SHORT};
use crate::{Harness, World, race};

/// One test for each law of the cache.
#[macro_export]
macro_rules! cache_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, cache:
            a_value_is_found_under_its_name_only,
            forms_of_a_name_are_kept_apart_and_made_old_together,
            what_is_at_hand_is_what_the_cache_says,
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

/// The form that most laws use.
const ALL: &str = "all";

fn value(bytes: &[u8]) -> Value {
    Arc::new(bytes.to_vec())
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub async fn a_value_is_found_under_its_name_only<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let noted = cache.get("a", ALL).await.unwrap();
    assert_eq!(noted.value, None);
    assert_eq!(cache.put("a", ALL, noted.generation, value(b"1"), LONG).await, Ok(true));
    assert_eq!(cache.get("a", ALL).await.unwrap().value, Some(value(b"1")));
    assert_eq!(cache.get("b", ALL).await.unwrap().value, None);
    assert_eq!(cache.put("a", ALL, noted.generation, value(b"2"), LONG).await, Ok(true));
    assert_eq!(cache.get("a", ALL).await.unwrap().value, Some(value(b"2")));
}

pub async fn forms_of_a_name_are_kept_apart_and_made_old_together<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let noted = cache.get("a", ALL).await.unwrap().generation;
    assert_eq!(cache.get("a", "free").await.unwrap().generation, noted);
    assert_eq!(cache.put("a", ALL, noted, value(b"12"), LONG).await, Ok(true));
    assert_eq!(cache.put("a", "free", noted, value(b"2"), LONG).await, Ok(true));
    assert_eq!(cache.get("a", ALL).await.unwrap().value, Some(value(b"12")));
    assert_eq!(cache.get("a", "free").await.unwrap().value, Some(value(b"2")));
    assert_eq!(cache.get("a", "sold").await.unwrap().value, None);
    cache.bump(&names(&["a"])).await.unwrap();
    for form in [ALL, "free"] {
        assert_eq!(cache.peek("a", form), None, "{form}");
        assert_eq!(cache.get("a", form).await.unwrap().value, None, "{form}");
    }
}

/// What is at hand may be nothing, but it is never something else, and never outlives a bump.
pub async fn what_is_at_hand_is_what_the_cache_says<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    assert_eq!(cache.peek("a", ALL), None);
    for round in 0..20_u8 {
        let noted = cache.get("a", ALL).await.unwrap().generation;
        assert_eq!(cache.put("a", ALL, noted, value(&[round]), LONG).await, Ok(true));
        let seen = cache.peek("a", ALL);
        assert!(seen.is_none() || seen == Some(value(&[round])), "{seen:?}");
        assert_eq!(cache.get("a", ALL).await.unwrap().value, Some(value(&[round])));
        cache.bump(&names(&["a"])).await.unwrap();
        assert_eq!(cache.peek("a", ALL), None);
    }
}

pub async fn a_bump_makes_the_value_old<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let noted = cache.get("a", ALL).await.unwrap().generation;
    cache.put("a", ALL, noted, value(b"1"), LONG).await.unwrap();
    cache.bump(&names(&["a"])).await.unwrap();
    let after = cache.get("a", ALL).await.unwrap();
    assert_eq!(after.value, None);
    assert_eq!(cache.put("a", ALL, after.generation, value(b"2"), LONG).await, Ok(true));
    assert_eq!(cache.get("a", ALL).await.unwrap().value, Some(value(b"2")));
}

pub async fn a_bump_reaches_every_name<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    for name in ["a", "b", "c"] {
        let noted = cache.get(name, ALL).await.unwrap().generation;
        cache.put(name, ALL, noted, value(b"1"), LONG).await.unwrap();
    }
    cache.bump(&names(&["a", "b", "never seen"])).await.unwrap();
    assert_eq!(cache.get("a", ALL).await.unwrap().value, None);
    assert_eq!(cache.get("b", ALL).await.unwrap().value, None);
    assert_eq!(cache.get("c", ALL).await.unwrap().value, Some(value(b"1")));
}

/// A cache that is written whenever a read is done keeps the list from before the sale.
pub async fn s10_a_fill_that_raced_a_change_stores_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    // Once for a name that the cache has never seen, once for one that it knows.
    for _ in 0..2 {
        let noted = cache.get("a", ALL).await.unwrap().generation;
        cache.bump(&names(&["a"])).await.unwrap();
        assert_eq!(cache.put("a", ALL, noted, value(b"old"), LONG).await, Ok(false));
        assert_eq!(cache.get("a", ALL).await.unwrap().value, None);
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
                    let copy = cache.get("a", ALL).await.unwrap().value;
                    assert!(
                        copy.is_none() || copy == Some(value(&[written])),
                        "{copy:?} {written}"
                    );
                } else {
                    let noted = cache.get("a", ALL).await.unwrap().generation;
                    let read = store.load(Ordering::SeqCst);
                    tokio::task::yield_now().await;
                    cache.put("a", ALL, noted, value(&[read]), LONG).await.unwrap();
                }
            }
        }
    })
    .await;
}

pub async fn a_value_ends_with_its_time_to_live<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let noted = cache.get("a", ALL).await.unwrap().generation;
    cache.put("a", ALL, noted, value(b"1"), SHORT).await.unwrap();
    assert_eq!(cache.get("a", ALL).await.unwrap().value, Some(value(b"1")));
    world.pass(SHORT).await;
    assert_eq!(cache.get("a", ALL).await.unwrap().value, None);
}

pub async fn a_generation_never_comes_back<H: Harness>() {
    let world = World::<H>::start().await;
    let cache = world.ports().cache;
    let mut seen: Vec<Generation> = Vec::new();
    for _ in 0..20 {
        let generation = cache.get("a", ALL).await.unwrap().generation;
        assert!(!seen.contains(&generation), "{generation:?} came back");
        seen.push(generation);
        cache.bump(&names(&["a"])).await.unwrap();
    }
}

/// A counter that starts anew when it was lost hands out old numbers again, under which a very
/// late fill could store its list.
pub async fn a_generation_from_before_a_restart_and_a_bump_stores_nothing<H: Harness>() {
    let mut world = World::<H>::start().await;
    let noted = world.ports().cache.get("a", ALL).await.unwrap().generation;
    world.ports().cache.bump(&names(&["a"])).await.unwrap();
    world.harness.restart().await;
    let cache = world.ports().cache;
    assert_ne!(cache.get("a", ALL).await.unwrap().generation, noted);
    assert_eq!(cache.put("a", ALL, noted, value(b"old"), LONG).await, Ok(false));
}
