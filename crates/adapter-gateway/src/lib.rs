//! Who takes real money.
//!
//! [`HttpGateway`] speaks the protocol of `docs/GATEWAY.md` with a bridge to a payment provider.
//! [`SandboxGateway`] takes no money and lives in this process. Both keep the laws of the port.

mod exchange;
mod http;
mod sandbox;
pub mod signature;
mod wire;

pub use exchange::{NotAGateway, Options};
pub use http::HttpGateway;
pub use sandbox::SandboxGateway;
