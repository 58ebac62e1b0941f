//! Laws of the ranking: it reads what consumers committed, never the hot rows.

use concert_domain::event::{Effect, Headers, PartitionLease, Progress};
use concert_domain::{ConcertId, Timestamp, Won};

use crate::consumer::member;
use crate::fixtures::{LONG, every_page, page};
use crate::{Harness, World};

/// One test for each law of the ranking.
#[macro_export]
macro_rules! ranking_contract {
    ($harness:ty) => {
        $crate::laws! { $harness, ranking:
            concerts_rank_by_speed_then_sales_then_id,
            a_refund_takes_its_sale_back,
        }
    };
}

/// Commits effects one after the other into one partition.
struct Ledger<'a, H> {
    world: &'a World<H>,
    lease: PartitionLease,
}

impl<'a, H: Harness> Ledger<'a, H> {
    async fn open(world: &'a World<H>) -> Self {
        let lease = world.ports().consumers.lease(&member("a"), LONG).await.unwrap()[0];
        Self { world, lease }
    }

    async fn commit(&mut self, effect: Effect) {
        let progress = Progress {
            membership: member("a"),
            offset: self.lease.next_offset,
            lease: self.lease,
            event: None,
            effect,
            headers: Headers::default(),
        };
        self.world.ports().consumers.commit(progress).await.unwrap();
        self.lease.next_offset += 1;
    }

    async fn sell(&mut self, concert: ConcertId, amount: u32, at: i64) {
        let at = Timestamp::from_millis(at);
        self.commit(Effect::Sold { concert, amount: Won::of(amount), at }).await;
    }
}

pub async fn concerts_rank_by_speed_then_sales_then_id<H: Harness>() {
    let world = World::<H>::start().await;
    let shows = [
        world.show(2).await,
        world.show(2).await,
        world.show(2).await,
        world.show(2).await,
        world.show(2).await,
    ];
    let [slow, poor, fast, rich, unsold] = [0, 1, 2, 3, 4].map(|n: usize| shows[n].concert);
    let opened = 1_600_000_000_000;
    let mut ledger = Ledger::open(&world).await;
    for (concert, last) in [(slow, 9_000), (fast, 4_000)] {
        ledger.sell(concert, 10, opened + 1_000).await;
        ledger.sell(concert, 10, opened + last).await;
    }
    ledger.sell(poor, 50, opened + 10).await;
    ledger.sell(rich, 70, opened + 10).await;
    let concerts = world.ports().concerts;
    let ranked = every_page(|page| concerts.ranking(page), |line| line.id).await;
    let order: Vec<_> = ranked.iter().map(|line| line.id).collect();
    assert_eq!(order, [fast, slow, rich, poor, unsold]);
    let first = &ranked[0];
    assert_eq!((first.sold_seats, first.total_seats, first.sales), (2, 2, Won::of(20)));
    assert_eq!(first.sold_out_at, Some(Timestamp::from_millis(opened + 4_000)));
    assert_eq!(first.sold_out_after_ms, Some(4_000));
    assert_eq!((ranked[2].sold_out_at, ranked[2].sold_out_after_ms), (None, None));
}

pub async fn a_refund_takes_its_sale_back<H: Harness>() {
    let world = World::<H>::start().await;
    let show = world.show(1).await;
    let mut ledger = Ledger::open(&world).await;
    let concert = show.concert;
    ledger.sell(concert, 10, 1_600_000_005_000).await;
    ledger.commit(Effect::Refunded { concert, amount: Won::of(10) }).await;
    let line = world.ports().concerts.ranking(page(10, None)).await.unwrap().items.remove(0);
    assert_eq!((line.sold_seats, line.sales, line.sold_out_at), (0, Won::ZERO, None));
    ledger.sell(concert, 10, 1_600_000_008_000).await;
    let line = world.ports().concerts.ranking(page(10, None)).await.unwrap().items.remove(0);
    assert_eq!((line.sold_seats, line.sold_out_after_ms), (1, Some(8_000)));
}
