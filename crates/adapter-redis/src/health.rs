use async_trait::async_trait;
use concert_domain::Result;
use concert_domain::health::Probe;

use crate::Redis;

#[async_trait]
impl Probe for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    async fn check(&self) -> Result<()> {
        self.command("Redis", &redis::cmd("PING")).await
    }
}
