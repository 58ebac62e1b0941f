//! A gateway and a source of tokens for tests.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use concert_domain::event::Origin;
use concert_domain::point::{ChargeIntent, GatewayVerdict, PaymentGateway};
use concert_domain::queue::{QueueToken, TokenSource};
use concert_domain::{Error, Result, TransactionId, UserId};

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
    /// Takes no money, and the answer is lost.
    DeclineAndLoseTheAnswer,
    /// Hears nothing, unless it [arrives late](ScriptedGateway::arrive_late).
    NeverArrives,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Approved,
    Declined,
    Voided,
}

impl Fate {
    fn verdict(self) -> GatewayVerdict {
        match self {
            Self::Approved => GatewayVerdict::Approved,
            Self::Declined | Self::Voided => GatewayVerdict::Declined,
        }
    }
}

#[derive(Debug, Default)]
struct Known {
    fates: HashMap<TransactionId, (Fate, ChargeIntent)>,
    on_their_way: Vec<ChargeIntent>,
}

impl Known {
    fn decide(&mut self, intent: &ChargeIntent, fate: Fate) -> Fate {
        self.fates.entry(intent.id).or_insert((fate, intent.clone())).0
    }
}

/// Follows a script, then approves everything. Like a real one it treats intents of one id as one.
#[derive(Debug, Default)]
pub struct ScriptedGateway {
    script: Mutex<VecDeque<Script>>,
    known: Mutex<Known>,
}

impl ScriptedGateway {
    /// A gateway that first does these things, in order.
    pub fn new(script: impl IntoIterator<Item = Script>) -> Self {
        Self { script: Mutex::new(script.into_iter().collect()), known: Mutex::default() }
    }

    /// How many intents the gateway took money for.
    pub fn approved(&self) -> usize {
        let known = self.known.lock().unwrap();
        known.fates.values().filter(|(fate, _)| *fate == Fate::Approved).count()
    }

    /// How much of a user's money it has.
    pub fn money_of(&self, user: UserId) -> i64 {
        let known = self.known.lock().unwrap();
        let paid = known.fates.values().filter(|(fate, _)| *fate == Fate::Approved);
        paid.filter(|(_, intent)| intent.user_id == user).map(|(_, i)| i.amount.get()).sum()
    }

    /// What was on its way for long arrives now; nobody waits for the answers any more.
    pub fn arrive_late(&self) {
        let mut known = self.known.lock().unwrap();
        for intent in std::mem::take(&mut known.on_their_way) {
            known.decide(&intent, Fate::Approved);
        }
    }
}

#[async_trait]
impl PaymentGateway for ScriptedGateway {
    async fn charge(&self, intent: &ChargeIntent, _: &Origin) -> Result<GatewayVerdict> {
        let mut known = self.known.lock().unwrap();
        if let Some((fate, _)) = known.fates.get(&intent.id) {
            return Ok(fate.verdict());
        }
        let next = self.script.lock().unwrap().pop_front().unwrap_or(Script::Approve);
        let (fate, answered) = match next {
            Script::Approve => (Fate::Approved, true),
            Script::Decline => (Fate::Declined, true),
            Script::ApproveAndLoseTheAnswer => (Fate::Approved, false),
            Script::DeclineAndLoseTheAnswer => (Fate::Declined, false),
            Script::NeverArrives => {
                known.on_their_way.push(intent.clone());
                return Err(Error::GatewayTimedOut);
            }
        };
        known.decide(intent, fate);
        if answered { Ok(fate.verdict()) } else { Err(Error::GatewayTimedOut) }
    }

    async fn outcome(&self, intent: &ChargeIntent) -> Result<Option<GatewayVerdict>> {
        let known = self.known.lock().unwrap();
        Ok(known.fates.get(&intent.id).map(|(fate, _)| fate.verdict()))
    }

    async fn void(&self, intent: &ChargeIntent) -> Result<()> {
        let mut known = self.known.lock().unwrap();
        if known.decide(intent, Fate::Voided) == Fate::Approved {
            known.fates.insert(intent.id, (Fate::Voided, intent.clone()));
        }
        Ok(())
    }
}
