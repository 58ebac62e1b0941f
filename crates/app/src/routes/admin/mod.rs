//! Upkeep of the catalogue and its queues.

mod audit;
mod concert;
mod queue;
mod schedule;
mod seat;
mod seat_sheet;

use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn configure(cfg: &mut ServiceConfig<'_>) {
    concert::configure(cfg);
    schedule::configure(cfg);
    seat::configure(cfg);
    queue::configure(cfg);
    audit::configure(cfg);
}
