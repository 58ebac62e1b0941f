//! Laws of [`QueueStore`](concert_domain::queue::QueueStore) about order, limit and policy.
//! Those about time are in [`queue_time`](crate::queue_time).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use concert_domain::queue::{
    Join, Joined, KeptPolicy, Mode, Place, Policy, PolicyPatch, QueueToken, Rules, Standing, Terms,
};
use concert_domain::{ConcertId, Error, Ports, UserId};

use crate::fixtures::rules;
use crate::{Harness, World, race};

/// One test for each law of queues that needs no time to pass.
#[macro_export]
macro_rules! queue_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, queue:
            an_idle_queue_admits_with_the_join,
            waiting_is_in_order_of_joining,
            s4_a_newcomer_never_overtakes_those_who_wait,
            s5_joining_again_answers_the_same_place,
            s5_concurrent_joins_of_a_user_make_one_place,
            a_join_repeated_with_its_token_has_no_second_effect,
            leaving_moves_up_those_behind,
            finishing_admits_the_next_in_the_same_step,
            finishing_twice_admits_one,
            an_ended_place_can_be_taken_anew_at_the_tail,
            an_unknown_token_is_nobody,
            finding_counts_as_nothing,
            a_stranger_changes_nothing,
            a_glance_is_what_entering_would_be,
            s3_never_more_than_the_limit_are_active,
            s3_concurrent_joins_fill_the_limit_exactly,
            concerts_queue_apart,
            s7_the_index_lists_concerts_with_live_tokens_only,
            a_raised_limit_admits_at_once_and_a_lowered_one_ends_nobody,
            hold_admits_nobody_until_it_is_lifted,
            drain_refuses_newcomers_and_admits_those_who_wait,
            the_newest_policy_that_was_told_holds,
            the_overview_counts,
            the_queue_survives_a_restart,
            random_histories_agree_with_the_model,
        }
    };
}

/// One concert's queue, as a client of the port.
pub(crate) struct Line {
    pub ports: Ports,
    pub concert: ConcertId,
    pub rules: Rules,
    /// The policy as this client knows it.
    own: Mutex<KeptPolicy>,
}

impl Line {
    pub fn of<H: Harness>(world: &World<H>, rules: Rules) -> Self {
        Self { ports: world.ports(), concert: world.id(), rules, own: Mutex::default() }
    }

    pub async fn join(&self, user: UserId) -> Joined {
        self.try_join(user).await.unwrap()
    }

    pub async fn try_join(&self, user: UserId) -> concert_domain::Result<Joined> {
        let join = Join { concert: self.concert, user, token: self.ports.tokens.fresh() };
        self.ports.queue.join(join, &self.terms()).await
    }

    /// Joins as a new user; answers the token.
    pub async fn newcomer<H: Harness>(&self, world: &World<H>) -> QueueToken {
        self.join(world.id()).await.place.token
    }

    pub async fn newcomers<H: Harness>(&self, world: &World<H>, count: usize) -> Vec<QueueToken> {
        let mut tokens = Vec::with_capacity(count);
        for _ in 0..count {
            tokens.push(self.newcomer(world).await);
        }
        tokens
    }

    pub async fn find(&self, token: &QueueToken) -> Option<Place> {
        self.ports.queue.find(token).await.unwrap()
    }

    pub async fn poll(&self, token: &QueueToken) -> Option<Place> {
        self.ports.queue.poll(token, None, &self.rules).await.unwrap()
    }

    /// The rank of a waiting token, 0 of an active one, nothing of an ended or unknown one.
    pub async fn rank(&self, token: &QueueToken) -> Option<u64> {
        match self.find(token).await?.standing {
            Standing::Waiting { rank } => Some(rank),
            Standing::Active { .. } => Some(0),
            Standing::Ended => None,
        }
    }

    pub async fn ranks(&self, tokens: &[QueueToken]) -> Vec<Option<u64>> {
        let mut ranks = Vec::with_capacity(tokens.len());
        for token in tokens {
            ranks.push(self.rank(token).await);
        }
        ranks
    }

    pub async fn finish(&self, token: &QueueToken) {
        self.ports.queue.finish(self.concert, token.digest(), &self.terms()).await.unwrap();
    }

    pub async fn tick(&self) -> concert_domain::queue::Ticked {
        self.ports.queue.tick(self.concert, &self.terms()).await.unwrap()
    }

    pub fn terms(&self) -> Terms {
        Terms { rules: self.rules, own: *self.own.lock().unwrap() }
    }

