//! Identifiers: positive integers below 2^53, handed out in blocks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Result;

/// The largest id: a JSON number that every client reads exactly.
pub const MAX_ID: i64 = (1 << 53) - 1;

/// The number is no id: ids are integers from 1 to 2^53 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an integer from 1 to 9007199254740991")]
pub struct NotAnId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "i64", into = "i64")]
        pub struct $name(i64);

        impl $name {
            /// The id as an integer.
            pub fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = NotAnId;

            fn try_from(value: i64) -> std::result::Result<Self, NotAnId> {
                if (1..=MAX_ID).contains(&value) { Ok(Self(value)) } else { Err(NotAnId) }
            }
        }

        impl From<$name> for i64 {
            fn from(id: $name) -> i64 {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> std::result::Result<Self, NotAnId> {
                text.parse::<i64>().map_err(|_| NotAnId)?.try_into()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// Names a buyer.
    UserId;
    /// Names a concert.
    ConcertId;
    /// Names one showing of a concert.
    ScheduleId;
    /// Names one seat of one schedule.
    SeatId;
    /// Names a hold and what became of it.
    ReservationId;
    /// Names a payment.
    PaymentId;
    /// Names a line of the point ledger, and the charge that led to it.
    TransactionId;
}

/// What an id is for; each kind counts on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// For [`UserId`].
    User,
    /// For [`ConcertId`].
    Concert,
    /// For [`ScheduleId`].
    Schedule,
    /// For [`SeatId`].
    Seat,
    /// For [`ReservationId`].
    Reservation,
    /// For [`PaymentId`].
    Payment,
    /// For [`TransactionId`].
    Transaction,
}

impl IdKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::User,
        Self::Concert,
        Self::Schedule,
        Self::Seat,
        Self::Reservation,
        Self::Payment,
        Self::Transaction,
    ];

    /// The name under which a store keeps the counter.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Concert => "concert",
            Self::Schedule => "schedule",
            Self::Seat => "seat",
            Self::Reservation => "reservation",
            Self::Payment => "payment",
            Self::Transaction => "transaction",
        }
    }
}

/// A run of ids that belongs to one process: `first`, `first + 1`, ... `first + count - 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdBlock {
    /// The first id of the run.
    pub first: i64,
    /// How many ids the run has, at least 1.
    pub count: u32,
}

/// Port: counters that are handed out in blocks.
///
/// * Two calls MUST never hand out the same id of a kind, on any number of instances and over
///   restarts. Gaps are allowed.
/// * The first block of a kind in an empty store MUST start at 1.
/// * A call MUST run in a transaction of its own.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait IdBlocks: Send + Sync {
    /// Takes the next `count` ids (at least 1) of the kind.
    async fn take(&self, kind: IdKind, count: u32) -> Result<IdBlock>;
}

/// Hands out single ids from blocks that it takes in advance, so that most ids cost no round trip.
pub struct IdAllocator {
    blocks: Arc<dyn IdBlocks>,
    block_size: u32,
    left: Mutex<HashMap<IdKind, IdBlock>>,
}

impl IdAllocator {
    /// How many ids a process takes at once.
    pub const BLOCK_SIZE: u32 = 1_000;

    /// An allocator over the counters of a store.
    pub fn new(blocks: Arc<dyn IdBlocks>) -> Self {
        Self { blocks, block_size: Self::BLOCK_SIZE, left: Mutex::new(HashMap::new()) }
    }

    /// The next id of the kind. Two callers that find the block empty take one each; the ids of
    /// the block that loses are a gap.
    pub async fn next<T>(&self, kind: IdKind) -> Result<T>
    where
        T: TryFrom<i64, Error = NotAnId>,
    {
        let id = match self.pop(kind) {
            Some(id) => id,
            None => {
                let block = self.blocks.take(kind, self.block_size).await?;
                let rest = IdBlock { first: block.first + 1, count: block.count - 1 };
                self.lock().insert(kind, rest);
                block.first
            }
        };
        T::try_from(id).map_err(|_| crate::Error::bug("the ids of a kind are used up"))
    }

    /// A block of its own for work that needs many ids at once.
    pub async fn block(&self, kind: IdKind, count: u32) -> Result<IdBlock> {
        self.blocks.take(kind, count).await
    }

    fn pop(&self, kind: IdKind) -> Option<i64> {
        let mut left = self.lock();
        let block = left.get_mut(&kind).filter(|block| block.count > 0)?;
        let id = block.first;
        *block = IdBlock { first: id + 1, count: block.count - 1 };
        Some(id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IdKind, IdBlock>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use futures::executor::block_on;

    #[test]
    fn ids_outside_the_range_do_not_exist() {
        for bad in [0, -1, i64::MIN, MAX_ID + 1, i64::MAX] {
            assert_eq!(SeatId::try_from(bad), Err(NotAnId));
        }
        assert_eq!("9007199254740991".parse::<SeatId>().map(SeatId::get), Ok(MAX_ID));
        assert_eq!("1.0".parse::<SeatId>(), Err(NotAnId));
        assert!(serde_json::from_str::<SeatId>("0").is_err());
    }

    #[test]
    fn one_block_serves_many_ids_and_kinds_count_apart() {
        let mut blocks = MockIdBlocks::new();
        blocks.expect_take().times(2).returning(|_, count| Ok(IdBlock { first: 1, count }));
        let ids = IdAllocator::new(Arc::new(blocks));
        let seats: Vec<i64> =
            (0..3).map(|_| block_on(ids.next::<SeatId>(IdKind::Seat)).unwrap().get()).collect();
        assert_eq!(seats, [1, 2, 3]);
        assert_eq!(block_on(ids.next::<UserId>(IdKind::User)).unwrap().get(), 1);
    }

    #[test]
    fn an_unavailable_store_is_reported_and_asked_again() {
        let mut blocks = MockIdBlocks::new();
        let mut calls = 0;
        blocks.expect_take().returning(move |_, count| {
            calls += 1;
            if calls == 1 {
                Err(Error::unavailable("store"))
            } else {
                Ok(IdBlock { first: 7, count })
            }
        });
        let ids = IdAllocator::new(Arc::new(blocks));
        assert!(block_on(ids.next::<SeatId>(IdKind::Seat)).is_err());
        assert_eq!(block_on(ids.next::<SeatId>(IdKind::Seat)).unwrap().get(), 7);
    }
}
