//! Laws of [`ConsumerStore`](concert_domain::event::ConsumerStore).

use std::time::Duration;

use concert_domain::event::{
    DEAD_LETTER_TOPIC, Effect, Headers, Membership, PAYMENT_TOPIC, PartitionLease, Progress, Record,
};
use concert_domain::{ConcertId, Error, Result, Timestamp, Won};

use crate::fixtures::{LONG, SHORT, page};
use crate::{Harness, World, race};

/// One test for each law of the places of consumers.
#[macro_export]
macro_rules! consumer_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, consumer:
            an_effect_and_its_offset_move_together,
            of_concurrent_commits_of_one_event_one_has_an_effect,
            an_event_at_two_offsets_has_its_effect_once_per_group,
            a_run_of_events_is_committed_like_one_after_the_other,
            a_commit_out_of_turn_changes_nothing,
            a_gap_in_the_log_is_stepped_over_and_never_back,
            a_commit_of_an_owner_before_is_fenced_off,
            a_dead_event_is_kept_and_sent_on_once,
            a_partition_has_one_owner_at_a_time,
            owners_get_fair_shares,
            a_lease_that_ended_goes_to_the_next_owner,
            what_is_given_back_is_free_at_once,
            renewing_a_lease_keeps_its_epoch,
            groups_keep_their_places_apart,
            places_survive_a_restart,
        }
    };
}

/// How many partitions the laws share among owners.
const PARTITIONS: u32 = 8;

pub(crate) fn member(owner: &str) -> Membership {
    Membership {
        group: "test".to_owned(),
        topic: PAYMENT_TOPIC.to_owned(),
        partitions: PARTITIONS,
        owner: owner.to_owned(),
    }
}

async fn leases<H: Harness>(world: &World<H>, owner: &str, ttl: Duration) -> Vec<PartitionLease> {
    world.ports().consumers.lease(&member(owner), ttl).await.unwrap()
}

fn sold(owner: &str, lease: PartitionLease, concert: ConcertId) -> Progress {
    let effect = Effect::Sold { concert, amount: Won::of(10), at: Timestamp::MIN };
    Progress {
        membership: member(owner),
        offset: lease.next_offset,
        lease,
        event: None,
        effect,
        headers: Headers::default(),
    }
}

async fn sold_seats<H: Harness>(world: &World<H>, concert: ConcertId) -> u64 {
    let ranking = world.ports().concerts.ranking(page(100, None)).await.unwrap().items;
    ranking.iter().find(|line| line.id == concert).expect("every concert is ranked").sold_seats
}

fn assert_conflict(result: Result<()>) {
    assert!(matches!(result, Err(Error::Conflict(_))), "{result:?}");
}

pub async fn an_effect_and_its_offset_move_together<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(5).await;
    let lease = leases(&world, "a", LONG).await[3];
    assert_eq!(lease.next_offset, 0);
    world.ports().consumers.commit(sold("a", lease, show.concert)).await.unwrap();
    assert_eq!(sold_seats(&world, show.concert).await, 1);
    let after = leases(&world, "a", LONG).await;
    for renewed in after {
        let offset = i64::from(renewed.partition == lease.partition);
        assert_eq!(renewed.next_offset, offset, "{renewed:?}");
    }
}

/// S12: effects without an offset in their transaction happen again with every redelivery.
pub async fn of_concurrent_commits_of_one_event_one_has_an_effect<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(5).await;
    let lease = leases(&world, "a", LONG).await[0];
    let store = world.ports().consumers;
    let results = race(20, |_| {
        let (store, progress) = (store.clone(), sold("a", lease, show.concert));
        async move { store.commit(progress).await }
    })
    .await;
    let (done, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    refused.into_iter().for_each(assert_conflict);
    assert_eq!(sold_seats(&world, show.concert).await, 1);
}

/// An offset alone tells a record that is read twice, not an event that was published twice.
pub async fn an_event_at_two_offsets_has_its_effect_once_per_group<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(5).await;
    let consumers = world.ports().consumers;
    let lease = leases(&world, "a", LONG).await[0];
    let named = |lease, event: &str| {
        let event = Some(event.to_owned());
        Progress { event, ..sold("a", lease, show.concert) }
    };
    consumers.commit(named(lease, "one")).await.unwrap();
    let next = PartitionLease { next_offset: 1, ..lease };
    consumers.commit(named(next, "one")).await.unwrap();
    assert_eq!(sold_seats(&world, show.concert).await, 1);
    let next = PartitionLease { next_offset: 2, ..lease };
    consumers.commit(named(next, "two")).await.unwrap();
    assert_eq!(sold_seats(&world, show.concert).await, 2);
    let other = Membership { group: "other".to_owned(), ..member("a") };
    let lease = consumers.lease(&other, LONG).await.unwrap()[0];
    let theirs = Progress { membership: other, ..named(lease, "one") };
    consumers.commit(theirs).await.unwrap();
    assert_eq!(sold_seats(&world, show.concert).await, 3);
}