    /// Changes the policy, and tells the queue.
    pub async fn set(&self, patch: PolicyPatch) -> Policy {
        let policy = {
            let mut own = self.own.lock().unwrap();
            *own = KeptPolicy { policy: own.policy.patched(patch), version: own.version + 1 };
            own.policy
        };
        self.tick().await;
        policy
    }

    /// Waiting, active and ever admitted.
    pub async fn counts(&self) -> (u64, u64, u64) {
        let counts = self.ports.queue.counts(self.concert).await.unwrap();
        (counts.waiting, counts.active, counts.admitted)
    }
}

pub(crate) fn mode(mode: Mode) -> PolicyPatch {
    PolicyPatch { mode: Some(mode), ..PolicyPatch::default() }
}

pub(crate) fn limit(limit: u32) -> PolicyPatch {
    PolicyPatch { active_limit: Some(Some(limit)), ..PolicyPatch::default() }
}

pub async fn an_idle_queue_admits_with_the_join<H: Harness>() {
    let world = World::<H>::start().await;
    let (line, user) = (Line::of(&world, rules(1)), world.id());
    let joined = line.join(user).await;
    assert!(joined.first);
    assert_eq!((joined.place.user, joined.place.concert), (user, line.concert));
    assert!(matches!(joined.place.standing, Standing::Active { .. }), "{joined:?}");
    let pass = line.ports.queue.enter(&joined.place.token, None, &line.rules).await.unwrap();
    assert_eq!((pass.user, pass.concert), (user, line.concert));
    assert_eq!(pass.digest, joined.place.token.digest());
}

pub async fn waiting_is_in_order_of_joining<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1));
    let tokens = line.newcomers(&world, 5).await;
    let expected = [Some(0), Some(1), Some(2), Some(3), Some(4)];
    assert_eq!(line.ranks(&tokens).await, expected);
    let waiting = line.ports.queue.enter(&tokens[1], None, &line.rules).await;
    assert_eq!(waiting, Err(Error::TokenNotActive));
}

/// A join that activates when it sees room, instead of appending, overtakes here.
pub async fn s4_a_newcomer_never_overtakes_those_who_wait<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1));
    let tokens = line.newcomers(&world, 3).await;
    line.set(mode(Mode::Hold)).await;
    line.finish(&tokens[0]).await;
    // There is room now, and two are waiting for it.
    let late = line.newcomer(&world).await;
    assert_eq!(line.rank(&late).await, Some(3));
    line.set(mode(Mode::Open)).await;
    let all = [tokens[1].clone(), tokens[2].clone(), late];
    assert_eq!(line.ranks(&all).await, [Some(0), Some(1), Some(2)]);
}

/// A fresh token for every request gives one user many places.
pub async fn s5_joining_again_answers_the_same_place<H: Harness>() {
    let world = World::<H>::start().await;
    let (line, users) = (Line::of(&world, rules(1)), [world.id(), world.id(), world.id()]);
    let mut first = Vec::new();
    for user in users {
        first.push(line.join(user).await.place);
    }
    for policy in [Mode::Open, Mode::Hold, Mode::Drain] {
        line.set(mode(policy)).await;
        for (user, place) in users.iter().zip(&first) {
            let again = line.join(*user).await;
            assert!(!again.first);
            assert_eq!((&again.place.token, again.place.standing), (&place.token, place.standing));
        }
    }
    assert_eq!(line.counts().await, (2, 1, 1));
}

pub async fn s5_concurrent_joins_of_a_user_make_one_place<H: Harness>() {
    let world = World::<H>::start().await;
    let (line, user) = (Arc::new(Line::of(&world, rules(1))), world.id());
    line.newcomer(&world).await;
    let joined = race(20, |_| {
        let line = line.clone();
        async move { line.join(user).await }
    })
    .await;
    assert_eq!(joined.iter().filter(|joined| joined.first).count(), 1);
    assert!(joined.iter().all(|other| other.place.token == joined[0].place.token));
    assert_eq!(line.counts().await, (1, 1, 1));
}

pub async fn a_join_repeated_with_its_token_has_no_second_effect<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1));
    line.newcomer(&world).await;
    let token = line.ports.tokens.fresh();
    let join = Join { concert: line.concert, user: world.id(), token: token.clone() };
    let first = line.ports.queue.join(join.clone(), &line.terms()).await.unwrap();
    let second = line.ports.queue.join(join, &line.terms()).await.unwrap();
    assert_eq!((&first.place.token, &second.place.token), (&token, &token));
    assert_eq!(second.place.standing, Standing::Waiting { rank: 1 });
    assert_eq!(line.counts().await, (1, 1, 1));
}

