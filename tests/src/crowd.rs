use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::shopper::Shopper;
use crate::{Client, Notes, Show};

/// The running instances of one service; requests go to them in turn.
pub struct Instances {
    clients: RwLock<Vec<Client>>,
    turn: AtomicUsize,
}

impl Instances {
    /// These instances.
    pub fn of(clients: impl IntoIterator<Item = Client>) -> Self {
        let clients = RwLock::new(clients.into_iter().collect());
        Self { clients, turn: AtomicUsize::new(0) }
    }

    /// The instance whose turn it is.
    pub fn next(&self) -> Client {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients[self.turn.fetch_add(1, Ordering::Relaxed) % clients.len()].clone()
    }

    /// Puts one that was started again in the place of the one that is gone.
    pub fn replace(&self, index: usize, client: Client) {
        self.clients.write().unwrap_or_else(PoisonError::into_inner)[index] = client;
    }
}

/// What the clients of a storm were told, all together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What was paid.
    pub paid: i64,
    /// What was given back.
    pub refunded: i64,
}

/// Many users who want seats of one show at the same time: some buy, some walk away at each of
/// the steps before, some want their money back. Whatever fails for a moment is tried again under
/// its key, so that afterwards each of them knows what became of it.
pub struct Crowd {
    /// Who serves them.
    pub instances: Instances,
    /// What they see.
    pub notes: Notes,
    pub(crate) show: Show,
    limit: u64,
    pub(crate) farthest: AtomicUsize,
    first_line_holds: bool,
    closing: AtomicBool,
    most_active: AtomicU64,
}

impl Crowd {
    /// A crowd in front of a show that admits so many at a time, each of whom comes once.
    pub fn new(instances: Instances, show: &Show, limit: u64) -> Self {
        Self {
            instances,
            notes: Notes::default(),
            show: show.clone(),
            limit,
            farthest: AtomicUsize::new(0),
            first_line_holds: true,
            closing: AtomicBool::new(true),
            most_active: AtomicU64::new(0),
        }
    }

    /// Places are expected to be lost, and their order with them.
    pub fn that_may_lose_its_places(mut self) -> Self {
        self.first_line_holds = false;
        self
    }

    /// Its users come back again and again, until [`Crowd::close`].
    pub fn that_comes_back(self) -> Self {
        self.closing.store(false, Ordering::SeqCst);
        self
    }

    /// Nobody begins anew from now on.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(crate) fn keeps_order(&self) -> bool {
        self.first_line_holds
    }

    /// The farthest place of the first line whose user is known to have been admitted.
    pub fn farthest_admitted(&self) -> usize {
        self.farthest.load(Ordering::SeqCst)
    }

    /// The most that were ever seen active.
    pub fn most_active(&self) -> u64 {
        self.most_active.load(Ordering::SeqCst)
    }

    /// Runs a storm of users 1 to `users` to its end. Everybody lines up while the doors are
    /// closed, so that the order is known.
    pub async fn storm(&self, users: i64) -> Told {
        self.policy(json!({ "mode": "HOLD", "activeLimit": self.limit })).await;
        let mut line = Vec::new();
        for (place, user) in (1..=users).enumerate() {
            let mut shopper = Shopper::new(self, place, user);
            shopper.join().await;
            line.push(shopper);
        }
        self.policy(json!({ "mode": "OPEN" })).await;
        self.run(line).await
    }

    /// The same with doors that were never closed.
    pub async fn rush(&self, users: i64) -> Told {
        let users = (1..=users).enumerate();
        self.run(users.map(|(place, user)| Shopper::new(self, place, user)).collect()).await
    }

    async fn run(&self, line: Vec<Shopper<'_>>) -> Told {
        let told = Mutex::new(Told::default());
        let everybody = join_all(line.into_iter().map(async |shopper| {
            let own = shopper.come_and_go().await;
            let mut all = told.lock().expect("nobody panics in here");
            all.paid += own.paid;
            all.refunded += own.refunded;
        }));
        tokio::select! {
            _ = everybody => {}
            () = self.watch() => {}
        }
        told.into_inner().expect("nobody panics in here")
    }

    /// Looks at the number of active tokens again and again.
    async fn watch(&self) {
        loop {
            let path = format!("/admin/concerts/{}/queue", self.show.concert);
            let call = self.instances.next().get(path);
            if let Some(active) = self.notes.send("overview", call).await.and_then(active) {
                assert!(active <= self.limit, "{active} tokens are active");
                self.most_active.fetch_max(active, Ordering::SeqCst);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn policy(&self, patch: Value) {
        self.instances.next().policy(self.show.concert, patch).await;
    }

    /// Waits until nobody waits and nobody is active.
    pub async fn until_gone(&self) {
        let begun = Instant::now();
        loop {
            let queue = self.instances.next().queue(self.show.concert).await;
            if queue["active"] == 0 && queue["waiting"] == 0 {
                return;
            }
            assert!(begun.elapsed() < 2 * crate::DEADLINE, "tokens are left over: {queue}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn active(overview: crate::Answer) -> Option<u64> {
    (overview.status == 200).then(|| overview.body["active"].as_u64().expect("a count"))
}
