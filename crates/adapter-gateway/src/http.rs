use async_trait::async_trait;
use concert_domain::event::Origin;
use concert_domain::point::{ChargeIntent, GatewayVerdict, PaymentGateway};
use concert_domain::{Error, Result};
use reqwest::Method;

use crate::exchange::{Call, Exchange, NotAGateway, Options};
use crate::wire::{ChargeBody, Status};

/// A payment provider behind a bridge that speaks the protocol of `docs/GATEWAY.md`.
///
/// Every call is idempotent by the intent's key, so each is tried again, until its deadline, if the
/// bridge cannot be reached, is overloaded, or does not answer.
#[derive(Debug)]
pub struct HttpGateway {
    exchange: Exchange,
}

impl HttpGateway {
    /// For the bridge that the options name. Nothing is sent yet.
    pub fn new(options: Options) -> Result<Self, NotAGateway> {
        Ok(Self { exchange: Exchange::new(options)? })
    }

    async fn ask(&self, intent: &ChargeIntent, call: Call<'_>) -> Result<Status> {
        let answer = self.exchange.make(&call).await?;
        if answer.is_about(intent, call.key) {
            return Ok(answer.status);
        }
        tracing::error!(
            charge = call.key,
            call = call.name,
            "the gateway answers about another charge"
        );
        Err(Error::GatewayFailed)
    }
}

#[async_trait]
impl PaymentGateway for HttpGateway {
    async fn charge(&self, intent: &ChargeIntent, origin: &Origin) -> Result<GatewayVerdict> {
        let key = intent.id.to_string();
        let body = serde_json::to_vec(&ChargeBody::of(intent, &key));
        let body = body.map_err(|error| Error::bug(error.to_string()))?;
        let call = Call {
            name: "charge",
            method: Method::POST,
            path: "charges".to_owned(),
            key: &key,
            body,
            headers: origin.headers(),
        };
        match self.ask(intent, call).await? {
            Status::Approved => Ok(GatewayVerdict::Approved),
            Status::Declined | Status::Voided => Ok(GatewayVerdict::Declined),
            Status::Pending => Err(Error::GatewayTimedOut),
            Status::Unknown => Err(Error::GatewayFailed),
        }
    }

    async fn outcome(&self, intent: &ChargeIntent) -> Result<Option<GatewayVerdict>> {
        let key = intent.id.to_string();
        let path = format!("charges/{key}");
        match self.ask(intent, Call::of("outcome", Method::GET, path, &key)).await? {
            Status::Approved => Ok(Some(GatewayVerdict::Approved)),
            Status::Declined | Status::Voided => Ok(Some(GatewayVerdict::Declined)),
            Status::Pending | Status::Unknown => Ok(None),
        }
    }

    async fn void(&self, intent: &ChargeIntent) -> Result<()> {
        let key = intent.id.to_string();
        let path = format!("charges/{key}/void");
        match self.ask(intent, Call::of("void", Method::POST, path, &key)).await? {
            Status::Voided | Status::Declined => Ok(()),
            Status::Pending => Err(Error::GatewayTimedOut),
            Status::Approved | Status::Unknown => Err(Error::GatewayFailed),
        }
    }
}