pub async fn leaving_moves_up_those_behind<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1));
    let tokens = line.newcomers(&world, 5).await;
    line.finish(&tokens[2]).await;
    line.finish(&tokens[2]).await;
    assert_eq!(line.ranks(&tokens).await, [Some(0), Some(1), None, Some(2), Some(3)]);
    let left = line.poll(&tokens[2]).await.expect("an ended token is still known");
    assert_eq!(left.standing, Standing::Ended);
}

pub async fn finishing_admits_the_next_in_the_same_step<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(2));
    let tokens = line.newcomers(&world, 4).await;
    line.finish(&tokens[1]).await;
    assert_eq!(line.ranks(&tokens).await, [Some(0), None, Some(0), Some(1)]);
    let ended = line.ports.queue.enter(&tokens[1], None, &line.rules).await;
    assert_eq!(ended, Err(Error::TokenExpired));
}

/// The slot is freed by the request, by the consumer and by its deadline: one slot, not three.
pub async fn finishing_twice_admits_one<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Arc::new(Line::of(&world, rules(1)));
    let tokens = line.newcomers(&world, 4).await;
    race(5, |_| {
        let (line, token) = (line.clone(), tokens[0].clone());
        async move { line.finish(&token).await }
    })
    .await;
    assert_eq!(line.ranks(&tokens).await, [None, Some(0), Some(1), Some(2)]);
}

pub async fn an_ended_place_can_be_taken_anew_at_the_tail<H: Harness>() {
    let world = World::<H>::start().await;
    let (line, user) = (Line::of(&world, rules(1)), world.id());
    let old = line.join(user).await.place.token;
    line.newcomers(&world, 2).await;
    line.finish(&old).await;
    let new = line.join(user).await;
    assert!(new.first);
    assert_ne!(new.place.token, old);
    assert_eq!(new.place.standing, Standing::Waiting { rank: 2 });
    line.finish(&old).await;
    assert_eq!(line.rank(&new.place.token).await, Some(2), "the old token ended the new place");
}

pub async fn an_unknown_token_is_nobody<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1));
    let token = QueueToken::from_bytes([9; 16]);
    assert_eq!(line.find(&token).await, None);
    assert_eq!(line.poll(&token).await, None);
    let entered = line.ports.queue.enter(&token, None, &line.rules).await;
    assert_eq!(entered, Err(Error::TokenNotFound));
    line.finish(&token).await;
    assert_eq!(line.counts().await, (0, 0, 0));
}

pub async fn finding_counts_as_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let mut rules = rules(1);
    rules.claim_ttl = rules.active_ttl / 2;
    let line = Line::of(&world, rules);
    let token = line.newcomer(&world).await;
    let unclaimed = line.find(&token).await.unwrap();
    assert_eq!(line.find(&token).await.unwrap().standing, unclaimed.standing);
    let Standing::Active { expires_at: claim } = unclaimed.standing else { panic!("admitted") };
    let claimed = line.poll(&token).await.unwrap();
    let Standing::Active { expires_at: stay } = claimed.standing else { panic!("admitted") };
    // Both count from the admission, so they differ by exactly what the rules differ by.
    assert_eq!(stay.since(claim), rules.active_ttl - rules.claim_ttl);
    assert_eq!(line.find(&token).await.unwrap().standing, claimed.standing);
}

/// Lifting the deadline first and asking who it was afterwards lets strangers keep slots occupied.
pub async fn a_stranger_changes_nothing<H: Harness>() {
    let world = World::<H>::start().await;
    let mut rules = rules(1);
    rules.claim_ttl = rules.active_ttl / 2;
    let (line, owner, stranger) = (Line::of(&world, rules), world.id(), Some(world.id()));
    let token = line.join(owner).await.place.token;
    let unclaimed = line.find(&token).await.unwrap().standing;
    let queue = &line.ports.queue;
    let seen = queue.poll(&token, stranger, &line.rules).await.unwrap().unwrap();
    assert_eq!((seen.user, seen.standing), (owner, unclaimed));
    for _ in 0..2 {
        let refused = Err(Error::TokenMismatch);
        assert_eq!(queue.enter(&token, stranger, &line.rules).await, refused);
        assert_eq!(queue.glance(&token, stranger, &line.rules).await, refused);
        assert_eq!(line.find(&token).await.unwrap().standing, unclaimed);
    }
    queue.enter(&token, Some(owner), &line.rules).await.unwrap();
    assert_ne!(line.find(&token).await.unwrap().standing, unclaimed, "the owner's counts");
    assert_eq!(queue.glance(&token, stranger, &line.rules).await, Err(Error::TokenMismatch));
}

