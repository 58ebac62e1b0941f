use std::sync::Arc;
use std::time::Duration;

use super::{
    ChargeIntent, Charged, GatewayVerdict, LedgerLine, MAX_BALANCE, MIN_CHARGE, OpenCharge, Opened,
    PaymentDetail, PaymentGateway, PaymentMethod, PointStore,
};
use crate::concurrent::all_at_once;
use crate::event::Origin;
use crate::{
    Applied, Error, IdAllocator, IdKind, IdempotencyClaim, Page, PageRequest, Result, UserId, Won,
};

/// How many abandoned charges are settled at once.
const RECONCILE_BATCH: u32 = 16;

/// A wish to buy points.
#[derive(Debug, Clone)]
pub struct ChargeRequest {
    /// Who.
    pub user: UserId,
    /// How many, at least [`MIN_CHARGE`].
    pub amount: Won,
    /// How.
    pub method: PaymentMethod,
    /// The gateway's token for the means of payment.
    pub detail: Option<PaymentDetail>,
    /// The key of the request.
    pub claim: Option<IdempotencyClaim>,
    /// The request, for the gateway's own logs and traces.
    pub origin: Origin,
}

/// What a pass over abandoned charges did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// The gateway had taken the money; the points are there now.
    pub approved: u32,
    /// No money is taken.
    pub declined: u32,
    /// The gateway could not tell; they are asked for again later.
    pub waiting: u32,
}

impl Reconciled {
    /// Whether there may be more to settle at once.
    pub fn more(&self) -> bool {
        self.approved + self.declined + self.waiting == RECONCILE_BATCH
    }
}

/// Use cases of the point slice.
pub struct PointService {
    store: Arc<dyn PointStore>,
    gateway: Arc<dyn PaymentGateway>,
    ids: Arc<IdAllocator>,
    grace: Duration,
}

impl PointService {
    /// Over a store, a gateway and the ids. A charge that is older than the grace time counts as
    /// abandoned.
    pub fn new(
        store: Arc<dyn PointStore>,
        gateway: Arc<dyn PaymentGateway>,
        ids: Arc<IdAllocator>,
        grace: Duration,
    ) -> Self {
        Self { store, gateway, ids, grace }
    }

    /// The balance; zero for a user who never charged.
    pub async fn balance(&self, user: UserId) -> Result<Won> {
        self.store.balance(user).await
    }

    /// The ledger, newest first.
    pub async fn history(&self, user: UserId, page: PageRequest) -> Result<Page<LedgerLine>> {
        self.store.history(user, page).await
    }

    /// Buys points: records the intent, takes the money outside any transaction, writes the
    /// points. Whatever happens in between, the intent stays and is settled by a retry under the
    /// same key or by [`PointService::reconcile`].
    pub async fn charge(&self, request: ChargeRequest) -> Result<Applied<Charged>> {
        if request.amount < MIN_CHARGE || request.amount > MAX_BALANCE {
            let message = format!("must be {MIN_CHARGE} to {MAX_BALANCE} won");
            return Err(Error::invalid("amount", message));
        }
        let intent = ChargeIntent {
            id: self.ids.next(IdKind::Transaction).await?,
            user_id: request.user,
            amount: request.amount,
            method: request.method,
            detail: request.detail,
        };
        let intent = match self.store.open_charge(intent, request.claim).await? {
            Opened::Replayed(charged) => return Ok(Applied::Replayed(charged)),
            Opened::Pending(intent) => intent,
        };
        let verdict = self.gateway.charge(&intent, &request.origin).await?;
        let settled = self.store.settle_charge(intent.id, verdict).await;
        match (verdict, &settled) {
            // Given up meanwhile, so these points will never be: neither shall the money be gone.
            (GatewayVerdict::Approved, Err(Error::PaymentDeclined)) => {
                self.gateway.void(&intent).await?;
            }
            // Open intents keep their room free, so this needs a limit that was lowered meanwhile.
            (GatewayVerdict::Approved, Err(Error::PointLimitExceeded)) => {
                self.give_up(&intent).await?;
            }
            _ => {}
        }
        settled
    }

