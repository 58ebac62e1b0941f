//! The rank of the last of a queue: in our queue in Redis, for the row beside the seed's query.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use concert_adapter_redis::Redis;
use concert_domain::queue::{QueueStore, QueueToken, Rules, Standing};
use concert_domain::seed::QueueSeeds;
use concert_domain::{ConcertId, UserId};

use super::super::report::{Rounds, Sample, progress};

/// Users who are put into the queue in one call.
const CHUNK: usize = 10_000;
/// Looks in a round, of which the mean counts.
const LOOKS: u32 = 100;
const HOUR: Duration = Duration::from_secs(3_600);

fn rules() -> Rules {
    Rules {
        active_limit: 50,
        claim_ttl: HOUR,
        active_ttl: HOUR,
        waiting_ttl: HOUR * 24,
        remember_ttl: Rules::REMEMBER,
    }
}

/// Fills a queue with so many, and looks at the last one.
pub(super) async fn measure(redis: &Redis, tokens: i64, rounds: Rounds) -> Result<Sample> {
    let concert: ConcertId = 1.try_into()?;
    let bar = progress("waiting in Redis", tokens as u64);
    // Nobody is admitted here, so nobody has to guess these tokens.
    let token = |user: i64| QueueToken::from_bytes(i128::from(user).to_be_bytes());
    let users: Vec<i64> = (1..=tokens).collect();
    for users in users.chunks(CHUNK) {
        let place = |user: &i64| Ok((UserId::try_from(*user)?, token(*user)));
        let waiting = users.iter().map(place).collect::<Result<_>>()?;
        redis.fill_queue(concert, waiting, &rules()).await?;
        bar.inc(users.len() as u64);
    }
    bar.finish();
    let last = token(tokens);
    let seen = redis.find(&last).await?.context("the last of the queue")?;
    let expected = Standing::Waiting { rank: tokens as u64 };
    (seen.standing == expected).then_some(()).context("the last of the queue is not last")?;
    rounds
        .sample("ms", async || {
            let begun = Instant::now();
            for _ in 0..LOOKS {
                redis.find(&last).await?;
            }
            Ok(begun.elapsed().as_secs_f64() * 1_000.0 / f64::from(LOOKS))
        })
        .await
}