/// What this process did shows at once, however much of it is answered from memory.
pub async fn a_glance_is_what_entering_would_be<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1));
    let tokens = line.newcomers(&world, 3).await;
    let queue = &line.ports.queue;
    let check = async |expected: [Option<Error>; 3]| {
        for (token, expected) in tokens.iter().zip(&expected) {
            for _ in 0..2 {
                let glanced = queue.glance(token, None, &line.rules).await;
                assert_eq!(glanced.as_ref().err(), expected.as_ref());
                assert_eq!(queue.enter(token, None, &line.rules).await, glanced);
                let polled = line.poll(token).await.map(|place| place.standing);
                assert_eq!(polled, line.find(token).await.map(|place| place.standing));
            }
        }
    };
    let (waits, over) = (Some(Error::TokenNotActive), Some(Error::TokenExpired));
    check([None, waits.clone(), waits.clone()]).await;
    line.finish(&tokens[0]).await;
    check([over.clone(), None, waits.clone()]).await;
    line.set(mode(Mode::Hold)).await;
    line.finish(&tokens[1]).await;
    check([over.clone(), over.clone(), waits]).await;
    line.set(mode(Mode::Open)).await;
    check([over.clone(), over, None]).await;
}

/// Counting the active and adding one are two steps in the wrong design; the sampler sees N + 1.
pub async fn s3_never_more_than_the_limit_are_active<H: Harness>() {
    const LIMIT: u32 = 5;
    let world = World::<H>::start().await;
    let line = Arc::new(Line::of(&world, rules(LIMIT)));
    let done = Arc::new(AtomicBool::new(false));
    let sampler = tokio::spawn({
        let (line, done) = (line.clone(), done.clone());
        async move {
            let mut most = 0;
            while !done.load(Ordering::SeqCst) {
                most = line.counts().await.1.max(most);
                tokio::task::yield_now().await;
            }
            most
        }
    });
    race(200, |caller| {
        let (line, user) = (line.clone(), world.id());
        async move {
            let token = line.join(user).await.place.token;
            match caller % 4 {
                0 => {}
                1 => drop(line.tick().await),
                _ => line.finish(&token).await,
            }
        }
    })
    .await;
    done.store(true, Ordering::SeqCst);
    let most = sampler.await.unwrap();
    assert!(most <= u64::from(LIMIT), "{most} were active");
    let (waiting, active, _) = line.counts().await;
    assert_eq!((waiting + active, active), (100, u64::from(LIMIT)));
}

pub async fn s3_concurrent_joins_fill_the_limit_exactly<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Arc::new(Line::of(&world, rules(7)));
    let joined = race(100, |_| {
        let (line, user) = (line.clone(), world.id());
        async move { line.join(user).await.place.token }
    })
    .await;
    assert_eq!(line.counts().await, (93, 7, 7));
    let mut ranks = line.ranks(&joined).await;
    ranks.sort_unstable();
    let expected: Vec<_> = [0; 7].into_iter().chain(1..=93).map(Some).collect();
    assert_eq!(ranks, expected, "every place from 1 to 93 is somebody's");
}

pub async fn concerts_queue_apart<H: Harness>() {
    let world = World::<H>::start().await;
    let (one, other) = (Line::of(&world, rules(1)), Line::of(&world, rules(1)));
    let user = world.id();
    let here = one.join(user).await.place;
    let there = other.join(user).await.place;
    assert_ne!(here.token, there.token);
    assert_eq!((one.counts().await, other.counts().await), ((0, 1, 1), (0, 1, 1)));
    one.finish(&here.token).await;
    assert_eq!(other.rank(&there.token).await, Some(0));
}

/// Finding the concerts by a scan of all tokens stalls everything for as long as it takes.
pub async fn s7_the_index_lists_concerts_with_live_tokens_only<H: Harness>() {
    let world = World::<H>::start().await;
    let (busy, empty, over) =
        (Line::of(&world, rules(1)), Line::of(&world, rules(1)), Line::of(&world, rules(1)));
    busy.newcomers(&world, 3).await;
    let token = over.newcomer(&world).await;
    over.finish(&token).await;
    empty.set(limit(3)).await;
    assert_eq!(busy.ports.queue.live_concerts().await.unwrap(), [busy.concert]);
}

