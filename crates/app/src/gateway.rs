//! The payment gateway of this build: a sandbox that takes no real money.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use concert_domain::point::{ChargeIntent, GatewayVerdict, PaymentGateway};
use concert_domain::{Error, Result, TransactionId};

/// How long `sandbox:timeout` lets a caller wait.
const TIMEOUT: Duration = Duration::from_millis(300);
/// How long `sandbox:slow` takes to approve.
const SLOW: Duration = Duration::from_secs(1);

/// Approves every charge, except for these means of payment (`paymentDetail`), which let a client
/// see what its users will see when real money is involved:
///
/// | `paymentDetail` | the charge | asked later |
/// |---|---|---|
/// | `sandbox:decline` | is declined | declined |
/// | `sandbox:error` | fails, outcome unknown | declined |
/// | `sandbox:timeout` | gets no answer for 300 ms, outcome unknown | declined |
/// | `sandbox:slow` | is approved after one second | approved |
/// | anything else, or none | is approved at once | approved |
///
/// It remembers in memory what it approved: an intent that never arrived is declined when asked
/// later, and after a restart all are. No money is lost by that, since none was taken.
#[derive(Debug, Default)]
pub struct SandboxGateway {
    approved: Mutex<HashSet<TransactionId>>,
}

/// When so many approvals are remembered, all are forgotten; they were settled long ago.
const MOST_REMEMBERED: usize = 100_000;

impl SandboxGateway {
    fn approve(&self, intent: &ChargeIntent) -> GatewayVerdict {
        let mut approved = self.approved.lock().unwrap_or_else(PoisonError::into_inner);
        if approved.len() >= MOST_REMEMBERED {
            approved.clear();
        }
        approved.insert(intent.id);
        GatewayVerdict::Approved
    }
}

#[async_trait]
impl PaymentGateway for SandboxGateway {
    async fn charge(&self, intent: &ChargeIntent) -> Result<GatewayVerdict> {
        match instrument(intent) {
            "sandbox:decline" => Ok(GatewayVerdict::Declined),
            "sandbox:error" => Err(Error::GatewayFailed),
            "sandbox:timeout" => {
                tokio::time::sleep(TIMEOUT).await;
                Err(Error::GatewayTimedOut)
            }
            "sandbox:slow" => {
                tokio::time::sleep(SLOW).await;
                Ok(self.approve(intent))
            }
            _ => Ok(self.approve(intent)),
        }
    }

    async fn outcome(&self, intent: &ChargeIntent) -> Result<GatewayVerdict> {
        let approved = self.approved.lock().unwrap_or_else(PoisonError::into_inner);
        let arrived = approved.contains(&intent.id);
        Ok(if arrived { GatewayVerdict::Approved } else { GatewayVerdict::Declined })
    }
}

fn instrument(intent: &ChargeIntent) -> &str {
    intent.detail.as_ref().map_or("", |detail| detail.as_str())
}

#[cfg(test)]
mod tests {
    use concert_domain::Won;
    use concert_domain::point::{PaymentDetail, PaymentMethod};

    use super::*;

    fn intent(detail: Option<&str>) -> ChargeIntent {
        ChargeIntent {
            id: 1.try_into().unwrap(),
            user_id: 1.try_into().unwrap(),
            amount: Won::of(1_000),
            method: PaymentMethod::Card,
            detail: detail.map(|text| PaymentDetail::try_from(text.to_owned()).unwrap()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_instrument_answers_as_documented_and_alike_each_time() {
        use GatewayVerdict::{Approved, Declined};
        for (detail, charge, outcome) in [
            (None, Ok(Approved), Approved),
            (Some("tok_visa"), Ok(Approved), Approved),
            (Some("sandbox:slow"), Ok(Approved), Approved),
            (Some("sandbox:decline"), Ok(Declined), Declined),
            (Some("sandbox:error"), Err(Error::GatewayFailed), Declined),
            (Some("sandbox:timeout"), Err(Error::GatewayTimedOut), Declined),
        ] {
            let gateway = SandboxGateway::default();
            assert_eq!(gateway.outcome(&intent(detail)).await, Ok(Declined), "never arrived");
            for _ in 0..2 {
                assert_eq!(gateway.charge(&intent(detail)).await, charge, "{detail:?}");
                assert_eq!(gateway.outcome(&intent(detail)).await, Ok(outcome), "{detail:?}");
            }
        }
    }
}
