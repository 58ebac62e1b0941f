//! Laws of [`Outbox`](concert_domain::event::Outbox).

use std::collections::HashSet;
use std::time::Duration;

use concert_domain::Error;
use concert_domain::event::{Effect, Headers, OutboxEntry, PAYMENT_TOPIC, Progress, Record};

use crate::consumer::member;
use crate::fixtures::{LONG, SHORT, every_page, odd_headers, page};
use crate::{Harness, World, race};

/// One test for each law of the recorded events.
#[macro_export]
macro_rules! outbox_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, outbox:
            rows_are_claimed_oldest_first_up_to_the_limit,
            s8_concurrent_claims_never_share_a_row,
            s8_a_row_whose_owner_died_comes_back,
            s8_only_who_still_has_a_row_marks_it,
            a_published_row_is_never_claimed_again,
            a_row_waits_for_the_earlier_row_of_its_key_in_other_hands,
            rows_of_one_key_come_in_order,
            released_rows_are_free_at_once,
            the_backlog_says_what_waits,
            a_purge_removes_only_old_published_rows_in_batches,
            rows_survive_a_restart,
            a_dead_letter_is_replayed_once,
            an_unknown_dead_letter_is_refused,
        }
    };
}

/// An engine with so many payments, each of which recorded an event.
async fn with_rows<H: Harness>(count: u32) -> World<H> {
    let world = World::<H>::start().await;
    let show = world.show(count).await;
    for seat in 0..count as usize {
        world.paid(&show, seat).await;
    }
    world
}

async fn claim<H: Harness>(world: &World<H>, owner: &str, ttl: Duration) -> Vec<OutboxEntry> {
    world.ports().outbox.claim(owner, 100, ttl).await.unwrap()
}

fn sequences(entries: &[OutboxEntry]) -> Vec<i64> {
    entries.iter().map(|entry| entry.sequence).collect()
}

pub async fn rows_are_claimed_oldest_first_up_to_the_limit<H: Harness>() {
    let world = with_rows::<H>(5).await;
    let outbox = world.ports().outbox;
    let waiting = every_page(|page| outbox.pending(page), |entry| entry.sequence).await;
    let first = outbox.claim("a", 2, LONG).await.unwrap();
    let rest = outbox.claim("b", 100, LONG).await.unwrap();
    assert_eq!([first, rest].concat(), waiting);
    assert!(waiting.iter().all(|entry| entry.topic == PAYMENT_TOPIC));
    assert!(waiting.is_sorted_by_key(|entry| entry.sequence));
}

pub async fn s8_concurrent_claims_never_share_a_row<H: Harness>() {
    let world = with_rows::<H>(24).await;
    let outbox = world.ports().outbox;
    let claims = race(8, |caller| {
        let outbox = outbox.clone();
        async move { outbox.claim(&format!("relay-{caller}"), 4, LONG).await.unwrap() }
    })
    .await;
    let mut claimed: Vec<i64> = claims.iter().flat_map(|entries| sequences(entries)).collect();
    claimed.extend(sequences(&claim(&world, "last", LONG).await));
    let distinct: HashSet<_> = claimed.iter().collect();
    assert_eq!((claimed.len(), distinct.len()), (24, 24));
}

pub async fn s8_a_row_whose_owner_died_comes_back<H: Harness>() {
    let world = with_rows::<H>(3).await;
    let lost = claim(&world, "dead", SHORT).await;
    assert_eq!(lost.len(), 3);
    assert!(claim(&world, "next", LONG).await.is_empty());
    world.pass(SHORT).await;
    assert_eq!(claim(&world, "next", LONG).await, lost);
}

pub async fn s8_only_who_still_has_a_row_marks_it<H: Harness>() {
    let world = with_rows::<H>(2).await;
    let rows = sequences(&claim(&world, "slow", SHORT).await);
    world.pass(SHORT).await;
    claim(&world, "next", LONG).await;
    let outbox = world.ports().outbox;
    assert_eq!(outbox.published("slow", &rows).await, Ok(0));
    assert_eq!(outbox.backlog().await.unwrap().pending, 2);
    assert_eq!(outbox.published("next", &rows).await, Ok(2));
    assert_eq!(outbox.backlog().await.unwrap().pending, 0);
}

pub async fn a_published_row_is_never_claimed_again<H: Harness>() {
    let world = with_rows::<H>(3).await;
    let rows = sequences(&claim(&world, "a", SHORT).await);
    let outbox = world.ports().outbox;
    assert_eq!(outbox.published("a", &rows[..1]).await, Ok(1));
    assert_eq!(outbox.published("a", &rows[..1]).await, Ok(0));
    world.pass(SHORT).await;
    assert_eq!(sequences(&claim(&world, "b", LONG).await), rows[1..]);
}

/// Two events of one key, and one of another: a payment, its refund, and another payment.
async fn with_a_refund<H: Harness>() -> World<H> {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    let (_, payment) = world.paid(&show, 0).await;
    let refund = world.refund(&payment).await;
    world.ports().payments.refund(refund).await.unwrap();
    world.paid(&show, 1).await;
    world
}

