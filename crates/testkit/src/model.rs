//! The queue as a few plain lists, and random histories that compare an engine with it.

use std::collections::VecDeque;
use std::time::Duration;

use concert_domain::queue::{Mode, QueueToken, Rules, Standing};
use concert_domain::{Error, UserId};

use crate::queue::{Line, limit, mode};
use crate::{Harness, World};

/// A small generator of numbers that depend on the seed alone (SplitMix64).
pub struct Random(u64);

impl Random {
    /// The history of one seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below the bound.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// One of the choices.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

// Time moves in steps of ten, and no deadline is a multiple of ten: whether a deadline is over at
// the very millisecond that it names is nobody's business.
const CLAIM: u64 = 1_001;
const STAY: u64 = 3_001;
const WAIT: u64 = 7_001;
const USERS: usize = 10;
const STEPS: usize = 50;

fn rules() -> Rules {
    Rules {
        active_limit: 2,
        claim_ttl: Duration::from_millis(CLAIM),
        active_ttl: Duration::from_millis(STAY),
        waiting_ttl: Duration::from_millis(WAIT),
        remember_ttl: Duration::from_secs(3_600),
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Join(usize),
    Poll(usize),
    Enter(usize),
    Finish(usize),
    Tick,
    SetMode(Mode),
    SetLimit(u32),
    Pass(u64),
}

impl Op {
    fn random(random: &mut Random, places: usize, can_jump: bool) -> Self {
        let place = |random: &mut Random| random.below(places.max(1));
        match random.below(if can_jump { 20 } else { 17 }) {
            0..=6 => Self::Join(random.below(USERS)),
            7..=9 => Self::Poll(place(random)),
            10 => Self::Enter(place(random)),
            11..=13 => Self::Finish(place(random)),
            14 => Self::Tick,
            15 => Self::SetMode(random.pick(&[Mode::Open, Mode::Open, Mode::Hold, Mode::Drain])),
            16 => Self::SetLimit(random.pick(&[1, 2, 3, 5])),
            _ => Self::Pass(random.pick(&[10, 500, 1_000, 2_500, 6_000])),
        }
    }
}

/// A place: its number is its index in the history.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    place: usize,
    joined: u64,
}

#[derive(Debug, Clone, Copy)]
struct Active {
    place: usize,
    admitted: u64,
    claimed: bool,
}

/// What a queue should be.
#[derive(Debug)]
struct Model {
    now: u64,
    mode: Mode,
    limit: usize,
    waiting: VecDeque<Waiting>,
    active: Vec<Active>,
    admitted: u64,
    /// Whose each place is.
    users: Vec<usize>,
}

impl Model {
    fn new() -> Self {
        Self {
            now: 0,
            mode: Mode::Open,
            limit: 2,
            waiting: VecDeque::new(),
            active: Vec::new(),
            admitted: 0,
            users: Vec::new(),
        }
    }

    fn waits(&self, place: &Waiting) -> bool {
        self.now < place.joined + WAIT
    }

    fn stays(&self, place: &Active) -> bool {
        self.now < place.admitted + if place.claimed { STAY } else { CLAIM }
    }

    /// The admission step.
    fn step(&mut self) {
        let now = self.now;
        self.waiting.retain(|place| now < place.joined + WAIT);
        let active = std::mem::take(&mut self.active);
        self.active = active.into_iter().filter(|place| self.stays(place)).collect();
        while self.mode != Mode::Hold && self.active.len() < self.limit {
            let Some(next) = self.waiting.pop_front() else { break };
            self.active.push(Active { place: next.place, admitted: now, claimed: false });
            self.admitted += 1;
        }
    }

    /// The user's live place.
    fn live_place(&self, user: usize) -> Option<usize> {
        let waiting = self.waiting.iter().filter(|p| self.waits(p)).map(|p| p.place);
        let active = self.active.iter().filter(|p| self.stays(p)).map(|p| p.place);
        waiting.chain(active).find(|place| self.users[*place] == user)
    }

    fn is_live(&self, place: usize) -> bool {
        self.users.get(place).is_some_and(|user| self.live_place(*user) == Some(place))
    }

    fn append(&mut self, user: usize) {
        self.waiting.push_back(Waiting { place: self.users.len(), joined: self.now });
        self.users.push(user);
        self.step();
    }

    fn remove(&mut self, place: usize) {
        self.waiting.retain(|p| p.place != place);
        self.active.retain(|p| p.place != place);
        self.step();
    }

    /// A request of a token; whether it is active.
    fn request(&mut self, place: usize) -> bool {
        let now = self.now;
        let own = self.active.iter_mut().find(|p| p.place == place);
        let Some(own) = own else { return false };
        let live = now < own.admitted + if own.claimed { STAY } else { CLAIM };
        own.claimed |= live;
        live
    }

    /// Whether somebody who waits is past the deadline and not dropped yet: until the next step,
    /// ranks behind may or may not count such a place.
    fn is_stale(&self) -> bool {
        !self.waiting.iter().all(|place| self.waits(place))
    }

