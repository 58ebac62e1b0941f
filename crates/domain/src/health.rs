//! Can the service serve?

use async_trait::async_trait;

use crate::Result;

/// Port: one dependency, asked whether it answers.
///
/// * `check` MUST end within a second or two, with an error if the dependency does not answer.
#[async_trait]
pub trait Probe: Send + Sync {
    /// The dependency's name, as an operator knows it.
    fn name(&self) -> &'static str;

    /// Whether the service cannot serve without it.
    fn required(&self) -> bool {
        true
    }

    /// Does it answer?
    async fn check(&self) -> Result<()>;
}
