//! Masses of waiting users, for measuring.

use async_trait::async_trait;
use concert_domain::queue::{QueueToken, Rules};
use concert_domain::seed::QueueSeeds;
use concert_domain::{ConcertId, Result, UserId};

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
            let mut fill = self.transition(&self.scripts.queue.fill, concert, &(*rules).into());
            let mut digests = Vec::with_capacity(CHUNK);
            for (user, token) in chunk {
                let digest = token.digest();
                fill.arg(user.get()).arg(token.as_bytes()).arg(start_of(&digest));
                digests.push(digest);
            }
            let numbers: Vec<i64> = self.script(WHAT, &fill).await?;
            let new = digests.into_iter().zip(numbers).filter(|(_, number)| *number > 0);
            self.list(concert, &new.collect::<Vec<_>>()).await?;
        }
        self.lines.changed(concert);
        Ok(())
    }
}
