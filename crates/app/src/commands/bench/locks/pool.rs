//! Connections for the strategies that are compared with ours, as many as ours may have.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use concert_adapter_mysql::lab::{Done, Lab, Session};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) struct Pool {
    lab: Arc<Lab>,
    idle: Mutex<Vec<Session>>,
    slots: Arc<Semaphore>,
    most: usize,
    /// The most connections that were in use at a time.
    peak: AtomicUsize,
    waits: Mutex<Vec<Duration>>,
}

impl Pool {
    pub(super) fn new(lab: Arc<Lab>, most: usize) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(most));
        Arc::new(Self {
            lab,
            idle: Mutex::default(),
            slots,
            most,
            peak: AtomicUsize::new(0),
            waits: Mutex::default(),
        })
    }

    /// Opens every connection, so that no round pays for it.
    pub(super) async fn fill(self: &Arc<Self>) -> Result<()> {
        let mut all = Vec::new();
        for _ in 0..self.most {
            all.push(self.get().await?);
        }
        all.into_iter().for_each(Borrowed::give_back);
        self.reset();
        Ok(())
    }

    pub(super) fn reset(&self) {
        self.peak.store(0, Ordering::Relaxed);
        locked(&self.waits).clear();
    }

    /// The most connections in use at a time, and the longest wait for one, since the reset.
    pub(super) fn used(&self) -> (usize, Duration) {
        let longest = locked(&self.waits).iter().max().copied().unwrap_or_default();
        (self.peak.load(Ordering::Relaxed), longest)
    }

    pub(super) async fn get(self: &Arc<Self>) -> Result<Borrowed> {
        let asked = Instant::now();
        let slot = self.slots.clone().acquire_owned().await.context("the pool is closed")?;
        locked(&self.waits).push(asked.elapsed());
        self.peak.fetch_max(self.most - self.slots.available_permits(), Ordering::Relaxed);
        let idle = locked(&self.idle).pop();
        let session = match idle {
            Some(session) => session,
            None => self.lab.connect().await?,
        };
        Ok(Borrowed { session: Some(session), pool: self.clone(), _slot: slot })
    }
}

/// A connection that is closed unless it is given back: it may stand in a transaction.
pub(super) struct Borrowed {
    session: Option<Session>,
    pool: Arc<Pool>,
    _slot: OwnedSemaphorePermit,
}

impl Borrowed {
    /// Says that every statement ran to its end and no transaction is open.
    pub(super) fn give_back(mut self) {
        if let Some(session) = self.session.take() {
            locked(&self.pool.idle).push(session);
        }
    }

    fn session(&mut self) -> Result<&mut Session> {
        self.session.as_mut().context("a connection that was given back")
    }

    pub(super) async fn batch(&mut self, text: &str) -> Result<()> {
        Ok(self.session()?.batch(text).await?)
    }

    pub(super) async fn run(&mut self, text: &'static str, binds: &[i64]) -> Result<Done> {
        Ok(self.session()?.run(text, binds).await?)
    }

    pub(super) async fn number(
        &mut self,
        text: &'static str,
        binds: &[i64],
    ) -> Result<Option<i64>> {
        Ok(self.session()?.number(text, binds).await?)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
