use async_trait::async_trait;

use super::{
    Counts, KeptPolicy, Pass, Place, PolicyPatch, QueueToken, Rules, SealKey, Terms, TokenDigest,
};
use crate::audit::Edit;
use crate::{ConcertId, Result, UserId};

/// Port: where fresh tokens come from.
///
/// * A token MUST be 128 bits from a cryptographic random generator.
#[cfg_attr(test, mockall::automock)]
pub trait TokenSource: Send + Sync {
    /// A token that nobody has.
    fn fresh(&self) -> QueueToken;
}

/// Port: the key that seals queue tokens.
///
/// * Every call on every instance, over restarts, MUST answer the key that was offered first.
/// * It lies apart from the places that it seals, where those are on a server of their own.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait SealKeys: Send + Sync {
    /// The key; `fresh` if there is none yet.
    async fn seal_key(&self, fresh: SealKey) -> Result<SealKey>;
}

/// A wish to wait.
#[derive(Debug, Clone)]
pub struct Join {
    /// For which concert.
    pub concert: ConcertId,
    /// Who.
    pub user: UserId,
    /// The token to use if the user has no live place yet.
    pub token: QueueToken,
}

/// What came of a join.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The user's place: the new one, or the live one it had.
    pub place: Place,
    /// Whether the place is new.
    pub first: bool,
}

/// What one admission step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticked {
    /// How many were admitted.
    pub admitted: u64,
    /// How many were dropped because a deadline had passed.
    pub dropped: u64,
    /// Whether the step stopped at its bound and another one has work to do.
    pub more: bool,
}

/// Port: the queues of all concerts.
///
/// A *transition* (`join`, `finish`, `tick`, and the claim made by `poll` and `enter`) is atomic,
/// and each but the claim ends with the *admission step* in the same atomic unit: drop what is
/// past its deadline, then admit from the head while there is room, the mode is not HOLD and the
/// rate allows.
///
/// * A transition is told the concert's policy with its version. The newest that any transition
///   told MUST hold, for this one too: so a change holds for every instance as soon as one
///   transition told it, and a queue that lost everything learns the policy with the next one.
/// * At any instant at most the limit's number of tokens of a concert MUST be active, on any
///   number of instances, also right after the store lost everything. (A limit that is lowered
///   ends no stay; it only stops admission.)
/// * Order MUST be by a sequence number given at the join, never by a clock; nobody overtakes.
/// * A user MUST have at most one live place per concert; joining again MUST answer it, token and
///   rank unchanged, in any mode.
/// * Only the admission step MUST admit; a newcomer passes through the queue even when it is empty.
/// * Deadlines count in the store's time: waiting from the join; claim and stay from the
///   admission. A token past its deadline MUST count as ended at once, whether or not a step ran.
/// * `poll` or `enter` of an admitted token MUST lift its claim deadline to the stay deadline.
/// * An ended token MUST answer [`Standing::Ended`](super::Standing::Ended) for
///   [`Rules::remember_ttl`], then be unknown.
/// * Admissions in any period of `t` seconds MUST NOT exceed rate x (t + 1).
/// * The cost of `poll` MUST NOT grow with the length of the queue.
/// * A request of somebody else than the `holder`, where that is known, MUST change nothing.
/// * `poll` and `glance` MAY answer from memory, as the store would have answered at most
///   [`NEAR_FOR`](crate::cache::NEAR_FOR) ago; but what this process was told to do MUST show at
///   once, and a token MUST NOT be answered past its deadline. `enter` MUST ask the store.
/// * A transition that is repeated because its answer was lost MUST have no second effect.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait QueueStore: Send + Sync {
    /// Takes a place at the tail. [`Error::QueueClosed`](crate::Error::QueueClosed) in mode DRAIN
    /// for a user without a live place.
    async fn join(&self, join: Join, terms: &Terms) -> Result<Joined>;

    /// Where the token stands; counts as a request of an admitted token.
    async fn poll(
        &self,
        token: &QueueToken,
        holder: Option<UserId>,
        rules: &Rules,
    ) -> Result<Option<Place>>;

    /// Whose token it is and where it stands; counts as nothing. For callers that name nobody.
    async fn find(&self, token: &QueueToken) -> Result<Option<Place>>;

    /// Checks that the token is active; counts as a request.
    /// [`Error::TokenNotFound`](crate::Error::TokenNotFound),
    /// [`Error::TokenNotActive`](crate::Error::TokenNotActive) or
    /// [`Error::TokenExpired`](crate::Error::TokenExpired) if not, and
    /// [`Error::TokenMismatch`](crate::Error::TokenMismatch) if it is not the holder's.
    async fn enter(
        &self,
        token: &QueueToken,
        holder: Option<UserId>,
        rules: &Rules,
    ) -> Result<Pass>;

    /// The same for somebody who only looks, and does so again and again.
    async fn glance(
        &self,
        token: &QueueToken,
        holder: Option<UserId>,
        rules: &Rules,
    ) -> Result<Pass> {
        self.enter(token, holder, rules).await
    }

    /// Ends a place of the concert, waiting or active; does nothing if it has ended or is unknown.
    async fn finish(&self, concert: ConcertId, place: TokenDigest, terms: &Terms) -> Result<()>;

    /// The admission step alone, bounded in size.
    async fn tick(&self, concert: ConcertId, terms: &Terms) -> Result<Ticked>;

    /// The concerts that have a live token, from an index (never by a scan of all tokens).
    async fn live_concerts(&self) -> Result<Vec<ConcertId>>;

    /// The counts of a concert, which need not have a queue.
    async fn counts(&self, concert: ConcertId) -> Result<Counts>;

    /// Forgets tokens that ended longer ago than [`Rules::remember_ttl`], at most `limit`;
    /// answers how many.
    async fn purge(&self, rules: &Rules, limit: u32) -> Result<u32>;
}

/// The most concerts with a policy of their own: all of them are read at every tick.
pub const MAX_POLICIES: u32 = 10_000;

/// Port: the policies of queues, durable.
///
/// * A change MUST be one transaction, MUST change only what it names, MUST add one to the version,
///   and MUST leave one line in the [`AuditLog`](crate::audit::AuditLog), in the same transaction.
/// * A change on a version that its condition does not name MUST change nothing: `StaleVersion`.
/// * A read MUST show every change that was acknowledged before it began.
/// * A policy MUST go with its concert.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// Every policy that was ever set, at most [`MAX_POLICIES`].
    async fn policies(&self) -> Result<Vec<(ConcertId, KeptPolicy)>>;

    /// A concert's policy; the default one if none was set.
    async fn policy(&self, concert: ConcertId) -> Result<KeptPolicy>;

    /// Changes a concert's policy; answers the new one. `ConcertNotFound`; `Conflict` past
    /// [`MAX_POLICIES`].
    async fn set_policy(
        &self,
        edit: Edit,
        concert: ConcertId,
        patch: PolicyPatch,
    ) -> Result<KeptPolicy>;
}
