//! Upkeep of the catalogue and its queues.

mod audit;
mod concert;
mod queue;
mod schedule;
mod seat;
mod seat_sheet;

use crate::routes::Routes;

pub(super) fn configure(cfg: &mut impl Routes) {
    concert::configure(cfg);
    schedule::configure(cfg);
    seat::configure(cfg);
    queue::configure(cfg);
    audit::configure(cfg);
}