pub async fn a_raised_limit_admits_at_once_and_a_lowered_one_ends_nobody<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1));
    let tokens = line.newcomers(&world, 6).await;
    assert_eq!(line.set(limit(3)).await.active_limit, Some(3));
    assert_eq!(line.counts().await, (3, 3, 3));
    line.set(limit(1)).await;
    assert_eq!(line.counts().await, (3, 3, 3));
    line.finish(&tokens[0]).await;
    line.finish(&tokens[1]).await;
    assert_eq!(line.counts().await, (3, 1, 3), "two must end before one is admitted again");
    line.finish(&tokens[2]).await;
    assert_eq!(line.ranks(&tokens[3..]).await, [Some(0), Some(1), Some(2)]);
}

pub async fn hold_admits_nobody_until_it_is_lifted<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(5));
    line.set(mode(Mode::Hold)).await;
    let tokens = line.newcomers(&world, 2).await;
    assert_eq!(line.tick().await.admitted, 0);
    assert_eq!(line.ranks(&tokens).await, [Some(1), Some(2)]);
    line.set(mode(Mode::Open)).await;
    assert_eq!(line.ranks(&tokens).await, [Some(0), Some(0)]);
}

pub async fn drain_refuses_newcomers_and_admits_those_who_wait<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1));
    let tokens = line.newcomers(&world, 3).await;
    line.set(mode(Mode::Drain)).await;
    assert_eq!(line.try_join(world.id()).await, Err(Error::QueueClosed));
    line.finish(&tokens[0]).await;
    assert_eq!(line.ranks(&tokens).await, [None, Some(0), Some(1)]);
}

/// Instances hear of a change one after another. None of them may bring the older policy back.
pub async fn the_newest_policy_that_was_told_holds<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(1));
    let behind = Line { concert: line.concert, ..Line::of(&world, rules(1)) };
    line.set(mode(Mode::Drain)).await;
    assert_eq!(behind.try_join(world.id()).await, Err(Error::QueueClosed));
    line.set(mode(Mode::Hold)).await;
    let tokens = [behind.newcomer(&world).await, behind.newcomer(&world).await];
    behind.tick().await;
    assert_eq!(line.ranks(&tokens).await, [Some(1), Some(2)]);
    line.set(PolicyPatch { active_limit: Some(Some(2)), ..mode(Mode::Open) }).await;
    assert_eq!(line.ranks(&tokens).await, [Some(0), Some(0)]);
    behind.finish(&tokens[0]).await;
    behind.newcomers(&world, 2).await;
    assert_eq!(line.counts().await, (1, 2, 3), "the limit is not the service's");
}

pub async fn the_overview_counts<H: Harness>() {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules(2));
    assert_eq!(line.counts().await, (0, 0, 0));
    let tokens = line.newcomers(&world, 5).await;
    assert_eq!(line.counts().await, (3, 2, 2));
    line.finish(&tokens[0]).await;
    line.finish(&tokens[4]).await;
    assert_eq!(line.counts().await, (1, 2, 3));
}

pub async fn the_queue_survives_a_restart<H: Harness>() {
    let mut world = World::<H>::start().await;
    let line = Line::of(&world, rules(2));
    let (concert, users) = (line.concert, [world.id(), world.id(), world.id(), world.id()]);
    let mut tokens = Vec::new();
    for user in users {
        tokens.push(line.join(user).await.place.token);
    }
    line.set(limit(1)).await;
    let (before, counts) = (line.ranks(&tokens).await, line.counts().await);
    drop(line);
    world.harness.restart().await;
    let line = Line { concert, ..Line::of(&world, rules(2)) };
    assert_eq!((line.ranks(&tokens).await, line.counts().await), (before, counts));
    assert_eq!(line.join(users[3]).await.place.token, tokens[3]);
    line.finish(&tokens[0]).await;
    line.finish(&tokens[1]).await;
    assert_eq!(line.ranks(&tokens).await, [None, None, Some(0), Some(1)]);
}

/// Joins, polls, leaves, ticks, deadlines and policy changes in any order: never more than N
/// active, first in first out, live, and ranks as the plain model has them. An engine that cannot
/// jump runs the histories without their time steps.
pub async fn random_histories_agree_with_the_model<H: Harness>() {
    for seed in 0..H::CASES {
        crate::model::queue_history::<H>(u64::from(seed)).await;
    }
}
