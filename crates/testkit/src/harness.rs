//! What an adapter supplies so that the laws can be tried on it.

use std::time::Duration;

use async_trait::async_trait;
use concert_domain::Ports;

/// One engine under test.
#[async_trait]
pub trait Harness: Send + Sync + Sized + 'static {
    /// How many random histories each property tries.
    const CASES: u32 = 32;

    /// A fresh, empty engine of its own.
    async fn start() -> Self;

    /// The engine's ports.
    fn ports(&self) -> Ports;

    /// Whether [`Harness::pass`] costs no real time, so that a law may let a day pass.
    fn can_jump(&self) -> bool;

    /// Makes the store's time pass: an engine with a clock of its own moves it, a server engine
    /// waits until the server's clock has moved on.
    async fn pass(&self, time: Duration);

    /// Closes the engine and opens it again over the same data; a durable engine keeps everything.
    async fn restart(&mut self);
}
