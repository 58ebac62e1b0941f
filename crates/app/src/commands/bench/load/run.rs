use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::{Pace, Shots, Tally, Weights, Wire, cpu_of, on_own_thread};

/// How long whoever finds nobody at the other end waits before the next try.
const PAUSE: Duration = Duration::from_millis(5);

/// How hard, and how long.
#[derive(Debug, Clone)]
pub(in super::super) struct Load {
    /// Who is asked; several are asked in turn.
    pub addrs: Vec<SocketAddr>,
    /// Connections, and so the most requests under way.
    pub clients: usize,
    pub pace: Pace,
    pub during: Duration,
}

/// A kind of request, and how often it is made beside the others.
#[derive(Debug, Clone)]
pub(in super::super) struct Class {
    pub shots: Arc<Shots>,
    pub weight: u32,
}

/// Makes the requests; answers what came of each kind. It ends when the time is up, or when there
/// is no request left.
pub(in super::super) async fn run(load: Load, classes: Vec<Class>) -> Result<Vec<Tally>> {
    on_own_thread(move || Round::play(load, classes)).await
}

struct Round {
    load: Load,
    classes: Vec<Class>,
    weights: Weights,
    next: Cell<u64>,
    start: Cell<Instant>,
    tallies: RefCell<Vec<Tally>>,
}

/// One request that is to be made.
struct Turn {
    due: Instant,
    class: usize,
    shot: usize,
}

impl Round {
    async fn play(load: Load, classes: Vec<Class>) -> Result<Vec<Tally>> {
        let weights: Vec<_> = classes.iter().map(|class| class.weight).collect();
        let tallies = classes.iter().map(|_| Tally::new()).collect::<Result<_>>()?;
        let clients = load.clients;
        let round = Rc::new(Self {
            load,
            weights: Weights::new(&weights),
            classes,
            next: Cell::new(0),
            start: Cell::new(Instant::now()),
            tallies: RefCell::new(tallies),
        });
        let ready = Rc::new(Barrier::new(clients + 1));
        let mut running = JoinSet::new();
        for client in 0..clients {
            let addr = round.load.addrs[client % round.load.addrs.len()];
            // Before the others are waited for: one that cannot connect would keep them for ever.
            let wire = Wire::open(addr).await?;
            running.spawn_local(round.clone().client(wire, ready.clone()));
        }
        round.start.set(Instant::now());
        let cpu = cpu_of("thread-self");
        ready.wait().await;
        while let Some(done) = running.join_next().await {
            done.context("a client panicked")?;
        }
        let cpu = cpu_of("thread-self").zip(cpu).map(|(after, before)| after - before);
        let round = Rc::into_inner(round).context("a client is still there")?;
        Ok(round.finish(cpu.unwrap_or_default()))
    }

    async fn client(self: Rc<Self>, mut wire: Wire, ready: Rc<Barrier>) {
        ready.wait().await;
        while let Some(turn) = self.turn() {
            if turn.due > Instant::now() {
                sleep_until(turn.due.into()).await;
            }
            let sent = match self.load.pace {
                Pace::Closed => Instant::now(),
                Pace::Open(_) => turn.due,
            };
            let shots = &self.classes[turn.class].shots;
            let answer = wire.exchange(shots.bytes(turn.shot)).await;
            let took = sent.elapsed();
            let Ok(answer) = answer else {
                self.tallies.borrow_mut()[turn.class].broken += 1;
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            if answer.status < 400 {
                shots.answered(turn.shot, answer.body);
            }
            let tally = &mut self.tallies.borrow_mut()[turn.class];
            tally.record(answer.status, answer.body, took);
            tally.took = self.start.get().elapsed();
        }
    }

    /// The next request; `None` when the time is up or nothing is left.
    fn turn(&self) -> Option<Turn> {
        let start = self.start.get();
        if start.elapsed() >= self.load.during {
            return None;
        }
        let number = self.next.get();
        let due = start + self.load.pace.due(number, self.load.during)?;
        let class = self.weights.turn(number);
        let shot = self.classes[class].shots.take()?;
        self.next.set(number + 1);
        Some(Turn { due, class, shot })
    }

    fn finish(self, cpu: Duration) -> Vec<Tally> {
        let mut tallies = self.tallies.into_inner();
        if let Some(wanted) = self.load.pace.wanted(self.load.during) {
            for number in self.next.get()..wanted {
                tallies[self.weights.turn(number)].missed += 1;
            }
        }
        for tally in &mut tallies {
            tally.cpu = cpu;
        }
        tallies
    }
}

#[cfg(test)]
mod tests {
    use super::super::{get, request};
    use super::*;
    use actix_web::{App, HttpResponse, HttpServer, web};

    /// A service that greets at `/` and refuses everything else.
    async fn service() -> SocketAddr {
        let app = || {
            App::new().route("/", web::get().to(async || "hello")).default_service(web::to(
                async || HttpResponse::Conflict().body(r#"{"code":"NO"}"#),
            ))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind(("127.0.0.1", 0)).unwrap();
        let addr = server.addrs()[0];
        tokio::spawn(server.run());
        addr
    }

    fn load(addr: SocketAddr, pace: Pace) -> Load {
        Load { addrs: vec![addr], clients: 4, pace, during: Duration::from_secs(60) }
    }

    #[tokio::test]
    async fn clients_share_the_requests_and_each_is_made_once() {
        let addr = service().await;
        let greetings = Arc::new(Shots::once(vec![get("/", ""); 30]).keeping());
        let refusals = Arc::new(Shots::again(vec![request("POST", "/x", "t", "", Some("{}"))]));
        let classes = [(2, greetings.clone()), (1, refusals)];
        let classes = classes.map(|(weight, shots)| Class { shots, weight }).to_vec();
        let tallies = run(load(addr, Pace::Closed), classes).await.unwrap();
        assert_eq!((tallies[0].good(), tallies[0].refusals()), (30, 0));
        assert_eq!((tallies[1].good(), tallies[1].refused_with(409)), (0, tallies[1].sent()));
        assert!(tallies[1].sent() >= 14);
        let answers = greetings.answers();
        assert!(answers.len() == 30 && answers.iter().all(|(_, body)| body == b"hello"));
    }

    #[tokio::test]
    async fn an_open_loop_makes_what_is_due_and_no_more() {
        let addr = service().await;
        let shots = Arc::new(Shots::again(vec![get("/", "")]));
        let load = Load { during: Duration::from_millis(200), ..load(addr, Pace::Open(500.0)) };
        let tallies = run(load, vec![Class { shots, weight: 1 }]).await.unwrap();
        assert_eq!(tallies[0].sent() + tallies[0].missed, 100);
    }

    #[tokio::test]
    async fn nobody_at_the_other_end_is_an_error() {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let shots = Arc::new(Shots::again(vec![get("/", "")]));
        let class = Class { shots, weight: 1 };
        let failed = run(load(free, Pace::Closed), vec![class]).await;
        assert!(failed.unwrap_err().to_string().contains("does not answer"));
    }
}