/// One event of the run was had before, one is in it twice, and there is a gap in the log.
pub async fn a_run_of_events_is_committed_like_one_after_the_other<H: Harness>() {
    let world = World::<H>::start().await;
    let (one, other) = (world.show(5).await, world.show(5).await);
    let consumers = world.ports().consumers;
    let lease = leases(&world, "a", LONG).await[2];
    let at = |next_offset| PartitionLease { next_offset, ..lease };
    let named = |place: (i64, i64), event: &str, concert| {
        let event = Some(event.to_owned());
        Progress { event, offset: place.1, ..sold("a", at(place.0), concert) }
    };
    consumers.commit(named((0, 0), "before", one.concert)).await.unwrap();
    let refunded = Effect::Refunded { concert: one.concert, amount: Won::of(10) };
    let run = vec![
        named((1, 1), "before", one.concert),
        named((2, 2), "b", one.concert),
        named((3, 3), "b", one.concert),
        named((4, 7), "c", other.concert),
        named((8, 8), "a", one.concert),
        Progress { effect: refunded, ..named((9, 9), "d", one.concert) },
    ];
    let beside = leases(&world, "a", LONG).await[5];
    let beside = Progress { event: Some("e".to_owned()), ..sold("a", beside, other.concert) };
    let runs = vec![run, vec![], vec![beside]];
    consumers.commit_all(runs.clone()).await.unwrap();
    let counts =
        async || (sold_seats(&world, one.concert).await, sold_seats(&world, other.concert).await);
    assert_eq!(counts().await, (2, 2));
    let after = leases(&world, "a", LONG).await;
    assert_eq!((after[2].next_offset, after[5].next_offset), (10, 1));
    assert_conflict(consumers.commit_all(runs).await);
    assert_eq!(counts().await, (2, 2));
    consumers.commit_all(Vec::new()).await.unwrap();
}

pub async fn a_commit_out_of_turn_changes_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(5).await;
    let lease = leases(&world, "a", LONG).await[0];
    let early = PartitionLease { next_offset: 1, ..lease };
    let consumers = world.ports().consumers;
    assert_conflict(consumers.commit(sold("a", early, show.concert)).await);
    assert_eq!(sold_seats(&world, show.concert).await, 0);
    consumers.commit(sold("a", lease, show.concert)).await.unwrap();
    assert_conflict(consumers.commit(sold("a", lease, show.concert)).await);
    consumers.commit(sold("a", early, show.concert)).await.unwrap();
    assert_eq!(sold_seats(&world, show.concert).await, 2);
}

/// A log whose retention is over goes on further behind; a consumer that could only take the next
/// offset would stand still for ever.
pub async fn a_gap_in_the_log_is_stepped_over_and_never_back<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(5).await;
    let lease = leases(&world, "a", LONG).await[0];
    let consumers = world.ports().consumers;
    let later = Progress { offset: 7, ..sold("a", lease, show.concert) };
    consumers.commit(later).await.unwrap();
    let next = PartitionLease { next_offset: 8, ..lease };
    let earlier = Progress { offset: 3, ..sold("a", next, show.concert) };
    assert_conflict(consumers.commit(earlier).await);
    consumers.commit(sold("a", next, show.concert)).await.unwrap();
    assert_eq!(sold_seats(&world, show.concert).await, 2);
    assert_eq!(leases(&world, "a", LONG).await[0].next_offset, 9);
}

pub async fn a_commit_of_an_owner_before_is_fenced_off<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(5).await;
    let old = leases(&world, "slow", SHORT).await[0];
    world.pass(SHORT).await;
    let new = leases(&world, "next", LONG).await;
    let new = *new.iter().find(|lease| lease.partition == old.partition).unwrap();
    assert!(new.epoch > old.epoch, "{old:?} {new:?}");
    let consumers = world.ports().consumers;
    assert_conflict(consumers.commit(sold("slow", old, show.concert)).await);
    assert_eq!(sold_seats(&world, show.concert).await, 0);
    consumers.commit(sold("next", new, show.concert)).await.unwrap();
}

