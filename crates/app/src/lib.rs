//! The concert reservation service: configuration, composition root, routes, workers.
//!
//! Thin on purpose. What the service does is decided in `concert-domain`; how it is stored, in
//! the adapters. Only [`composition`] names adapters, only [`error`] picks HTTP statuses, only
//! [`config`] reads the environment.

pub mod application;
pub mod auth;
pub mod cli;
pub mod commands;
pub mod composition;
pub mod config;
pub mod demo;
pub mod error;
pub mod extract;
pub mod metered;
pub mod middleware;
pub mod openapi;
pub mod request_id;
pub mod routes;
pub mod state;
pub mod telemetry;
pub mod topics;
pub mod waits;
pub mod warm;
pub mod workers;

pub use application::{Application, Lobby};
pub use config::Config;
pub use state::AppState;
