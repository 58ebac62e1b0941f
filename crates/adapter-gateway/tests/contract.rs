//! Every law of gateways, tried on the sandbox and on a bridge over HTTP.
// Test code: a broken law is reported by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bridge;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bridge::{Bridge, SECRET};
use concert_adapter_gateway::{HttpGateway, Options, SandboxGateway};
use concert_domain::point::PaymentGateway;
use concert_domain::{TransactionId, Won};
use concert_testkit::GatewayHarness;

mod sandbox {
    use super::*;

    struct Sandbox(Arc<SandboxGateway>);

    #[async_trait]
    impl GatewayHarness for Sandbox {
        async fn start() -> Self {
            Self(Arc::default())
        }

        fn gateway(&self) -> Arc<dyn PaymentGateway> {
            self.0.clone()
        }

        fn taken(&self, intent: TransactionId) -> Won {
            self.0.taken(intent)
        }
    }

    concert_testkit::gateway_contract!(Sandbox);
}

mod http {
    use super::*;

    struct OverHttp {
        bridge: Bridge,
        gateway: Arc<HttpGateway>,
    }

    #[async_trait]
    impl GatewayHarness for OverHttp {
        async fn start() -> Self {
            let bridge = Bridge::start().await;
            let options = Options {
                url: bridge.url.clone(),
                secret: SECRET.as_bytes().to_vec(),
                // Half of it is more than the slow instrument takes, also on a busy machine.
                deadline: Duration::from_secs(8),
            };
            Self { bridge, gateway: Arc::new(HttpGateway::new(options).unwrap()) }
        }

        fn gateway(&self) -> Arc<dyn PaymentGateway> {
            self.gateway.clone()
        }

        fn taken(&self, intent: TransactionId) -> Won {
            self.bridge.taken(intent)
        }
    }

    concert_testkit::gateway_contract!(OverHttp);
}
