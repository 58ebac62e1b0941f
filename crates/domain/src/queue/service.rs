use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::{
    Join, Overview, Pass, Place, Policies, Policy, PolicyPatch, QueueStore, QueueToken, Rules,
    Seal, SealKeys, SealedToken, Standing, Terms, Ticked, TokenDigest, TokenSource,
};
use crate::audit::Edit;
use crate::concert::ConcertService;
use crate::{ConcertId, Error, Result, Timestamp, UserId};

/// The longest time between two polls that a client is told.
const MAX_POLL_AFTER: u64 = 30;

/// How many admission steps one tick makes for one concert before it looks at the next.
const MAX_STEPS: usize = 16;

/// What a client is told of its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketStatus {
    /// In the queue.
    Waiting,
    /// May buy.
    Active,
    /// Over.
    Expired,
}

/// A token with what its holder wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The token.
    pub token: SealedToken,
    /// What the store keeps the place under.
    pub place: QueueToken,
    /// Where it stands.
    pub status: TicketStatus,
    /// The place from 1; 0 when not waiting.
    pub rank: u64,
    /// The expected wait at the observed pace; zero when not waiting.
    pub estimated_wait: Duration,
    /// When to poll next, in whole seconds of at least 1.
    pub poll_after: Duration,
    /// When an active token ends.
    pub expires_at: Option<Timestamp>,
}

/// Use cases of the queue slice.
pub struct QueueService {
    store: Arc<dyn QueueStore>,
    policies: Policies,
    tokens: Arc<dyn TokenSource>,
    keys: Arc<dyn SealKeys>,
    seal: OnceLock<Seal>,
    concerts: Arc<ConcertService>,
    rules: Rules,
}

impl QueueService {
    /// Over the queues, their policies, a source of tokens, the key that seals them and the
    /// catalogue.
    pub fn new(
        store: Arc<dyn QueueStore>,
        policies: Policies,
        tokens: Arc<dyn TokenSource>,
        keys: Arc<dyn SealKeys>,
        concerts: Arc<ConcertService>,
        rules: Rules,
    ) -> Self {
        Self { store, policies, tokens, keys, seal: OnceLock::new(), concerts, rules }
    }

    /// Asks for the key once, so that requests need not, and answers the seal.
    pub async fn seal(&self) -> Result<&Seal> {
        if let Some(seal) = self.seal.get() {
            return Ok(seal);
        }
        let seal = Seal::shared(&*self.keys, &*self.tokens).await?;
        Ok(self.seal.get_or_init(|| seal))
    }

    async fn open(&self, token: &SealedToken) -> Result<QueueToken> {
        Ok(self.seal().await?.open(token))
    }

    /// What holds for a concert's queue, as this process knows it.
    fn terms(&self, concert: ConcertId) -> Terms {
        Terms { rules: self.rules, own: self.policies.of(concert) }
    }

    /// Learns what the policies are now; every process does so at every tick.
    pub async fn refresh_policies(&self) -> Result<usize> {
        self.policies.refresh().await
    }

    /// Takes a place, or finds the one that the user has; tells whether it is new.
    pub async fn join(&self, user: UserId, concert: ConcertId) -> Result<(Ticket, bool)> {
        self.concerts.ensure_exists(concert).await?;
        let seal = self.seal().await?;
        let join = Join { concert, user, token: self.tokens.fresh() };
        let joined = self.store.join(join, &self.terms(concert)).await?;
        let token = seal.seal(&joined.place.token);
        Ok((self.ticket(token, joined.place), joined.first))
    }

    /// Where the token stands; [`Error::TokenNotFound`] if it is unknown, and
    /// [`Error::TokenMismatch`] if it is not the holder's own, where that is known.
    pub async fn status(&self, token: &SealedToken, holder: Option<UserId>) -> Result<Ticket> {
        let kept = self.open(token).await?;
        let place = self.store.poll(&kept, holder, &self.rules).await?;
        let place = place.ok_or(Error::TokenNotFound)?;
        own(place.user, holder)?;
        Ok(self.ticket(token.clone(), place))
    }

    /// Whose token it is, whatever became of it; [`Error::TokenNotFound`] if it is unknown.
    pub async fn owner(&self, token: &SealedToken) -> Result<UserId> {
        let kept = self.open(token).await?;
        Ok(self.store.find(&kept).await?.ok_or(Error::TokenNotFound)?.user)
    }

    /// Checks that the token is active, and the holder's own, where that is known.
    pub async fn enter(&self, token: &SealedToken, holder: Option<UserId>) -> Result<Pass> {
        self.store.enter(&self.open(token).await?, holder, &self.rules).await
    }

    /// The same for who only looks: it may be answered as it was a moment ago.
    pub async fn glance(&self, token: &SealedToken, holder: Option<UserId>) -> Result<Pass> {
        self.store.glance(&self.open(token).await?, holder, &self.rules).await
    }

    /// Checks that the token is active and the user's own; [`Error::TokenMismatch`] if it is not.
    pub async fn enter_as(&self, token: &SealedToken, user: UserId) -> Result<Pass> {
        self.enter(token, Some(user)).await
    }

    /// Leaves the queue or gives the slot back; leaving twice is leaving once. Nobody is sent away
    /// by somebody else who is known.
    pub async fn leave(&self, token: &SealedToken, holder: Option<UserId>) -> Result<()> {
        let kept = self.open(token).await?;
        let Some(place) = self.store.find(&kept).await? else { return Ok(()) };
        own(place.user, holder)?;
        self.finish(place.concert, kept.digest()).await
    }

