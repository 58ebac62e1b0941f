//! A process that dies after so many steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::Origin;
use concert_domain::point::{
    ChargeIntent, Charged, GatewayVerdict, LedgerLine, OpenCharge, Opened, PaymentGateway,
    PointStore,
};
use concert_domain::{
    Applied, Error, IdempotencyClaim, Page, PageRequest, Ports, Result, TransactionId, UserId, Won,
};

/// Counts steps down; when none is left, no call of a port is made or answered any more.
#[derive(Debug)]
pub(super) struct Fuse {
    allowed: u32,
    done: AtomicU32,
}

impl Fuse {
    pub fn new(allowed: u32) -> Arc<Self> {
        Arc::new(Self { allowed, done: AtomicU32::new(0) })
    }

    /// Whether the process died.
    pub fn is_burnt(&self) -> bool {
        self.done.load(Ordering::SeqCst) > self.allowed
    }

    /// The same ports, of the process that dies.
    pub fn over(self: Arc<Self>, mut ports: Ports) -> Ports {
        ports.points = Arc::new(Dying { inner: ports.points, fuse: self.clone() });
        ports.gateway = Arc::new(Dying { inner: ports.gateway, fuse: self });
        ports
    }

    fn step(&self) -> Result<()> {
        let done = self.done.fetch_add(1, Ordering::SeqCst);
        if done < self.allowed { Ok(()) } else { Err(Error::unavailable("a dead process")) }
    }
}

/// A port of which a call may not be made, or be made and its answer lost.
struct Dying<P: ?Sized> {
    inner: Arc<P>,
    fuse: Arc<Fuse>,
}

impl<P: ?Sized> Dying<P> {
    async fn through<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.fuse.step()?;
        let answer = call.await;
        self.fuse.step()?;
        answer
    }
}

#[async_trait]
impl PointStore for Dying<dyn PointStore> {
    async fn balance(&self, user: UserId) -> Result<Won> {
        self.through(self.inner.balance(user)).await
    }

    async fn history(&self, user: UserId, page: PageRequest) -> Result<Page<LedgerLine>> {
        self.through(self.inner.history(user, page)).await
    }

    async fn open_charge(
        &self,
        intent: ChargeIntent,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Opened> {
        self.through(self.inner.open_charge(intent, claim)).await
    }

    async fn settle_charge(
        &self,
        intent: TransactionId,
        verdict: GatewayVerdict,
    ) -> Result<Applied<Charged>> {
        self.through(self.inner.settle_charge(intent, verdict)).await
    }

    async fn give_up_charge(&self, intent: TransactionId) -> Result<bool> {
        self.through(self.inner.give_up_charge(intent)).await
    }

    async fn take_unsettled(&self, age: Duration, limit: u32) -> Result<Vec<OpenCharge>> {
        self.through(self.inner.take_unsettled(age, limit)).await
    }
}

#[async_trait]
impl PaymentGateway for Dying<dyn PaymentGateway> {
    async fn charge(&self, intent: &ChargeIntent, origin: &Origin) -> Result<GatewayVerdict> {
        self.through(self.inner.charge(intent, origin)).await
    }

    async fn outcome(&self, intent: &ChargeIntent) -> Result<Option<GatewayVerdict>> {
        self.through(self.inner.outcome(intent)).await
    }

    async fn void(&self, intent: &ChargeIntent) -> Result<()> {
        self.through(self.inner.void(intent)).await
    }
}
