use std::sync::Arc;
use std::time::Duration;

use super::flights::Flights;
use super::{Cache, Generation, Value};
use crate::Result;
use crate::concert::Perishable;

/// For how long it is remembered that there is nothing.
const NOTHING_TTL: Duration = Duration::from_secs(1);

/// For how long copies of a kind are kept: some longer, some shorter, so that what was read
/// together does not end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// In the middle.
    pub about: Duration,
    /// So much shorter or longer at the most.
    pub spread: Duration,
}

impl Lifetime {
    /// The lifetime of one copy. The spread comes from its name and generation: the domain draws
    /// no random numbers.
    fn of(self, name: &str, generation: Generation) -> Duration {
        let width = u64::try_from(2 * self.spread.as_millis()).unwrap_or(u64::MAX);
        let bytes = name.bytes().chain(generation.0.to_le_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let later = Duration::from_millis((hash >> 16) % width.saturating_add(1).max(1));
        self.about.saturating_sub(self.spread) + later
    }
}

/// The cache as use cases have it: a value, wherever it lies, read from the store by one reader
/// at a time if it lies nowhere.
pub struct Copies {
    cache: Arc<dyn Cache>,
    flights: Arc<Flights>,
}

impl Copies {
    /// Over a cache.
    pub fn new(cache: Arc<dyn Cache>) -> Self {
        Self { cache, flights: Arc::default() }
    }

    /// The copy, or what `read` says under the generation noted before; `None` if there is no
    /// such thing, which is remembered for a moment. A cache that does not answer makes this
    /// slower, never wrong.
    pub(crate) async fn read<F>(
        &self,
        name: &str,
        form: &'static str,
        lifetime: Lifetime,
        read: impl FnOnce() -> F,
    ) -> Result<Option<Value>>
    where
        F: Future<Output = Result<Perishable<Option<Vec<u8>>>>> + Send + 'static,
    {
        let value = match self.cache.peek(name, form) {
            Some(value) => value,
            None => {
                let fill = fill(self.cache.clone(), name.to_owned(), form, lifetime, read());
                self.flights.join(name, form, fill).await?
            }
        };
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    /// Whatever is kept under these names is older than a change that was committed. A cache that
    /// does not answer is passed over: the change is committed.
    pub(crate) async fn outdate(&self, names: &[String]) {
        if !names.is_empty() {
            self.cache.bump(names).await.ok();
            self.flights.outdate(names);
        }
    }
}

/// What the cache has, or else what the store says, put into the cache. Nothing is kept as no
/// bytes.
async fn fill(
    cache: Arc<dyn Cache>,
    name: String,
    form: &'static str,
    lifetime: Lifetime,
    read: impl Future<Output = Result<Perishable<Option<Vec<u8>>>>> + Send,
) -> Result<Value> {
    let noted = match cache.get(&name, form).await {
        Ok(lookup) => match lookup.value {
            Some(value) => return Ok(value),
            None => Some(lookup.generation),
        },
        Err(_) => None,
    };
    let Perishable { value, fresh_for } = read.await?;
    let ttl = noted.map(|noted| match value {
        Some(_) => lifetime.of(&name, noted),
        None => NOTHING_TTL,
    });
    let value = Value::new(value.unwrap_or_default());
    if let (Some(noted), Some(ttl)) = (noted, ttl) {
        let ttl = fresh_for.map_or(ttl, |fresh| fresh.min(ttl));
        if !ttl.is_zero() {
            cache.put(&name, form, noted, value.clone(), ttl).await.ok();
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_spread_and_within_their_bounds() {
        let lifetime = Lifetime { about: Duration::from_secs(30), spread: Duration::from_secs(5) };
        let lives: Vec<_> =
            (0..1_000).map(|n| lifetime.of(&format!("seats:{n}"), Generation(7))).collect();
        for life in &lives {
            assert!((25..=35).contains(&life.as_secs()), "{life:?}");
        }
        let short = lives.iter().filter(|life| life.as_secs() < 30).count();
        assert!((300..700).contains(&short), "{short} of 1000 are shorter");
    }
}
