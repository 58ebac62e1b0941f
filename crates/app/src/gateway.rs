//! The payment gateway of this build: a sandbox that takes no real money.

use std::time::Duration;

use async_trait::async_trait;
use concert_domain::point::{ChargeIntent, GatewayVerdict, PaymentGateway};
use concert_domain::{Error, Result};

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
/// It keeps nothing: the answer is a function of the intent, so every repetition of a charge is
/// answered alike, by any instance and after a restart. Therefore it also approves, when asked
/// later, an intent that never arrived; a gateway with real money must not.
#[derive(Debug, Clone, Copy, Default)]
pub struct SandboxGateway;

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
                Ok(GatewayVerdict::Approved)
            }
            _ => Ok(GatewayVerdict::Approved),
        }
    }

    async fn outcome(&self, intent: &ChargeIntent) -> Result<GatewayVerdict> {
        match instrument(intent) {
            "sandbox:decline" | "sandbox:error" | "sandbox:timeout" => Ok(GatewayVerdict::Declined),
            _ => Ok(GatewayVerdict::Approved),
        }
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
            for _ in 0..2 {
                assert_eq!(SandboxGateway.charge(&intent(detail)).await, charge, "{detail:?}");
                assert_eq!(SandboxGateway.outcome(&intent(detail)).await, Ok(outcome));
            }
        }
    }
}
