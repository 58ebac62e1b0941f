//! The load generator.
//!
//! It shares the machine with what it measures, so it is to cost little: requests are bytes that
//! were made beforehand, an answer is read no further than its status, its length and, if it is a
//! refusal, its code, and everything runs on one thread of its own, whose time on the processor is
//! told with the figures.
//!
//! * *Closed loop*: each client waits for its answer before it sends the next request. That says
//!   how much is answered in a second.
//! * *Open loop*: requests are due by a schedule, whether or not the earlier ones were answered,
//!   and a latency counts from the time when a request was due. That says how long users wait.
//!   At most as many requests are under way as there are connections; what is due meanwhile waits
//!   for one, and its wait counts too. Timers go by the millisecond.

mod pace;
mod run;
mod shots;
mod tally;
mod thread;
mod wire;

pub(super) use pace::{Pace, Weights};
pub(super) use run::{Class, Load, run};
pub(in crate::commands) use shots::get;
pub(super) use shots::{Shots, request};
pub(super) use tally::Tally;
pub(super) use thread::{cpu_of, on_own_thread};
pub(in crate::commands) use wire::Wire;