    /// Settles charges whose request died, or never learnt what the gateway did.
    pub async fn reconcile(&self) -> Result<Reconciled> {
        let open = self.store.take_unsettled(self.grace, RECONCILE_BATCH).await?;
        let ends = all_at_once(open.iter().map(|charge| self.settle(charge))).await;
        let mut done = Reconciled::default();
        let mut failure = None;
        for end in ends {
            match end {
                Ok(GatewayVerdict::Approved) => done.approved += 1,
                Ok(GatewayVerdict::Declined) => done.declined += 1,
                Err(Error::GatewayFailed | Error::GatewayTimedOut) => done.waiting += 1,
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(done), Err)
    }

    /// What the gateway has approved becomes points; anything else is given up.
    async fn settle(&self, charge: &OpenCharge) -> Result<GatewayVerdict> {
        let intent = &charge.intent;
        let outcome = if charge.given_up { None } else { self.gateway.outcome(intent).await? };
        if outcome == Some(GatewayVerdict::Approved) {
            match self.store.settle_charge(intent.id, GatewayVerdict::Approved).await {
                Ok(_) => return Ok(GatewayVerdict::Approved),
                Err(Error::PaymentDeclined | Error::PointLimitExceeded) => {}
                Err(error) => return Err(error),
            }
        }
        self.give_up(intent).await
    }

    /// Ends a charge without money and without points, in an order that survives a death between any
    /// two steps: from the first on no approval becomes points, from the second on none is possible,
    /// and only then its room is free.
    async fn give_up(&self, intent: &ChargeIntent) -> Result<GatewayVerdict> {
        if self.store.give_up_charge(intent.id).await? {
            self.gateway.void(intent).await?;
        }
        // If its request has settled it meanwhile, this answers what it came to.
        match self.store.settle_charge(intent.id, GatewayVerdict::Declined).await {
            Ok(_) => Ok(GatewayVerdict::Approved),
            Err(Error::PaymentDeclined) => Ok(GatewayVerdict::Declined),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use mockall::Sequence;

    use super::super::{MockPaymentGateway, MockPointStore};
    use super::*;
    use crate::id::MockIdBlocks;
    use crate::{IdBlock, Timestamp};

    const GRACE: Duration = Duration::from_secs(60);

    fn service(store: MockPointStore, gateway: MockPaymentGateway) -> PointService {
        let mut blocks = MockIdBlocks::new();
        blocks.expect_take().returning(|_, count| Ok(IdBlock { first: 1, count }));
        let ids = Arc::new(IdAllocator::new(Arc::new(blocks)));
        PointService::new(Arc::new(store), Arc::new(gateway), ids, GRACE)
    }

    fn request(amount: u32) -> ChargeRequest {
        ChargeRequest {
            user: UserId::try_from(1).unwrap(),
            amount: Won::of(amount),
            method: PaymentMethod::Card,
            detail: None,
            claim: None,
            origin: Origin::default(),
        }
    }

    fn intent() -> ChargeIntent {
        ChargeIntent {
            id: 1.try_into().unwrap(),
            user_id: 1.try_into().unwrap(),
            amount: Won::of(500),
            method: PaymentMethod::Card,
            detail: None,
        }
    }

    fn charged() -> Charged {
        Charged {
            transaction_id: 1.try_into().unwrap(),
            user_id: 1.try_into().unwrap(),
            amount: Won::of(500),
            balance: Won::of(500),
            charged_at: Timestamp::MIN,
        }
    }

    #[test]
    fn an_amount_out_of_range_reaches_neither_store_nor_gateway() {
        let service = service(MockPointStore::new(), MockPaymentGateway::new());
        for amount in [0, 99, 1_000_001] {
            assert!(matches!(block_on(service.charge(request(amount))), Err(Error::Invalid(_))));
        }
    }

    #[test]
    fn an_intent_that_cannot_be_recorded_never_reaches_the_gateway() {
        let mut store = MockPointStore::new();
        store.expect_open_charge().returning(|_, _| Err(Error::unavailable("store")));
        let service = service(store, MockPaymentGateway::new());
        assert!(block_on(service.charge(request(500))).is_err());
    }

    #[test]
    fn an_unknown_outcome_leaves_the_intent_for_the_reconciler() {
        let mut store = MockPointStore::new();
        store.expect_open_charge().returning(|intent, _| Ok(Opened::Pending(intent)));
        store.expect_settle_charge().never();
        let mut gateway = MockPaymentGateway::new();
        gateway.expect_charge().returning(|_, _| Err(Error::GatewayTimedOut));
        let result = block_on(service(store, gateway).charge(request(500)));
        assert_eq!(result, Err(Error::GatewayTimedOut));
    }

    fn opened() -> MockPointStore {
        let mut store = MockPointStore::new();
        store.expect_open_charge().returning(|intent, _| Ok(Opened::Pending(intent)));
        store
    }

    /// Expects a charge to be given up: in the store, at the gateway, then settled.
    fn expect_giving_up(store: &mut MockPointStore, gateway: &mut MockPaymentGateway) {
        let mut order = Sequence::new();
        store.expect_give_up_charge().once().in_sequence(&mut order).returning(|_| Ok(true));
        gateway.expect_void().once().in_sequence(&mut order).returning(|_| Ok(()));
        let settle = store.expect_settle_charge();
        settle.withf(|_, verdict| *verdict == GatewayVerdict::Declined);
        settle.once().in_sequence(&mut order).returning(|_, _| Err(Error::PaymentDeclined));
    }

    #[test]
    fn an_approval_that_comes_after_the_charge_was_given_up_is_given_back() {
        let mut store = opened();
        store.expect_settle_charge().once().returning(|_, _| Err(Error::PaymentDeclined));
        let mut gateway = MockPaymentGateway::new();
        gateway.expect_charge().returning(|_, _| Ok(GatewayVerdict::Approved));
        gateway.expect_void().once().returning(|_| Ok(()));
        let result = block_on(service(store, gateway).charge(request(500)));
        assert_eq!(result, Err(Error::PaymentDeclined));
    }

    #[test]
    fn money_for_which_there_is_no_room_any_more_is_given_back() {
        let mut store = opened();
        let approved = store.expect_settle_charge();
        approved.withf(|_, verdict| *verdict == GatewayVerdict::Approved);
        approved.once().returning(|_, _| Err(Error::PointLimitExceeded));
        let mut gateway = MockPaymentGateway::new();
        gateway.expect_charge().returning(|_, _| Ok(GatewayVerdict::Approved));
        expect_giving_up(&mut store, &mut gateway);
        let result = block_on(service(store, gateway).charge(request(500)));
        assert_eq!(result, Err(Error::PointLimitExceeded));
    }

    fn reconciled(
        mut store: MockPointStore,
        gateway: MockPaymentGateway,
        given_up: bool,
    ) -> Result<Reconciled> {
        store.expect_take_unsettled().returning(move |age, _| {
            assert_eq!(age, GRACE);
            Ok(vec![OpenCharge { intent: intent(), given_up }])
        });
        block_on(service(store, gateway).reconcile())
    }

    #[test]
    fn what_the_gateway_approved_becomes_points_without_a_second_charge() {
        let (mut store, mut gateway) = (MockPointStore::new(), MockPaymentGateway::new());
        gateway.expect_outcome().once().returning(|_| Ok(Some(GatewayVerdict::Approved)));
        store.expect_settle_charge().once().returning(|_, _| Ok(Applied::Fresh(charged())));
        let done = reconciled(store, gateway, false);
        assert_eq!(done, Ok(Reconciled { approved: 1, ..Reconciled::default() }));
    }

    #[test]
    fn what_it_does_not_know_or_has_declined_is_voided_before_it_is_closed() {
        for outcome in [None, Some(GatewayVerdict::Declined)] {
            let (mut store, mut gateway) = (MockPointStore::new(), MockPaymentGateway::new());
            gateway.expect_outcome().once().returning(move |_| Ok(outcome));
            expect_giving_up(&mut store, &mut gateway);
            let done = reconciled(store, gateway, false);
            assert_eq!(done, Ok(Reconciled { declined: 1, ..Reconciled::default() }));
        }
    }

    #[test]
    fn what_was_given_up_is_voided_and_no_approval_is_asked_for() {
        let (mut store, mut gateway) = (MockPointStore::new(), MockPaymentGateway::new());
        expect_giving_up(&mut store, &mut gateway);
        let done = reconciled(store, gateway, true);
        assert_eq!(done, Ok(Reconciled { declined: 1, ..Reconciled::default() }));
    }

    #[test]
    fn a_charge_is_not_closed_before_the_gateway_has_let_it_go() {
        let (mut store, mut gateway) = (MockPointStore::new(), MockPaymentGateway::new());
        gateway.expect_outcome().once().returning(|_| Ok(None));
        store.expect_give_up_charge().once().returning(|_| Ok(true));
        gateway.expect_void().once().returning(|_| Err(Error::GatewayTimedOut));
        store.expect_settle_charge().never();
        let done = reconciled(store, gateway, false);
        assert_eq!(done, Ok(Reconciled { waiting: 1, ..Reconciled::default() }));
    }

    #[test]
    fn what_its_request_has_settled_meanwhile_is_not_voided() {
        let (mut store, mut gateway) = (MockPointStore::new(), MockPaymentGateway::new());
        gateway.expect_outcome().once().returning(|_| Ok(None));
        store.expect_give_up_charge().once().returning(|_| Ok(false));
        gateway.expect_void().never();
        store.expect_settle_charge().once().returning(|_, _| Ok(Applied::Replayed(charged())));
        let done = reconciled(store, gateway, false);
        assert_eq!(done, Ok(Reconciled { approved: 1, ..Reconciled::default() }));
    }
}
