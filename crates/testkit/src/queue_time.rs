//! Laws of [`QueueStore`](concert_domain::queue::QueueStore) about time.

use std::time::{Duration, Instant};

use concert_domain::Error;
use concert_domain::queue::{PolicyPatch, Rules, Standing};

use crate::fixtures::{LONG, SHORT, rules};
use crate::queue::{Line, limit};
use crate::{Harness, World};

/// One test for each law of queues that needs time to pass.
#[macro_export]
macro_rules! queue_time_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, queue_time:
            s1_walk_aways_give_their_slots_back,
            s1_a_join_alone_moves_the_queue_on,
            s2_the_clock_of_a_stay_starts_at_the_admission,
            an_unclaimed_admission_ends_at_once_without_a_step,
            a_request_lifts_the_claim_deadline,
            s2_requests_never_lengthen_a_stay,
            waiting_ends_at_its_deadline,
            what_is_past_its_deadline_is_not_counted_as_active,
            an_ended_token_is_remembered_and_then_unknown,
            a_purge_forgets_only_what_ended_long_ago_in_batches,
            a_user_whose_place_ended_by_time_joins_anew,
            admissions_follow_the_rate,
            an_idle_queue_saves_up_one_second_at_most,
        }
    };
}

/// Rules whose named deadline is short.
fn short(active_limit: u32, shorten: impl Fn(&mut Rules)) -> Rules {
    let mut rules = rules(active_limit);
    shorten(&mut rules);
    rules
}

/// Active tokens that leave only by paying block the queue for ever after N walk-aways.
pub async fn s1_walk_aways_give_their_slots_back<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(2, |rules| rules.claim_ttl = SHORT));
    let tokens = line.newcomers(&world, 6).await;
    for round in 1..3 {
        world.pass(SHORT).await;
        let ticked = line.tick().await;
        assert_eq!((ticked.admitted, ticked.dropped, ticked.more), (2, 2, false));
        let (ended, rest) = tokens.split_at(round * 2);
        assert_eq!(line.ranks(ended).await, vec![None; round * 2]);
        assert_eq!(line.ranks(&rest[..2]).await, [Some(0), Some(0)]);
    }
}

pub async fn s1_a_join_alone_moves_the_queue_on<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(1, |rules| rules.claim_ttl = SHORT));
    let tokens = line.newcomers(&world, 2).await;
    world.pass(SHORT).await;
    let late = line.newcomer(&world).await;
    assert_eq!(line.ranks(&tokens).await, [None, Some(0)], "the one who waited comes first");
    assert_eq!(line.rank(&late).await, Some(1));
}

/// A clock that starts at the issue has run out before a long wait is over.
pub async fn s2_the_clock_of_a_stay_starts_at_the_admission<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(1, |rules| rules.active_ttl = SHORT));
    let tokens = line.newcomers(&world, 2).await;
    line.poll(&tokens[0]).await;
    world.pass(SHORT).await;
    line.tick().await;
    assert_eq!(line.ranks(&tokens).await, [None, Some(0)]);
    world.harness.pass(SHORT / 3).await;
    line.ports.queue.enter(&tokens[1], None, &line.rules).await.unwrap();
    world.pass(SHORT).await;
    assert_eq!(line.rank(&tokens[1]).await, None);
}

pub async fn an_unclaimed_admission_ends_at_once_without_a_step<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(1, |rules| rules.claim_ttl = SHORT));
    let token = line.newcomer(&world).await;
    world.pass(SHORT).await;
    assert_eq!(line.find(&token).await.unwrap().standing, Standing::Ended);
    assert_eq!(line.poll(&token).await.unwrap().standing, Standing::Ended);
    let entered = line.ports.queue.enter(&token, None, &line.rules).await;
    assert_eq!(entered, Err(Error::TokenExpired));
}

pub async fn a_request_lifts_the_claim_deadline<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(3, |rules| rules.claim_ttl = SHORT));
    let tokens = line.newcomers(&world, 3).await;
    line.poll(&tokens[0]).await;
    line.ports.queue.enter(&tokens[1], None, &line.rules).await.unwrap();
    line.find(&tokens[2]).await;
    world.pass(SHORT).await;
    line.tick().await;
    assert_eq!(line.ranks(&tokens).await, [Some(0), Some(0), None]);
}

pub async fn s2_requests_never_lengthen_a_stay<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(1, |rules| rules.active_ttl = SHORT));
    let token = line.newcomer(&world).await;
    let first = line.poll(&token).await.unwrap().standing;
    world.harness.pass(SHORT / 3).await;
    assert_eq!(line.poll(&token).await.unwrap().standing, first);
    world.pass(SHORT).await;
    assert_eq!(line.poll(&token).await.unwrap().standing, Standing::Ended);
}