pub async fn a_row_waits_for_the_earlier_row_of_its_key_in_other_hands<H: Harness>() {
    let world = with_a_refund::<H>().await;
    let outbox = world.ports().outbox;
    let payment = outbox.claim("a", 1, LONG).await.unwrap().remove(0);
    let others = claim(&world, "b", LONG).await;
    assert_eq!(others.len(), 1, "the refund overtook its payment");
    assert_ne!(others[0].record.key, payment.record.key);
    assert_eq!(outbox.published("a", &[payment.sequence]).await, Ok(1));
    let refund = claim(&world, "b", LONG).await;
    assert_eq!(refund.len(), 1);
    assert_eq!(refund[0].record.key, payment.record.key);
}

pub async fn rows_of_one_key_come_in_order<H: Harness>() {
    let world = with_a_refund::<H>().await;
    let rows = claim(&world, "a", LONG).await;
    assert_eq!(rows.len(), 3, "one owner may have the payment and its refund");
    let kinds: Vec<_> = rows
        .iter()
        .map(|row| serde_json::from_slice::<serde_json::Value>(&row.record.value).unwrap())
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["payment.completed", "payment.refunded", "payment.completed"]);
    assert_eq!(rows[0].record.key, rows[1].record.key);
}

pub async fn released_rows_are_free_at_once<H: Harness>() {
    let world = with_rows::<H>(3).await;
    let outbox = world.ports().outbox;
    let first = outbox.claim("a", 1, LONG).await.unwrap();
    let rest = claim(&world, "b", LONG).await;
    outbox.release("b").await.unwrap();
    assert_eq!(claim(&world, "c", LONG).await, rest, "only the rows of the owner come free");
    assert_eq!(outbox.published("a", &sequences(&first)).await, Ok(1));
}

pub async fn the_backlog_says_what_waits<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(2).await;
    let outbox = world.ports().outbox;
    let empty = outbox.backlog().await.unwrap();
    assert_eq!((empty.pending, empty.oldest), (0, None));
    let before = world.now(&show).await;
    world.paid(&show, 0).await;
    let after = world.now(&show).await;
    world.harness.pass(SHORT).await;
    world.paid(&show, 1).await;
    let two = outbox.backlog().await.unwrap();
    assert_eq!(two.pending, 2);
    assert!(two.oldest.is_some_and(|at| before <= at && at <= after), "{two:?}");
    let rows = claim(&world, "a", LONG).await;
    assert_eq!(outbox.backlog().await.unwrap(), two, "a claim publishes nothing");
    outbox.published("a", &sequences(&rows)).await.unwrap();
    assert_eq!(outbox.backlog().await.unwrap(), empty);
}

pub async fn a_purge_removes_only_old_published_rows_in_batches<H: Harness>() {
    let world = with_rows::<H>(5).await;
    let outbox = world.ports().outbox;
    let rows = sequences(&claim(&world, "a", LONG).await);
    outbox.published("a", &rows[..3]).await.unwrap();
    assert_eq!(outbox.purge(LONG, 10).await, Ok(0));
    world.pass(SHORT).await;
    for removed in [2, 1, 0] {
        assert_eq!(outbox.purge(SHORT, 2).await, Ok(removed));
    }
    assert_eq!(outbox.backlog().await.unwrap().pending, 2);
}

pub async fn rows_survive_a_restart<H: Harness>() {
    let mut world = with_rows::<H>(3).await;
    let rows = claim(&world, "a", SHORT).await;
    world.ports().outbox.published("a", &sequences(&rows[..1])).await.unwrap();
    world.harness.restart().await;
    assert_eq!(world.ports().outbox.backlog().await.unwrap().pending, 2);
    world.pass(SHORT).await;
    assert_eq!(claim(&world, "b", LONG).await, rows[1..]);
}

pub async fn a_dead_letter_is_replayed_once<H: Harness>() {
    let world = World::<H>::start().await;
    let ports = world.ports();
    let lease = ports.consumers.lease(&member("a"), LONG).await.unwrap()[0];
    let record = Record { headers: odd_headers(), ..Record::new("k", b"poison") };
    let effect = Effect::Dead { record: record.clone(), reason: "malformed".to_owned() };
    let progress = Progress {
        membership: member("a"),
        offset: lease.next_offset,
        lease,
        event: None,
        effect,
        headers: Headers::default(),
    };
    ports.consumers.commit(progress).await.unwrap();
    let letter = ports.outbox.dead_letters(page(10, None)).await.unwrap().items.remove(0);
    assert_eq!(letter.replayed_at, None);
    let replays = race(20, |_| {
        let outbox = ports.outbox.clone();
        async move { outbox.replay(letter.id).await }
    })
    .await;
    let (done, refused): (Vec<_>, Vec<_>) = replays.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    assert!(refused.into_iter().all(|refusal| refusal == Err(Error::DeadLetterNotFound)));
    let waiting = ports.outbox.pending(page(10, None)).await.unwrap().items;
    let back: Vec<_> = waiting.iter().filter(|row| row.topic == PAYMENT_TOPIC).collect();
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].record, record);
    let letter = ports.outbox.dead_letters(page(10, None)).await.unwrap().items.remove(0);
    assert!(letter.replayed_at.is_some());
}

pub async fn an_unknown_dead_letter_is_refused<H: Harness>() {
    let world = World::<H>::start().await;
    let outbox = world.ports().outbox;
    assert_eq!(outbox.replay(1).await, Err(Error::DeadLetterNotFound));
    assert_eq!(outbox.pending(page(10, None)).await.unwrap().items, []);
}
