//! A gateway and a source of tokens for tests.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use concert_domain::point::{ChargeIntent, GatewayVerdict, PaymentGateway};
use concert_domain::queue::{QueueToken, TokenSource};
use concert_domain::{Error, Result, TransactionId};

/// Counts tokens up: no two are equal, and a run can be repeated.
#[derive(Debug, Default)]
pub struct SequentialTokens(AtomicU64);

impl TokenSource for SequentialTokens {
    fn fresh(&self) -> QueueToken {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        QueueToken::from_bytes(bytes)
    }
}

/// What the gateway does with the next new intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Takes the money.
    Approve,
    /// Takes no money.
    Decline,
    /// Takes the money, and the answer is lost.
    ApproveAndLoseTheAnswer,
    /// Hears nothing.
    NeverArrives,
}

/// Follows a script, then approves everything. Like a real one it treats intents of one id as one.
#[derive(Debug, Default)]
pub struct ScriptedGateway {
    script: Mutex<VecDeque<Script>>,
    known: Mutex<HashMap<TransactionId, GatewayVerdict>>,
}

impl ScriptedGateway {
    /// A gateway that first does these things, in order.
    pub fn new(script: impl IntoIterator<Item = Script>) -> Self {
        Self { script: Mutex::new(script.into_iter().collect()), known: Mutex::default() }
    }

    /// How many intents the gateway took money for.
    pub fn approved(&self) -> usize {
        let known = self.known.lock().unwrap();
        known.values().filter(|verdict| **verdict == GatewayVerdict::Approved).count()
    }
}

#[async_trait]
impl PaymentGateway for ScriptedGateway {
    async fn charge(&self, intent: &ChargeIntent) -> Result<GatewayVerdict> {
        let mut known = self.known.lock().unwrap();
        if let Some(verdict) = known.get(&intent.id) {
            return Ok(*verdict);
        }
        let next = self.script.lock().unwrap().pop_front().unwrap_or(Script::Approve);
        let (verdict, answered) = match next {
            Script::Approve => (GatewayVerdict::Approved, true),
            Script::Decline => (GatewayVerdict::Declined, true),
            Script::ApproveAndLoseTheAnswer => (GatewayVerdict::Approved, false),
            Script::NeverArrives => return Err(Error::GatewayTimedOut),
        };
        known.insert(intent.id, verdict);
        if answered { Ok(verdict) } else { Err(Error::GatewayTimedOut) }
    }

    async fn outcome(&self, intent: &ChargeIntent) -> Result<GatewayVerdict> {
        let mut known = self.known.lock().unwrap();
        Ok(*known.entry(intent.id).or_insert(GatewayVerdict::Declined))
    }
}