pub async fn waiting_ends_at_its_deadline<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(1, |rules| rules.waiting_ttl = SHORT));
    let tokens = line.newcomers(&world, 3).await;
    world.pass(SHORT).await;
    assert_eq!(line.ranks(&tokens).await, [Some(0), None, None]);
    let late = line.newcomer(&world).await;
    assert_eq!(line.rank(&late).await, Some(1), "those who ended are not in front any more");
    line.finish(&tokens[0]).await;
    assert_eq!(line.rank(&late).await, Some(0));
}

pub async fn what_is_past_its_deadline_is_not_counted_as_active<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(3, |rules| rules.claim_ttl = SHORT));
    line.newcomers(&world, 3).await;
    assert_eq!(line.counts().await, (0, 3, 3));
    world.pass(SHORT).await;
    assert_eq!(line.counts().await, (0, 0, 3));
}

pub async fn an_ended_token_is_remembered_and_then_unknown<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(1, |rules| rules.remember_ttl = SHORT));
    let token = line.newcomer(&world).await;
    line.finish(&token).await;
    world.harness.pass(SHORT / 3).await;
    assert_eq!(line.poll(&token).await.unwrap().standing, Standing::Ended);
    world.pass(SHORT).await;
    assert_eq!(line.poll(&token).await, None);
    let entered = line.ports.queue.enter(&token, None, &line.rules).await;
    assert_eq!(entered, Err(Error::TokenNotFound));
}

pub async fn a_purge_forgets_only_what_ended_long_ago_in_batches<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, short(1, |rules| rules.remember_ttl = SHORT));
    let tokens = line.newcomers(&world, 7).await;
    for token in &tokens[2..] {
        line.finish(token).await;
    }
    let purge = async || line.ports.queue.purge(&line.rules, 2).await.unwrap();
    assert_eq!(purge().await, 0);
    world.pass(SHORT).await;
    line.finish(&tokens[1]).await;
    let mut forgotten = 0;
    for _ in 0..4 {
        let batch = purge().await;
        assert!(batch <= 2, "a batch is larger than asked for");
        forgotten += batch;
    }
    assert_eq!(forgotten, 5);
    assert_eq!(line.poll(&tokens[1]).await.unwrap().standing, Standing::Ended);
    assert_eq!(line.rank(&tokens[0]).await, Some(0));
    assert_eq!(line.find(&tokens[4]).await, None);
}

pub async fn a_user_whose_place_ended_by_time_joins_anew<H: Harness>() {
    let world = World::<H>::start().await;
    let (line, user) = (Line::of(&world, short(1, |rules| rules.claim_ttl = SHORT)), world.id());
    let old = line.join(user).await.place.token;
    world.pass(SHORT).await;
    let new = line.join(user).await;
    assert!(new.first);
    assert_ne!(new.place.token, old);
    assert_eq!(line.ranks(&[old, new.place.token]).await, [None, Some(0)]);
    assert_eq!(line.counts().await, (0, 1, 2));
}

fn rate(per_second: u32) -> PolicyPatch {
    PolicyPatch { admissions_per_second: Some(Some(per_second)), ..PolicyPatch::default() }
}

pub async fn admissions_follow_the_rate<H: Harness>() {
    const RATE: u32 = 10;
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1_000));
    line.set(rate(RATE)).await;
    let (began, mut passed) = (Instant::now(), Duration::ZERO);
    line.newcomers(&world, 60).await;
    for _ in 0..6 {
        let step = Duration::from_millis(250);
        world.harness.pass(step).await;
        passed += step;
        line.tick().await;
        let admitted = line.counts().await.2 as f64;
        // Whichever clock the engine has, no more time than this has passed on it.
        let most = passed.max(began.elapsed()).as_secs_f64();
        assert!(admitted <= f64::from(RATE) * (most + 1.0), "{admitted} in {most} s");
    }
    // Live as well: it follows the rate from below.
    let least = f64::from(RATE) * passed.as_secs_f64() - 1.0;
    assert!(line.counts().await.2 as f64 >= least, "{:?} in {passed:?}", line.counts().await);
}

pub async fn an_idle_queue_saves_up_one_second_at_most<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1_000));
    line.set(rate(2)).await;
    let pause = if world.harness.can_jump() { LONG } else { Duration::from_secs(3) };
    world.pass(pause).await;
    let began = Instant::now();
    line.newcomers(&world, 30).await;
    line.tick().await;
    let admitted = line.counts().await.2;
    let most = 2.0 * (began.elapsed().as_secs_f64() + 1.0);
    assert!(admitted >= 2, "one second's worth at once");
    assert!(admitted as f64 <= most, "{admitted} at once");
    // Without a rate there is no wait.
    let patch = PolicyPatch { admissions_per_second: Some(None), ..limit(1_000) };
    line.set(patch).await;
    assert_eq!(line.counts().await.0, 0);
}
