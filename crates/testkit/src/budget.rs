//! Laws of [`Budgets`].

use std::sync::Arc;
use std::time::Duration;

use concert_domain::budget::{Budgets, Quota};

use crate::fixtures::{LONG, SHORT};
use crate::{Harness, World, race};

/// One test for each law of shared budgets.
#[macro_export]
macro_rules! budget_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, budget:
            all_callers_together_are_granted_the_burst,
            names_have_budgets_apart,
            a_refusal_takes_nothing_and_says_how_long_to_wait,
            units_come_back_with_time,
        }
    };
}

fn slow(burst: u32) -> Quota {
    Quota { burst, refill: LONG }
}

async fn granted(budgets: &Arc<dyn Budgets>, name: &str, units: u32, quota: Quota) -> bool {
    budgets.take(name, units, quota).await.unwrap().is_none()
}

pub async fn all_callers_together_are_granted_the_burst<H: Harness>() {
    let world = World::<H>::start().await;
    let budgets = world.ports().budgets;
    let results = race(100, |_| {
        let budgets = budgets.clone();
        async move { granted(&budgets, "a", 1, slow(30)).await }
    })
    .await;
    assert_eq!(results.into_iter().filter(|granted| *granted).count(), 30);
}

pub async fn names_have_budgets_apart<H: Harness>() {
    let world = World::<H>::start().await;
    let budgets = world.ports().budgets;
    assert!(granted(&budgets, "a", 2, slow(2)).await);
    assert!(!granted(&budgets, "a", 1, slow(2)).await);
    assert!(granted(&budgets, "b", 2, slow(2)).await);
}

pub async fn a_refusal_takes_nothing_and_says_how_long_to_wait<H: Harness>() {
    let world = World::<H>::start().await;
    let budgets = world.ports().budgets;
    assert!(granted(&budgets, "a", 6, slow(10)).await);
    for _ in 0..20 {
        let wait = budgets.take("a", 5, slow(10)).await.unwrap().unwrap();
        assert!(wait <= LONG && wait > LONG / 2, "{wait:?}");
    }
    assert!(granted(&budgets, "a", 4, slow(10)).await);
}

pub async fn units_come_back_with_time<H: Harness>() {
    let world = World::<H>::start().await;
    let budgets = world.ports().budgets;
    let quota = Quota { burst: 2, refill: SHORT };
    assert!(granted(&budgets, "a", 2, quota).await);
    world.pass(SHORT + Duration::from_millis(1)).await;
    assert!(granted(&budgets, "a", 1, quota).await);
    world.pass(2 * SHORT).await;
    assert!(granted(&budgets, "a", 2, quota).await);
}
