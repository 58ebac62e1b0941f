use std::sync::Arc;
use std::time::Duration;

use super::{
    ChargeIntent, Charged, LedgerLine, MAX_BALANCE, MIN_CHARGE, Opened, PaymentDetail,
    PaymentGateway, PaymentMethod, PointStore,
};
use crate::{
    Applied, Error, IdAllocator, IdKind, IdempotencyClaim, Page, PageRequest, Result, UserId, Won,
};

/// An intent that is older has no request working on it: longer than any gateway deadline.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);
/// How many abandoned intents one pass settles.
const RECONCILE_BATCH: u32 = 50;

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
}

/// Use cases of the point slice.
pub struct PointService {
    store: Arc<dyn PointStore>,
    gateway: Arc<dyn PaymentGateway>,
    ids: Arc<IdAllocator>,
}

impl PointService {
    /// Over a store, a gateway and the ids.
    pub fn new(
        store: Arc<dyn PointStore>,
        gateway: Arc<dyn PaymentGateway>,
        ids: Arc<IdAllocator>,
    ) -> Self {
        Self { store, gateway, ids }
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
        let verdict = self.gateway.charge(&intent).await?;
        self.store.settle_charge(intent.id, verdict).await
    }

    /// Settles charges whose request died between the gateway and the store, by asking the
    /// gateway; answers how many are settled. What the gateway cannot tell yet waits.
    pub async fn reconcile(&self) -> Result<u32> {
        let mut settled = 0;
        for intent in self.store.unsettled(ABANDONED_AFTER, RECONCILE_BATCH).await? {
            let Ok(verdict) = self.gateway.outcome(&intent).await else { continue };
            match self.store.settle_charge(intent.id, verdict).await {
                Ok(_) | Err(Error::PaymentDeclined) => settled += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::super::{GatewayVerdict, MockPaymentGateway, MockPointStore};
    use super::*;
    use crate::id::MockIdBlocks;
    use crate::{IdBlock, Timestamp};

    fn service(store: MockPointStore, gateway: MockPaymentGateway) -> PointService {
        let mut blocks = MockIdBlocks::new();
        blocks.expect_take().returning(|_, count| Ok(IdBlock { first: 1, count }));
        let ids = Arc::new(IdAllocator::new(Arc::new(blocks)));
        PointService::new(Arc::new(store), Arc::new(gateway), ids)
    }

    fn request(amount: u32) -> ChargeRequest {
        ChargeRequest {
            user: UserId::try_from(1).unwrap(),
            amount: Won::of(amount),
            method: PaymentMethod::Card,
            detail: None,
            claim: None,
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
        gateway.expect_charge().returning(|_| Err(Error::GatewayTimedOut));
        let result = block_on(service(store, gateway).charge(request(500)));
        assert_eq!(result, Err(Error::GatewayTimedOut));
    }

    #[test]
    fn the_reconciler_asks_and_never_charges() {
        let mut store = MockPointStore::new();
        store.expect_unsettled().returning(|_, _| Ok(vec![intent(), intent(), intent()]));
        store.expect_settle_charge().times(2).returning(|_, verdict| match verdict {
            GatewayVerdict::Approved => Ok(Applied::Fresh(charged())),
            GatewayVerdict::Declined => Err(Error::PaymentDeclined),
        });
        let mut gateway = MockPaymentGateway::new();
        gateway.expect_charge().never();
        let mut answers = vec![
            Err(Error::GatewayTimedOut),
            Ok(GatewayVerdict::Declined),
            Ok(GatewayVerdict::Approved),
        ];
        gateway.expect_outcome().times(3).returning(move |_| answers.pop().unwrap());
        assert_eq!(block_on(service(store, gateway).reconcile()), Ok(2));
    }
}
