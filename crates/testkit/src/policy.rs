//! Laws of [`PolicyStore`](concert_domain::queue::PolicyStore).

use concert_domain::Error;
use concert_domain::audit::Edit;
use concert_domain::queue::{KeptPolicy, Mode, Policy, PolicyPatch};

use crate::queue::{limit, mode};
use crate::{Harness, World, race};

/// One test for each law of the policies of queues.
#[macro_export]
macro_rules! policy_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, policy:
            a_policy_patch_changes_only_what_it_names,
            every_change_of_a_policy_adds_one_to_its_version,
            all_policies_are_read_together,
            a_policy_needs_a_concert_and_goes_with_it,
            a_policy_survives_a_restart,
        }
    };
}

pub async fn a_policy_patch_changes_only_what_it_names<H: Harness>() {
    let world = World::<H>::start().await;
    let (concert, policies) = (world.concert().await, world.ports().policies);
    assert_eq!(policies.policy(concert).await, Ok(KeptPolicy::default()));
    let rate = PolicyPatch { admissions_per_second: Some(Some(9)), ..PolicyPatch::default() };
    policies.set_policy(Edit::default(), concert, rate).await.unwrap();
    policies.set_policy(Edit::default(), concert, mode(Mode::Drain)).await.unwrap();
    let all = policies.set_policy(Edit::default(), concert, limit(4)).await.unwrap();
    let policy =
        Policy { mode: Mode::Drain, active_limit: Some(4), admissions_per_second: Some(9) };
    assert_eq!(all, KeptPolicy { policy, version: 3 });
    assert_eq!(policies.policy(concert).await, Ok(all));
    let back = PolicyPatch { active_limit: Some(None), ..PolicyPatch::default() };
    let without = policies.set_policy(Edit::default(), concert, back).await.unwrap();
    assert_eq!(without.policy, Policy { active_limit: None, ..policy });
}

pub async fn every_change_of_a_policy_adds_one_to_its_version<H: Harness>() {
    let world = World::<H>::start().await;
    let (concert, policies) = (world.concert().await, world.ports().policies);
    let mut versions = race(12, |caller| {
        let policies = policies.clone();
        async move {
            policies
                .set_policy(Edit::default(), concert, limit(caller as u32 + 1))
                .await
                .unwrap()
                .version
        }
    })
    .await;
    versions.sort_unstable();
    assert_eq!(versions, (1..=12).collect::<Vec<_>>());
}

pub async fn all_policies_are_read_together<H: Harness>() {
    let world = World::<H>::start().await;
    let policies = world.ports().policies;
    assert_eq!(policies.policies().await, Ok(vec![]));
    let mut expected = Vec::new();
    for to in [Mode::Hold, Mode::Drain, Mode::Open] {
        let concert = world.concert().await;
        expected.push((
            concert,
            policies.set_policy(Edit::default(), concert, mode(to)).await.unwrap(),
        ));
    }
    world.concert().await;
    let mut read = policies.policies().await.unwrap();
    read.sort_unstable_by_key(|(concert, _)| *concert);
    assert_eq!(read, expected);
}

pub async fn a_policy_needs_a_concert_and_goes_with_it<H: Harness>() {
    let world = World::<H>::start().await;
    let (concert, ports) = (world.concert().await, world.ports());
    let set = ports.policies.set_policy(Edit::default(), world.id(), limit(1)).await;
    assert_eq!(set, Err(Error::ConcertNotFound));
    ports.policies.set_policy(Edit::default(), concert, limit(1)).await.unwrap();
    ports.catalogue.delete_concert(Edit::default(), concert).await.unwrap();
    assert_eq!(ports.policies.policies().await, Ok(vec![]));
    let set = ports.policies.set_policy(Edit::default(), concert, limit(1)).await;
    assert_eq!(set, Err(Error::ConcertNotFound));
}

pub async fn a_policy_survives_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let concert = world.concert().await;
    let kept = world
        .ports()
        .policies
        .set_policy(Edit::default(), concert, mode(Mode::Hold))
        .await
        .unwrap();
    world.harness.restart().await;
    assert_eq!(world.ports().policies.policies().await, Ok(vec![(concert, kept)]));
}
