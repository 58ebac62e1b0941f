//! Masses of waiting users, for measuring.

use concert_domain::queue::{Rules, TokenSource};
use concert_domain::{ConcertId, Error, Result, UserId};

use super::{WHAT, start_of};
use crate::Redis;

/// How many users one script puts at the tail.
const CHUNK: usize = 500;

impl Redis {
    /// Puts `count` waiting users (ids from `first_user` on) at the tail of a concert's queue, as
    /// [`SeedStore::fill_queue`](concert_domain::seed::SeedStore::fill_queue) does; but it is all
    /// or nothing only within each few hundred of them.
    pub async fn fill_queue(
        &self,
        concert: ConcertId,
        first_user: UserId,
        count: u32,
        tokens: &dyn TokenSource,
        rules: &Rules,
    ) -> Result<()> {
        let users: Vec<i64> = (first_user.get()..).take(count as usize).collect();
        for chunk in users.chunks(CHUNK) {
            let mut fill = self.transition(&self.scripts.queue.fill, concert, rules);
            let mut places = Vec::with_capacity(CHUNK);
            for user in chunk {
                let token = tokens.fresh();
                let digest = token.digest();
                fill.arg(*user).arg(token.as_bytes()).arg(start_of(&digest));
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
