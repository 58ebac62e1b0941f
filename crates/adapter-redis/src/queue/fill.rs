//! Masses of waiting users, for measuring.

use async_trait::async_trait;
use concert_domain::queue::{QueueToken, Rules};
use concert_domain::seed::QueueSeeds;
use concert_domain::{ConcertId, Error, Result, UserId};

use super::{WHAT, start_of};
use crate::Redis;

/// How many users one script puts at the tail.
const CHUNK: usize = 500;

#[async_trait]
impl QueueSeeds for Redis {
    async fn fill_queue(
        &self,
        concert: ConcertId,
        waiting: Vec<(UserId, QueueToken)>,
        rules: &Rules,
    ) -> Result<()> {
        for chunk in waiting.chunks(CHUNK) {
            let mut fill = self.transition(&self.scripts.queue.fill, concert, rules);
            let mut places = Vec::with_capacity(CHUNK);
            for (user, token) in chunk {
                let digest = token.digest();
                fill.arg(user.get()).arg(token.as_bytes()).arg(start_of(&digest));
                places.push((digest, 0));
            }
            let last: Option<i64> = self.script(WHAT, &fill).await?;
            let last = last.ok_or(Error::Conflict("a user has a place already"))?;
            let numbers = last + 1 - chunk.len() as i64..;
            places.iter_mut().zip(numbers).for_each(|(place, number)| place.1 = number);
            self.list(concert, &places).await?;
        }
        Ok(())
    }
}