pub async fn a_dead_event_is_kept_and_sent_on_once<H: Harness>() {
    let world = World::<H>::start().await;
    let lease = leases(&world, "a", LONG).await[2];
    let record = Record::new("k", b"\xffnot an event");
    let effect = Effect::Dead { record: record.clone(), reason: "malformed".to_owned() };
    let progress = Progress {
        membership: member("a"),
        offset: lease.next_offset,
        lease,
        event: None,
        effect,
        headers: Headers::default(),
    };
    let ports = world.ports();
    ports.consumers.commit(progress.clone()).await.unwrap();
    assert_conflict(ports.consumers.commit(progress).await);
    let letters = ports.outbox.dead_letters(page(10, None)).await.unwrap().items;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((&*letter.reason, &letter.record), ("malformed", &record));
    assert_eq!(
        (&*letter.topic, letter.partition, letter.offset),
        (PAYMENT_TOPIC, lease.partition, 0)
    );
    let sent = ports.outbox.pending(page(10, None)).await.unwrap().items;
    assert_eq!(sent.len(), 1);
    assert_eq!((&*sent[0].topic, &sent[0].record.key), (DEAD_LETTER_TOPIC, &record.key));
}

pub async fn a_partition_has_one_owner_at_a_time<H: Harness>() {
    let world = World::<H>::start().await;
    let store = world.ports().consumers;
    for _ in 0..4 {
        let answers = race(4, |caller| {
            let store = store.clone();
            async move { store.lease(&member(&format!("owner-{caller}")), LONG).await.unwrap() }
        })
        .await;
        drop(answers);
    }
    // Everybody has asked often enough: shares are settled, complete and disjoint.
    let mut owned = Vec::new();
    for caller in 0..4 {
        let mine = leases(&world, &format!("owner-{caller}"), LONG).await;
        owned.extend(mine.iter().map(|lease| lease.partition));
    }
    owned.sort_unstable();
    assert_eq!(owned, (0..PARTITIONS).collect::<Vec<_>>());
}

pub async fn owners_get_fair_shares<H: Harness>() {
    let world = World::<H>::start().await;
    assert_eq!(leases(&world, "a", LONG).await.len(), 8);
    assert_eq!(leases(&world, "b", LONG).await.len(), 0, "nobody takes what another has");
    assert_eq!(leases(&world, "a", LONG).await.len(), 4);
    assert_eq!(leases(&world, "b", LONG).await.len(), 4);
    leases(&world, "c", LONG).await;
    for owner in ["a", "b", "c", "a", "b", "c"] {
        leases(&world, owner, LONG).await;
    }
    let mut total = 0;
    for owner in ["a", "b", "c"] {
        let share = leases(&world, owner, LONG).await.len();
        assert!(share <= 3, "{owner} has {share} of 8");
        total += share;
    }
    assert_eq!(total, 8);
}

pub async fn a_lease_that_ended_goes_to_the_next_owner<H: Harness>() {
    let world = World::<H>::start().await;
    assert_eq!(leases(&world, "a", SHORT).await.len(), 8);
    assert!(leases(&world, "b", LONG).await.is_empty());
    world.pass(SHORT).await;
    assert_eq!(leases(&world, "b", LONG).await.len(), 8);
    assert!(leases(&world, "a", LONG).await.is_empty());
}

pub async fn what_is_given_back_is_free_at_once<H: Harness>() {
    let world = World::<H>::start().await;
    let old = leases(&world, "a", LONG).await;
    world.ports().consumers.leave(&member("a")).await.unwrap();
    let new = leases(&world, "b", LONG).await;
    assert_eq!(new.len(), 8);
    for lease in old {
        let next = new.iter().find(|n| n.partition == lease.partition).unwrap();
        assert!(next.epoch > lease.epoch, "{lease:?} {next:?}");
    }
}

pub async fn renewing_a_lease_keeps_its_epoch<H: Harness>() {
    let world = World::<H>::start().await;
    let half = SHORT / 2;
    let first = leases(&world, "a", SHORT * 4).await;
    world.harness.pass(half).await;
    assert_eq!(leases(&world, "a", SHORT * 4).await, first);
}

pub async fn groups_keep_their_places_apart<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(5).await;
    let lease = leases(&world, "a", LONG).await[0];
    world.ports().consumers.commit(sold("a", lease, show.concert)).await.unwrap();
    let other = Membership { group: "other".to_owned(), ..member("a") };
    let theirs = world.ports().consumers.lease(&other, LONG).await.unwrap();
    assert_eq!(theirs.len(), 8);
    assert!(theirs.iter().all(|lease| lease.next_offset == 0));
}

pub async fn places_survive_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let show = world.show(5).await;
    let lease = leases(&world, "a", LONG).await[0];
    world.ports().consumers.commit(sold("a", lease, show.concert)).await.unwrap();
    world.harness.restart().await;
    let after = leases(&world, "a", LONG).await[0];
    assert_eq!((after.partition, after.next_offset), (lease.partition, 1));
    assert_conflict(world.ports().consumers.commit(sold("a", lease, show.concert)).await);
    assert_eq!(sold_seats(&world, show.concert).await, 1);
}
