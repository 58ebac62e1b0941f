//! Everything that a composition root supplies, and the use cases made from it.

use std::sync::Arc;
use std::time::Duration;

use crate::IdAllocator;
use crate::audit::AuditLog;
use crate::budget::Budgets;
use crate::cache::{Cache, Copies};
use crate::concert::{ConcertAdmin, ConcertReader, ConcertService, ConcertWriter, SeatChange};
use crate::event::{ConsumerStore, EventLog, Outbox};
use crate::health::Probe;
use crate::id::IdBlocks;
use crate::idempotency::IdempotencyStore;
use crate::lock::Lock;
use crate::payment::{PaymentService, PaymentStore};
use crate::point::{PaymentGateway, PointService, PointStore};
use crate::queue::{Policies, PolicyStore, QueueService, QueueStore, Rules, SealKeys, TokenSource};
use crate::reservation::{ReservationService, ReservationStore, Shield};
use crate::seed::{QueueSeeds, SeedStore};
use crate::user::{UserService, UserStore};

/// One implementation of every port. Swapping an adapter is changing a field.
#[derive(Clone)]
pub struct Ports {
    /// Counters for ids.
    pub ids: Arc<dyn IdBlocks>,
    /// Names of users.
    pub users: Arc<dyn UserStore>,
    /// Reads of the catalogue.
    pub concerts: Arc<dyn ConcertReader>,
    /// Upkeep of the catalogue.
    pub catalogue: Arc<dyn ConcertWriter>,
    /// What operators changed.
    pub audit: Arc<dyn AuditLog>,
    /// Holds.
    pub reservations: Arc<dyn ReservationStore>,
    /// Payments.
    pub payments: Arc<dyn PaymentStore>,
    /// Balances.
    pub points: Arc<dyn PointStore>,
    /// Answers under keys.
    pub answers: Arc<dyn IdempotencyStore>,
    /// Recorded events.
    pub outbox: Arc<dyn Outbox>,
    /// Places of consumers.
    pub consumers: Arc<dyn ConsumerStore>,
    /// Data that is there before anybody acts.
    pub seeds: Arc<dyn SeedStore>,
    /// Policies of queues.
    pub policies: Arc<dyn PolicyStore>,
    /// Queues.
    pub queue: Arc<dyn QueueStore>,
    /// Masses of waiting users.
    pub queue_seeds: Arc<dyn QueueSeeds>,
    /// Shields.
    pub lock: Arc<dyn Lock>,
    /// Copies.
    pub cache: Arc<dyn Cache>,
    /// Budgets of all instances together.
    pub budgets: Arc<dyn Budgets>,
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// Who takes real money.
    pub gateway: Arc<dyn PaymentGateway>,
    /// Where tokens come from.
    pub tokens: Arc<dyn TokenSource>,
    /// What they are sealed with.
    pub seal_keys: Arc<dyn SealKeys>,
    /// What is asked whether it answers.
    pub probes: Vec<Arc<dyn Probe>>,
}

/// What the use cases are told by configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The rules of every queue.
    pub queue: Rules,
    /// How long a seat is held.
    pub hold_ttl: Duration,
    /// How many seats of a concert a user may hold at once, 1 or more.
    pub holds_per_user: u32,
    /// From how long before the show refunds are refused.
    pub refund_cutoff: Duration,
    /// From which age on a charge counts as abandoned by its request.
    pub charge_grace: Duration,
}

/// The use cases of every slice.
#[derive(Clone)]
pub struct Services {
    /// The user slice.
    pub users: Arc<UserService>,
    /// The concert slice, for buyers.
    pub concerts: Arc<ConcertService>,
    /// The concert slice, for operators.
    pub admin: Arc<ConcertAdmin>,
    /// The queue slice.
    pub queue: Arc<QueueService>,
    /// The reservation slice.
    pub reservations: Arc<ReservationService>,
    /// The payment slice.
    pub payments: Arc<PaymentService>,
    /// The point slice.
    pub points: Arc<PointService>,
}

impl Services {
    /// Wires the use cases of every slice over the ports.
    pub fn new(ports: &Ports, settings: Settings) -> Self {
        let ids = Arc::new(IdAllocator::new(ports.ids.clone()));
        let copies = Arc::new(Copies::new(ports.cache.clone()));
        let changes = SeatChange::new(copies.clone());
        let concerts = Arc::new(ConcertService::new(ports.concerts.clone(), copies));
        let queue = Arc::new(QueueService::new(
            ports.queue.clone(),
            Policies::new(ports.policies.clone()),
            ports.tokens.clone(),
            ports.seal_keys.clone(),
            concerts.clone(),
            settings.queue,
        ));
        let shield = Shield::new(ports.lock.clone());
        let reservations = Arc::new(ReservationService {
            store: ports.reservations.clone(),
            queue: queue.clone(),
            concerts: concerts.clone(),
            changes: changes.clone(),
            shield: shield.clone(),
            answers: ports.answers.clone(),
            ids: ids.clone(),
            hold_ttl: settings.hold_ttl,
            holds_per_user: settings.holds_per_user,
        });
        let payments = Arc::new(PaymentService {
            store: ports.payments.clone(),
            reservations: ports.reservations.clone(),
            shield,
            queue: queue.clone(),
            changes: changes.clone(),
            answers: ports.answers.clone(),
            ids: ids.clone(),
            refund_cutoff: settings.refund_cutoff,
        });
        Self {
            users: Arc::new(UserService::new(ports.users.clone(), ids.clone())),
            admin: Arc::new(ConcertAdmin::new(ports.catalogue.clone(), changes, ids.clone())),
            points: Arc::new(PointService::new(
                ports.points.clone(),
                ports.gateway.clone(),
                ids,
                settings.charge_grace,
            )),
            concerts,
            queue,
            reservations,
            payments,
        }
    }
}