    /// Frees the slot of a buyer who is done.
    pub async fn finish(&self, concert: ConcertId, place: TokenDigest) -> Result<()> {
        self.store.finish(concert, place, &self.terms(concert)).await
    }

    /// Runs the admission step of every concert that has a queue. One concert's failure does not
    /// keep the others waiting; the first failure is reported after all were tried.
    pub async fn tick(&self) -> Result<Ticked> {
        let mut total = Ticked::default();
        let mut failure = None;
        for concert in self.store.live_concerts().await? {
            match self.tick_concert(concert).await {
                Ok(ticked) => {
                    total.admitted += ticked.admitted;
                    total.dropped += ticked.dropped;
                    total.more |= ticked.more;
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(total), Err)
    }

    async fn tick_concert(&self, concert: ConcertId) -> Result<Ticked> {
        let mut total = Ticked::default();
        for _ in 0..MAX_STEPS {
            let step = self.store.tick(concert, &self.terms(concert)).await?;
            total.admitted += step.admitted;
            total.dropped += step.dropped;
            total.more = step.more;
            if !step.more {
                break;
            }
        }
        Ok(total)
    }

    /// What an operator sees of a concert's queue; [`Error::ConcertNotFound`] if there is none.
    pub async fn overview(&self, concert: ConcertId) -> Result<Overview> {
        self.concerts.ensure_exists(concert).await?;
        let own = self.policies.read(concert).await?;
        Ok(Overview { own, counts: self.store.counts(concert).await? })
    }

    /// The limit that holds for a policy.
    pub fn active_limit(&self, policy: Policy) -> u32 {
        policy.active_limit.unwrap_or(self.rules.active_limit)
    }

    /// Changes a concert's policy; answers what an operator sees afterwards. The change is made in
    /// the store first. The queue is told at once, and if it does not answer, by the next tick.
    pub async fn set_policy(
        &self,
        edit: Edit,
        concert: ConcertId,
        patch: PolicyPatch,
    ) -> Result<Overview> {
        self.concerts.ensure_exists(concert).await?;
        let own = self.policies.change(edit, concert, patch).await?;
        self.tick_concert(concert).await?;
        Ok(Overview { own, counts: self.store.counts(concert).await? })
    }

    /// Forgets tokens that ended long ago, a batch at a time; answers how many.
    pub async fn purge(&self, limit: u32) -> Result<u32> {
        self.store.purge(&self.rules, limit).await
    }

    fn ticket(&self, token: SealedToken, place: Place) -> Ticket {
        let (status, rank, expires_at) = match place.standing {
            Standing::Waiting { rank } => (TicketStatus::Waiting, rank, None),
            Standing::Active { expires_at } => (TicketStatus::Active, 0, Some(expires_at)),
            Standing::Ended => (TicketStatus::Expired, 0, None),
        };
        let estimated_wait = match status {
            TicketStatus::Waiting => place.pace.wait_for(rank, self.rules.waiting_ttl),
            TicketStatus::Active | TicketStatus::Expired => Duration::ZERO,
        };
        let poll_after = poll_after(&place.token, rank, self.rules.claim_ttl);
        let place = place.token;
        Ticket { token, place, status, rank, estimated_wait, poll_after, expires_at }
    }
}

/// [`Error::TokenMismatch`] if the owner is not who has the token.
fn own(owner: UserId, holder: Option<UserId>) -> Result<()> {
    if holder.is_none_or(|holder| holder == owner) { Ok(()) } else { Err(Error::TokenMismatch) }
}

/// When to poll next: the farther from the head the later, never so late that the claim deadline
/// of an admission in between is missed, and spread by up to a fifth so that clients who joined
/// together do not poll together. The spread comes from the token, so it is steady per client.
fn poll_after(token: &QueueToken, rank: u64, claim_ttl: Duration) -> Duration {
    let latest = (claim_ttl.as_secs() / 2).clamp(1, MAX_POLL_AFTER);
    let seconds = (1 + rank / 50).min(latest);
    let spread = seconds / 5;
    let early = u64::from(token.as_bytes()[0]) % (spread + 1);
    Duration::from_secs(seconds - early)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(first: u8) -> QueueToken {
        QueueToken::from_bytes([first; 16])
    }

    #[test]
    fn who_is_near_the_head_polls_often_and_who_is_far_polls_rarely() {
        let minute = Duration::from_secs(60);
        assert_eq!(poll_after(&token(7), 1, minute), Duration::from_secs(1));
        let near = poll_after(&token(7), 100, minute);
        let far = poll_after(&token(7), 100_000, minute);
        assert!(near < far, "{near:?} {far:?}");
    }

    #[test]
    fn polling_as_told_never_misses_the_claim_deadline() {
        for claim in [1, 2, 10, 60, 600] {
            for first in [0, 3, 255] {
                let after = poll_after(&token(first), u64::MAX / 2, Duration::from_secs(claim));
                assert!(after.as_secs() <= (claim / 2).max(1), "{claim} {after:?}");
                assert!(after.as_secs() >= 1);
            }
        }
    }

    #[test]
    fn clients_at_one_place_are_spread() {
        let times: std::collections::HashSet<_> = (0..=255)
            .map(|first| poll_after(&token(first), 1_000_000, Duration::from_secs(600)))
            .collect();
        assert!(times.len() > 3, "{times:?}");
    }
}