    fn rank(&self, place: usize) -> Option<u64> {
        self.waiting.iter().position(|p| p.place == place && self.waits(p)).map(|n| n as u64 + 1)
    }

    fn is_active(&self, place: usize) -> bool {
        self.active.iter().any(|p| p.place == place && self.stays(p))
    }
}

/// An engine, the model and what they have in common.
struct History<H> {
    world: World<H>,
    line: Line,
    model: Model,
    users: Vec<UserId>,
    tokens: Vec<QueueToken>,
    trace: Vec<Op>,
}

/// Plays one random history on an engine and on the model, and compares them after every step.
pub async fn queue_history<H: Harness>(seed: u64) {
    let world = World::<H>::start().await;
    let line = Line::of(&world, rules());
    let users = (0..USERS).map(|_| world.id()).collect();
    let (tokens, trace) = (Vec::new(), Vec::new());
    let mut history = History { world, line, model: Model::new(), users, tokens, trace };
    let mut random = Random::new(seed);
    for _ in 0..STEPS {
        let can_jump = history.world.harness.can_jump();
        let op = Op::random(&mut random, history.tokens.len(), can_jump);
        history.trace.push(op);
        history.apply(op).await;
        history.compare(seed).await;
    }
}

impl<H: Harness> History<H> {
    async fn apply(&mut self, op: Op) {
        match op {
            Op::Join(user) => self.join(user).await,
            Op::Poll(place) => self.poll(place).await,
            Op::Enter(place) => self.enter(place).await,
            Op::Finish(place) => self.finish(place).await,
            Op::Tick => self.tick().await,
            Op::SetMode(to) => {
                self.line.set(mode(to)).await;
                self.model.mode = to;
                self.model.step();
            }
            Op::SetLimit(to) => {
                self.line.set(limit(to)).await;
                self.model.limit = to as usize;
                self.model.step();
            }
            Op::Pass(millis) => {
                self.world.harness.pass(Duration::from_millis(millis)).await;
                self.model.now += millis;
            }
        }
    }

    /// A step on both sides. What changes nothing (joining again, a refused join, leaving twice)
    /// may or may not end with a step of its own; after this one it does not matter.
    async fn tick(&mut self) {
        self.line.tick().await;
        self.model.step();
    }

    async fn join(&mut self, user: usize) {
        let joined = self.line.try_join(self.users[user]).await;
        match (self.model.live_place(user), self.model.mode) {
            (Some(place), _) => {
                let joined = joined.unwrap();
                assert!(!joined.first, "{:?}", self.trace);
                assert_eq!(joined.place.token, self.tokens[place], "{:?}", self.trace);
                self.tick().await;
            }
            (None, Mode::Drain) => {
                assert_eq!(joined, Err(Error::QueueClosed), "{:?}", self.trace);
                self.tick().await;
            }
            (None, _) => {
                let joined = joined.unwrap();
                assert!(joined.first, "{:?}", self.trace);
                self.tokens.push(joined.place.token);
                self.model.append(user);
            }
        }
    }

    async fn poll(&mut self, place: usize) {
        let Some(token) = self.tokens.get(place) else { return };
        let seen = self.line.poll(token).await.expect("an ended token is remembered").standing;
        let active = self.model.request(place);
        assert_eq!(matches!(seen, Standing::Active { .. }), active, "{:?}", self.trace);
    }

    async fn enter(&mut self, place: usize) {
        let Some(token) = self.tokens.get(place) else { return };
        let entered = self.line.ports.queue.enter(token, None, &self.line.rules).await.map(drop);
        let expected = match (self.model.request(place), self.model.rank(place)) {
            (true, _) => Ok(()),
            (false, Some(_)) => Err(Error::TokenNotActive),
            (false, None) => Err(Error::TokenExpired),
        };
        assert_eq!(entered, expected, "{:?}", self.trace);
    }

    async fn finish(&mut self, place: usize) {
        let Some(token) = self.tokens.get(place) else { return };
        self.line.finish(token).await;
        if self.model.is_live(place) {
            self.model.remove(place);
        } else {
            self.tick().await;
        }
    }

    async fn compare(&self, seed: u64) {
        let context = || format!("seed {seed}: {:?}\n{:?}", self.trace, self.model);
        let stale = self.model.is_stale();
        for (place, token) in self.tokens.iter().enumerate() {
            let seen = self.line.rank(token).await;
            let expected = match self.model.is_active(place) {
                true => Some(0),
                false => self.model.rank(place),
            };
            let same = match (seen, expected) {
                (Some(seen), Some(expected)) if seen > 0 && expected > 0 && stale => true,
                _ => seen == expected,
            };
            assert!(same, "place {place}: {seen:?}, not {expected:?}; {}", context());
        }
        let (waiting, active, admitted) = self.line.counts().await;
        let expected = self.model.active.iter().filter(|place| self.model.stays(place)).count();
        assert_eq!((active, admitted), (expected as u64, self.model.admitted), "{}", context());
        if !stale {
            assert_eq!(waiting, self.model.waiting.len() as u64, "{}", context());
        }
    }
}
