//! Two indexes that lie outside the concerts' hash tags: the place of a token, and the concerts
//! that have a place. They are written after a join and may be behind it by a lost call; joining
//! again, which is what a client without an answer does, writes them again.

use concert_domain::queue::TokenDigest;
use concert_domain::{ConcertId, Error, Result};
use redis::Value;

use super::WHAT;
use crate::Redis;

/// Over so many hashes tokens are spread: few enough to be worth the overhead of a key with
/// 100,000 tokens, enough to stay flat with a million (Redis 7) or seven (Redis 8).
const BUCKETS: u16 = 16_384;

/// Where a place lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub concert: ConcertId,
    pub number: i64,
}

impl At {
    fn parse(text: &str) -> Option<Self> {
        let (concert, number) = text.split_once(':')?;
        Some(Self { concert: concert.parse().ok()?, number: number.parse().ok()? })
    }
}

impl Redis {
    /// The place of a token, if it is known anywhere.
    pub(super) async fn look_up(&self, digest: TokenDigest) -> Result<Option<At>> {
        let mut get = redis::cmd("HGET");
        get.arg(self.bucket_key(&digest)).arg(digest.as_bytes());
        let Some(text) = self.command::<Option<String>>(WHAT, &get).await? else {
            return Ok(None);
        };
        let at = At::parse(&text).ok_or_else(|| Error::bug("the index of tokens is garbled"))?;
        self.known.insert(digest, at, None);
        Ok(Some(at))
    }

    /// Makes places of a concert known by their tokens, and the concert as one that has a place.
    pub(super) async fn list(
        &self,
        concert: ConcertId,
        places: &[(TokenDigest, i64)],
    ) -> Result<()> {
        let mut add = redis::pipe();
        for (digest, number) in places {
            add.hset(self.bucket_key(digest), digest.as_bytes(), format!("{concert}:{number}"));
        }
        // Without places (all had one) the concert is made known all the same.
        let last = places.iter().map(|(_, number)| *number).max().unwrap_or(0);
        add.cmd("ZADD").arg(self.concerts_key()).arg("GT").arg(last).arg(concert.get());
        self.commands::<Value>(WHAT, &add).await.map(drop)
    }

    /// Takes tokens out of the index.
    pub(super) async fn unlist(&self, digests: &[TokenDigest]) -> Result<()> {
        let mut remove = redis::pipe();
        for digest in digests {
            remove.hdel(self.bucket_key(digest), digest.as_bytes());
            self.known.forget(digest);
        }
        self.commands::<Value>(WHAT, &remove).await.map(drop)
    }

    /// The concerts that have a place, also one that has ended.
    pub(super) async fn listed(&self) -> Result<Vec<ConcertId>> {
        let mut range = redis::cmd("ZRANGE");
        range.arg(self.concerts_key()).arg(0).arg(-1);
        let ids: Vec<i64> = self.command(WHAT, &range).await?;
        let concert = |id: i64| id.try_into().map_err(|_| Error::bug("no concert has this id"));
        ids.into_iter().map(concert).collect()
    }

    /// Takes a concert without places out of the index, unless somebody joined it after the
    /// number that was the last one when it had none.
    pub(super) async fn unlist_concert(&self, concert: ConcertId, number: i64) -> Result<()> {
        let mut unlist = self.scripts.queue.unlist.key(self.concerts_key());
        self.script(WHAT, unlist.arg(concert.get()).arg(number)).await
    }

    fn concerts_key(&self) -> String {
        self.key("concerts")
    }

    fn bucket_key(&self, digest: &TokenDigest) -> String {
        let [high, low, ..] = *digest.as_bytes();
        self.key(format_args!("t:{}", u16::from_be_bytes([high, low]) % BUCKETS))
    }
}
