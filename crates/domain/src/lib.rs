//! Entities, ports and use cases of the concert reservation service.
//!
//! This crate is pure: it knows no runtime, no database and no network, reads no clock, draws no
//! random number and looks at no environment variable. A use case reads a snapshot through a
//! port, decides, computes the change as a plain value and hands it to one port method, which
//! applies it in one transaction or names the guard that failed.
//!
//! Slices depend on each other in one direction only:
//! `user, point, concert <- queue <- reservation <- payment <- event` (payment records the facts
//! that the event slice defines).
#![warn(missing_docs)]

pub mod audit;
pub mod budget;
pub mod cache;
pub mod clock;
pub mod concert;
mod concurrent;
pub mod error;
pub mod event;
pub mod health;
pub mod id;
pub mod idempotency;
pub mod lock;
pub mod money;
pub mod page;
pub mod payment;
pub mod point;
pub mod ports;
pub mod queue;
pub mod reservation;
pub mod seed;
pub mod user;

pub use clock::{Clock, Seen, Timestamp};
pub use error::{Error, ErrorKind, FieldError, Result};
pub use id::{
    ConcertId, IdAllocator, IdBlock, IdBlocks, IdKind, PaymentId, ReservationId, ScheduleId,
    SeatId, TransactionId, UserId,
};
pub use idempotency::{Applied, IdempotencyClaim, IdempotencyKey, IdempotencyStore};
pub use money::Won;
pub use page::{Cursor, Limit, Page, PageRequest};
pub use ports::Ports;
