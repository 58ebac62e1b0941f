use std::ops::Deref;
use std::time::Duration;

use concert_app::config::Limits;
use concert_app::{Application, Config};
use concert_domain::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{Client, Engines};

/// A configuration for tests: a free port, workers that look often.
pub fn quick() -> Config {
    let often = Duration::from_millis(100);
    Config {
        http_addr: "127.0.0.1:0".parse().expect("an address"),
        http_workers: Some(1),
        queue_tick: often,
        sweep_interval: often,
        relay_interval: often,
        consume_interval: often,
        reconcile_interval: often,
        shutdown_grace: 10 * often,
        // All clients of a test share one address.
        limits: Limits { rate_limit: false, ..Limits::default() },
        ..Config::default()
    }
}

/// A running service of its own: a free port, a fresh engine, stopped when dropped.
///
/// It runs on threads of its own, as a service does, so that a test never keeps it from running.
pub struct TestApp {
    client: Client,
    engines: Engines,
    /// Dropping it is the signal to stop.
    _stop: oneshot::Sender<()>,
}

impl TestApp {
    /// Starts on the given engines.
    pub async fn start(engines: Engines) -> Self {
        Self::with(engines, quick()).await
    }

    /// Starts on the given engines, configured.
    pub async fn with(engines: Engines, config: Config) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (started, address) = oneshot::channel();
        let own = engines.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("a runtime");
            // What the data lies in goes when the service has stopped, not before.
            runtime.block_on(async {
                let app = Application::build(config, own.ports.clone())
                    .await
                    .expect("the service starts");
                started.send(app.addr()).ok();
                let stopped = async { drop(stopped.await) };
                app.run_until_stopped(stopped).await.expect("the service stops in order");
            });
        });
        let address = address.await.expect("the service told its address");
        Self { client: Client::of(format!("http://{address}")), engines, _stop: stop }
    }

    /// Makes the store's time pass.
    pub async fn pass(&self, time: Duration) {
        self.engines.pass(time).await;
    }

    /// The store's time.
    pub fn now(&self) -> Timestamp {
        self.engines.now()
    }

    /// Checks that an instant in an answer is the present one.
    #[track_caller]
    pub fn assert_now(&self, value: &Value) {
        self.assert_from_now(Duration::ZERO, value);
    }

    /// Checks that an instant in an answer lies so far ahead of the present one.
    #[track_caller]
    pub fn assert_from_now(&self, ahead: Duration, value: &Value) {
        let latest = self.now().plus(ahead);
        let earliest = latest.as_millis() - self.engines.drift().as_millis() as i64;
        let instant: Timestamp = value.as_str().and_then(|t| t.parse().ok()).expect("an instant");
        let found = instant.as_millis();
        assert!((earliest..=latest.as_millis()).contains(&found), "{instant}, not {latest}");
    }
}

impl Deref for TestApp {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
