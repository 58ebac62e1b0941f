//! Laws of [`PaymentGateway`], for gateways that know the test
//! instruments of the sandbox.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use concert_domain::event::Origin;
use concert_domain::point::GatewayVerdict::{self, Approved, Declined};
use concert_domain::point::{ChargeIntent, PaymentGateway, PaymentMethod};
use concert_domain::{Error, Result, TransactionId, Won};

use crate::race;

/// One test for each law of gateways.
#[macro_export]
macro_rules! gateway_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, gateway:
            what_is_approved_is_taken_once,
            what_is_declined_is_not_taken,
            equal_intents_at_once_take_the_money_once,
            asking_for_the_outcome_causes_nothing,
            what_was_voided_is_never_taken,
            voiding_gives_the_money_back,
            voiding_what_was_declined_changes_nothing,
            of_charging_and_voiding_at_once_no_money_is_left,
            a_slow_answer_is_an_answer,
            a_second_delivery_takes_nothing,
            an_answer_that_is_lost_is_found_by_asking,
            what_times_out_may_be_voided,
            an_error_leaves_the_outcome_unknown,
        }
    };
}

/// One gateway under test.
#[async_trait]
pub trait GatewayHarness: Send + Sync + Sized + 'static {
    /// A fresh one that knows nothing.
    async fn start() -> Self;

    /// The gateway.
    fn gateway(&self) -> Arc<dyn PaymentGateway>;

    /// How much it has taken for an intent and not given back.
    fn taken(&self, intent: TransactionId) -> Won;
}

/// A decided charge of 500 with a means of payment.
pub fn intent_with(detail: &str) -> ChargeIntent {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    ChargeIntent {
        id: NEXT.fetch_add(1, Ordering::Relaxed).try_into().unwrap(),
        user_id: 7.try_into().unwrap(),
        amount: Won::of(500),
        method: PaymentMethod::Card,
        detail: Some(detail.to_owned().try_into().unwrap()),
    }
}

struct Trial<H> {
    harness: H,
    gateway: Arc<dyn PaymentGateway>,
    intent: ChargeIntent,
}

impl<H: GatewayHarness> Trial<H> {
    async fn of(detail: &str) -> Self {
        let harness = H::start().await;
        Self { gateway: harness.gateway(), harness, intent: intent_with(detail) }
    }

    async fn charge(&self) -> Result<GatewayVerdict> {
        self.gateway.charge(&self.intent, &Origin::default()).await
    }

    async fn outcome(&self) -> Option<GatewayVerdict> {
        self.gateway.outcome(&self.intent).await.unwrap()
    }

    async fn void(&self) {
        self.gateway.void(&self.intent).await.unwrap();
    }

    fn assert_taken(&self, amount: u32) {
        assert_eq!(self.harness.taken(self.intent.id), Won::of(amount));
    }

    /// Nothing is taken now, and nothing will be.
    async fn assert_over(&self) {
        assert_eq!(self.outcome().await, Some(Declined));
        assert_eq!(self.charge().await, Ok(Declined));
        self.assert_taken(0);
    }
}

pub async fn what_is_approved_is_taken_once<H: GatewayHarness>() {
    for detail in ["sandbox:approve", "tok_visa"] {
        let trial = Trial::<H>::of(detail).await;
        for _ in 0..3 {
            assert_eq!(trial.charge().await, Ok(Approved));
            assert_eq!(trial.outcome().await, Some(Approved));
            trial.assert_taken(500);
        }
    }
}

pub async fn what_is_declined_is_not_taken<H: GatewayHarness>() {
    let trial = Trial::<H>::of("sandbox:decline").await;
    for _ in 0..3 {
        assert_eq!(trial.charge().await, Ok(Declined));
        assert_eq!(trial.outcome().await, Some(Declined));
        trial.assert_taken(0);
    }
}

pub async fn equal_intents_at_once_take_the_money_once<H: GatewayHarness>() {
    let trial = Arc::new(Trial::<H>::of("tok_visa").await);
    let answers = race(20, |_| {
        let trial = trial.clone();
        async move { trial.charge().await }
    })
    .await;
    assert!(answers.iter().all(|answer| *answer == Ok(Approved)), "{answers:?}");
    trial.assert_taken(500);
}

pub async fn asking_for_the_outcome_causes_nothing<H: GatewayHarness>() {
    let trial = Trial::<H>::of("tok_visa").await;
    for _ in 0..2 {
        assert_eq!(trial.outcome().await, None);
    }
    assert_eq!(trial.charge().await, Ok(Approved));
}

/// A charge that arrives late takes money here if the gateway forgets what was let go.
pub async fn what_was_voided_is_never_taken<H: GatewayHarness>() {
    let trial = Trial::<H>::of("tok_visa").await;
    trial.void().await;
    trial.assert_over().await;
    trial.void().await;
    trial.assert_over().await;
}

pub async fn voiding_gives_the_money_back<H: GatewayHarness>() {
    let trial = Trial::<H>::of("tok_visa").await;
    trial.charge().await.unwrap();
    trial.assert_taken(500);
    trial.void().await;
    trial.assert_over().await;
}

pub async fn voiding_what_was_declined_changes_nothing<H: GatewayHarness>() {
    let trial = Trial::<H>::of("sandbox:decline").await;
    trial.charge().await.unwrap();
    trial.void().await;
    trial.assert_over().await;
}

pub async fn of_charging_and_voiding_at_once_no_money_is_left<H: GatewayHarness>() {
    let trial = Arc::new(Trial::<H>::of("tok_visa").await);
    race(10, |caller| {
        let trial = trial.clone();
        async move {
            if caller % 2 == 0 {
                trial.charge().await.unwrap();
            } else {
                trial.void().await;
            }
        }
    })
    .await;
    trial.assert_over().await;
}

pub async fn a_slow_answer_is_an_answer<H: GatewayHarness>() {
    let trial = Trial::<H>::of("sandbox:slow").await;
    assert_eq!(trial.charge().await, Ok(Approved));
    trial.assert_taken(500);
}

pub async fn a_second_delivery_takes_nothing<H: GatewayHarness>() {
    let trial = Trial::<H>::of("sandbox:duplicate").await;
    assert_eq!(trial.charge().await, Ok(Approved));
    trial.assert_taken(500);
}

/// A gateway that asks again by itself may find the answer at once.
pub async fn an_answer_that_is_lost_is_found_by_asking<H: GatewayHarness>() {
    let trial = Trial::<H>::of("sandbox:lost").await;
    let first = trial.charge().await;
    assert!(matches!(first, Ok(Approved) | Err(Error::GatewayTimedOut)), "{first:?}");
    assert_eq!(trial.outcome().await, Some(Approved));
    assert_eq!(trial.charge().await, Ok(Approved));
    trial.assert_taken(500);
}

pub async fn what_times_out_may_be_voided<H: GatewayHarness>() {
    let trial = Trial::<H>::of("sandbox:timeout").await;
    assert_eq!(trial.charge().await, Err(Error::GatewayTimedOut));
    assert_eq!(trial.outcome().await, None);
    trial.void().await;
    trial.assert_over().await;
}

pub async fn an_error_leaves_the_outcome_unknown<H: GatewayHarness>() {
    let trial = Trial::<H>::of("sandbox:error").await;
    assert_eq!(trial.charge().await, Err(Error::GatewayFailed));
    assert_eq!(trial.outcome().await, None);
    trial.void().await;
    trial.assert_over().await;
}
