use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::event::Origin;
use concert_domain::point::{ChargeIntent, GatewayVerdict, PaymentGateway};
use concert_domain::{Error, Result, TransactionId, Won};

/// How long an answer that never comes is waited for.
const TIMEOUT: Duration = Duration::from_millis(300);
/// How long `sandbox:slow` takes to approve.
const SLOW: Duration = Duration::from_secs(1);
/// So many decisions are remembered; older ones were settled long ago.
const MOST_REMEMBERED: usize = 100_000;

/// Approves every charge, except for these means of payment (`paymentDetail`), which let a client
/// see what its users will see when real money is involved:
///
/// | `paymentDetail` | the charge | what the gateway says later |
/// |---|---|---|
/// | `sandbox:approve`, anything else, or none | is approved | approved |
/// | `sandbox:decline` | is declined | declined |
/// | `sandbox:slow` | is approved after one second | approved |
/// | `sandbox:duplicate` | is delivered twice, and approved once | approved |
/// | `sandbox:lost` | is approved, and the answer is lost | approved |
/// | `sandbox:timeout` | gets lost, and no answer comes | never heard of |
/// | `sandbox:error` | fails, outcome unknown | never heard of |
///
/// It remembers in memory what it decided. After a restart, and in another instance, every charge
/// was never heard of, and an open one is given up. No money is lost by that: none was taken.
#[derive(Debug, Default)]
pub struct SandboxGateway {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    decided: HashMap<TransactionId, Decision>,
    order: VecDeque<TransactionId>,
}

#[derive(Debug, Clone, Copy)]
struct Decision {
    /// What is taken and was not given back.
    taken: Won,
    verdict: GatewayVerdict,
}

impl Books {
    /// The first decision about an intent stays.
    fn decide(&mut self, intent: &ChargeIntent, verdict: GatewayVerdict) -> GatewayVerdict {
        if let Some(before) = self.decided.get(&intent.id) {
            return before.verdict;
        }
        if self.order.len() >= MOST_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.decided.remove(&oldest);
        }
        let taken = match verdict {
            GatewayVerdict::Approved => intent.amount,
            GatewayVerdict::Declined => Won::ZERO,
        };
        self.decided.insert(intent.id, Decision { taken, verdict });
        self.order.push_back(intent.id);
        verdict
    }
}

impl SandboxGateway {
    /// How much it would have taken for an intent and not given back.
    pub fn taken(&self, intent: TransactionId) -> Won {
        self.books().decided.get(&intent).map_or(Won::ZERO, |decision| decision.taken)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, intent: &ChargeIntent, verdict: GatewayVerdict) -> Result<GatewayVerdict> {
        Ok(self.books().decide(intent, verdict))
    }
}

#[async_trait]
impl PaymentGateway for SandboxGateway {
    async fn charge(&self, intent: &ChargeIntent, _: &Origin) -> Result<GatewayVerdict> {
        use GatewayVerdict::{Approved, Declined};
        let known = self.books().decided.get(&intent.id).map(|decision| decision.verdict);
        if let Some(verdict) = known {
            return Ok(verdict);
        }
        match instrument(intent) {
            "sandbox:decline" => self.decide(intent, Declined),
            "sandbox:error" => Err(Error::GatewayFailed),
            "sandbox:timeout" => {
                tokio::time::sleep(TIMEOUT).await;
                Err(Error::GatewayTimedOut)
            }
            "sandbox:lost" => {
                self.decide(intent, Approved)?;
                tokio::time::sleep(TIMEOUT).await;
                Err(Error::GatewayTimedOut)
            }
            "sandbox:slow" => {
                tokio::time::sleep(SLOW).await;
                self.decide(intent, Approved)
            }
            "sandbox:duplicate" => {
                self.decide(intent, Approved)?;
                self.decide(intent, Approved)
            }
            _ => self.decide(intent, Approved),
        }
    }

    async fn outcome(&self, intent: &ChargeIntent) -> Result<Option<GatewayVerdict>> {
        Ok(self.books().decided.get(&intent.id).map(|decision| decision.verdict))
    }

    async fn void(&self, intent: &ChargeIntent) -> Result<()> {
        let mut books = self.books();
        books.decide(intent, GatewayVerdict::Declined);
        let voided = Decision { taken: Won::ZERO, verdict: GatewayVerdict::Declined };
        books.decided.insert(intent.id, voided);
        Ok(())
    }
}

fn instrument(intent: &ChargeIntent) -> &str {
    intent.detail.as_ref().map_or("", |detail| detail.as_str())
}
