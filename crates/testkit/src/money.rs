//! Money is conserved, whatever happens in whatever order.

use std::time::Duration;

use concert_domain::concert::SeatStatus;
use concert_domain::payment::Payment;
use concert_domain::point::MAX_BALANCE;
use concert_domain::reservation::Reservation;
use concert_domain::{Error, UserId};

use crate::fixtures::{PRICE, Show, charge, fresh, page};
use crate::model::Random;
use crate::{Harness, World};

/// One test for each law of money that spans the slices.
#[macro_export]
macro_rules! money_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, money:
            random_histories_conserve_money,
        }
    };
}

/// The life of a hold; no multiple of ten, as time moves in steps of ten.
const HOLD: u64 = 1_001;
const USERS: usize = 3;
const SEATS: usize = 4;
const STEPS: usize = 40;

#[derive(Debug, Clone, Copy)]
enum Op {
    Charge(usize, u32),
    Hold(usize, usize),
    Pay(usize),
    Cancel(usize),
    Refund(usize),
    Sweep,
    Pass(u64),
}

impl Op {
    fn random(random: &mut Random, holds: usize, payments: usize, can_jump: bool) -> Self {
        match random.below(if can_jump { 20 } else { 18 }) {
            0..=3 => {
                let amount = random.pick(&[100, 10_000, 25_000, 25_000, 900_000]);
                Self::Charge(random.below(USERS), amount)
            }
            4..=8 => Self::Hold(random.below(USERS), random.below(SEATS)),
            9..=13 => Self::Pay(random.below(holds.max(1))),
            14 => Self::Cancel(random.below(holds.max(1))),
            15..=16 => Self::Refund(random.below(payments.max(1))),
            17 => Self::Sweep,
            _ => Self::Pass(random.pick(&[10, 500, 1_000])),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Pending,
    Confirmed,
    Cancelled,
}

#[derive(Debug)]
struct Held {
    reservation: Reservation,
    user: usize,
    seat: usize,
    state: State,
    ends: u64,
}

#[derive(Debug)]
struct Paid {
    payment: Payment,
    held: usize,
    refunded: bool,
}

/// What the books should say.
#[derive(Debug, Default)]
struct Model {
    now: u64,
    charged: i64,
    balances: [i64; USERS],
    holds: Vec<Held>,
    payments: Vec<Paid>,
}

impl Model {
    fn is_live(&self, held: &Held) -> bool {
        match held.state {
            State::Pending => self.now < held.ends,
            State::Confirmed => true,
            State::Cancelled => false,
        }
    }

    fn seat(&self, seat: usize) -> SeatStatus {
        match self.holds.iter().find(|held| held.seat == seat && self.is_live(held)) {
            None => SeatStatus::Available,
            Some(held) if held.state == State::Pending => SeatStatus::TempReserved,
            Some(_) => SeatStatus::Reserved,
        }
    }

    fn refunds(&self) -> usize {
        self.payments.iter().filter(|paid| paid.refunded).count()
    }
}

struct History<H> {
    world: World<H>,
    show: Show,
    users: Vec<UserId>,
    model: Model,
}

/// Charges, holds, payments, refunds, cancellations and expiry in any order: each is done or
/// refused as the plain model says, and after each the books balance. An engine that cannot jump
/// runs the histories without their time steps.
pub async fn random_histories_conserve_money<H: Harness>() {
    for seed in 0..u64::from(H::CASES) {
        let world = World::<H>::start().await;
        let show = world.show(SEATS as u32).await;
        let users = (0..USERS).map(|_| world.id()).collect();
        let mut history = History { world, show, users, model: Model::default() };
        let (mut random, mut trace) = (Random::new(seed), Vec::new());
        for _ in 0..STEPS {
            let (holds, payments) = (history.model.holds.len(), history.model.payments.len());
            let can_jump = history.world.harness.can_jump();
            let op = Op::random(&mut random, holds, payments, can_jump);
            trace.push(op);
            let context = format!("seed {seed}: {trace:?}");
            history.apply(op, &context).await;
            history.audit(&context).await;
        }
    }
}

impl<H: Harness> History<H> {
    async fn apply(&mut self, op: Op, context: &str) {
        match op {
            Op::Charge(user, amount) => self.charge(user, amount, context).await,
            Op::Hold(user, seat) => self.hold(user, seat, context).await,
            Op::Pay(hold) => self.pay(hold, context).await,
            Op::Cancel(hold) => self.cancel(hold, context).await,
            Op::Refund(payment) => self.refund(payment, context).await,
            Op::Sweep => {
                self.world.ports().reservations.sweep(100).await.unwrap();
            }
            Op::Pass(millis) => {
                self.world.harness.pass(Duration::from_millis(millis)).await;
                self.model.now += millis;
            }
        }
    }

    async fn charge(&mut self, user: usize, amount: u32, context: &str) {
        let intent = self.world.intent(self.users[user], amount);
        let charged = charge(&self.world.ports(), intent).await.map(drop);
        if self.model.balances[user] + i64::from(amount) > MAX_BALANCE.get() {
            assert_eq!(charged, Err(Error::PointLimitExceeded), "{context}");
        } else {
            assert_eq!(charged, Ok(()), "{context}");
            self.model.balances[user] += i64::from(amount);
            self.model.charged += i64::from(amount);
        }
    }

    async fn hold(&mut self, user: usize, seat: usize, context: &str) {
        // Where time really passes nothing may end on its own.
        let life = if self.world.harness.can_jump() { HOLD } else { 3_600_000 };
        let ttl = Duration::from_millis(life);
        let hold = self.world.hold(&self.show, seat, self.users[user], ttl).await;
        let held = self.world.ports().reservations.hold(hold).await;
        if self.model.seat(seat) == SeatStatus::Available {
            let reservation = fresh(held.expect(context));
            let ends = self.model.now + life;
            let state = State::Pending;
            self.model.holds.push(Held { reservation, user, seat, state, ends });
        } else {
            assert_eq!(held, Err(Error::SeatNotAvailable), "{context}");
        }
    }

    async fn pay(&mut self, index: usize, context: &str) {
        let Some(held) = self.model.holds.get(index) else { return };
        let settlement = self.world.settlement(&held.reservation).await;
        let settled = self.world.ports().payments.settle(settlement).await;
        let refusal = match held.state {
            State::Confirmed | State::Cancelled => Some(Error::ReservationNotPending),
            State::Pending if !self.model.is_live(held) => Some(Error::ReservationExpired),
            State::Pending if self.model.balances[held.user] < PRICE.get() => {
                Some(Error::InsufficientPoints)
            }
            State::Pending => None,
        };
        match refusal {
            Some(refusal) => assert_eq!(settled, Err(refusal), "{context}"),
            None => {
                let payment = fresh(settled.expect(context));
                self.model.balances[held.user] -= PRICE.get();
                self.model.holds[index].state = State::Confirmed;
                self.model.payments.push(Paid { payment, held: index, refunded: false });
            }
        }
    }

    async fn cancel(&mut self, index: usize, context: &str) {
        let Some(held) = self.model.holds.get(index) else { return };
        let (id, user) = (held.reservation.id, held.reservation.user_id);
        let cancelled = self.world.ports().reservations.cancel(id, user).await;
        let expected = match held.state {
            State::Confirmed => Err(Error::ReservationNotPending),
            State::Cancelled => Ok(false),
            State::Pending => Ok(self.model.is_live(held)),
        };
        assert_eq!(cancelled, expected, "{context}");
        if cancelled == Ok(true) {
            self.model.holds[index].state = State::Cancelled;
        }
    }

    async fn refund(&mut self, index: usize, context: &str) {
        let Some(paid) = self.model.payments.get(index) else { return };
        let refund = self.world.refund(&paid.payment).await;
        let refunded = self.world.ports().payments.refund(refund).await.map(drop);
        let (held, user) = (paid.held, self.model.holds[paid.held].user);
        if paid.refunded {
            assert_eq!(refunded, Err(Error::RefundNotAllowed), "{context}");
        } else if self.model.balances[user] + PRICE.get() > MAX_BALANCE.get() {
            assert_eq!(refunded, Err(Error::PointLimitExceeded), "{context}");
        } else {
            assert_eq!(refunded, Ok(()), "{context}");
            self.model.balances[user] += PRICE.get();
            self.model.holds[held].state = State::Cancelled;
            self.model.payments[index].refunded = true;
        }
    }

    /// Balances, ledgers, seats and events agree with the model, and no won is made or lost.
    async fn audit(&self, context: &str) {
        let ports = self.world.ports();
        let mut total = 0;
        for (user, expected) in self.users.iter().zip(self.model.balances) {
            let balance = ports.points.balance(*user).await.unwrap().get();
            let lines = ports.points.history(*user, page(100, None)).await.unwrap().items;
            let sum: i64 = lines.iter().map(|line| line.amount).sum();
            assert_eq!((balance, sum), (expected, expected), "{context}");
            total += balance;
        }
        let (payments, refunds) = (self.model.payments.len(), self.model.refunds());
        let spent = (payments - refunds) as i64 * PRICE.get();
        assert_eq!(total + spent, self.model.charged, "{context}");
        let events = ports.outbox.backlog().await.unwrap().pending;
        assert_eq!(events, (payments + refunds) as u64, "{context}");
        let map = ports.concerts.seats(self.show.schedule).await.unwrap().unwrap().value;
        for (seat, seen) in map.seats.iter().enumerate() {
            assert_eq!(seen.status, self.model.seat(seat), "seat {seat}; {context}");
        }
    }
}
