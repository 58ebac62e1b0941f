use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Client;

/// How often each instance is asked whether it is ready.
const PROBE: Duration = Duration::from_millis(100);
/// How long a connection of a client waits for an instance that takes it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A small balancer, as stands in front of a sale: it asks `/readyz`, hands new connections to the
/// ready instances in turn, and takes the next one when a connection is refused. It reads and
/// repeats nothing of what goes through it.
pub struct Balancer {
    address: SocketAddr,
    table: Arc<Table>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Table {
    backends: Mutex<Vec<Arc<Backend>>>,
    turn: AtomicUsize,
    refused: AtomicUsize,
}

struct Backend {
    address: String,
    ready: AtomicBool,
}

impl Balancer {
    /// Starts without instances.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let (table, mut tasks) = (Arc::<Table>::default(), JoinSet::new());
        tasks.spawn(accept(listener, table.clone()));
        tasks.spawn(probe(table.clone()));
        Self { address, table, _tasks: tasks }
    }

    /// A client that opens a connection for every request.
    pub fn client(&self) -> Client {
        Client::without_keep_alive(format!("http://{}", self.address))
    }

    /// Puts an instance into the turn, once it is ready.
    pub fn add(&self, instance: &Client) {
        let address = instance.address().to_owned();
        let backend = Arc::new(Backend { address, ready: AtomicBool::new(false) });
        self.table.backends.lock().expect("nobody panics in here").push(backend);
    }

    /// How many instances are ready.
    pub fn ready(&self) -> usize {
        self.table.ready().len()
    }

    /// Forgets an instance that has ended.
    pub fn remove(&self, address: &str) {
        let mut backends = self.table.backends.lock().expect("nobody panics in here");
        backends.retain(|backend| backend.address != address);
    }

    /// How many connections were refused by an instance and given to another one.
    pub fn refused(&self) -> usize {
        self.table.refused.load(Ordering::SeqCst)
    }
}

impl Table {
    fn all(&self) -> Vec<Arc<Backend>> {
        self.backends.lock().expect("nobody panics in here").clone()
    }

    fn ready(&self) -> Vec<Arc<Backend>> {
        self.all().into_iter().filter(|one| one.ready.load(Ordering::SeqCst)).collect()
    }

    /// A connection to an instance that takes one.
    async fn connect(&self) -> TcpStream {
        loop {
            let ready = self.ready();
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            if let Some(backend) = ready.get(turn % ready.len().max(1)) {
                if let Ok(stream) = TcpStream::connect(&backend.address).await {
                    return stream;
                }
                self.refused.fetch_add(1, Ordering::SeqCst);
                backend.ready.store(false, Ordering::SeqCst);
            } else {
                sleep(PROBE / 10).await;
            }
        }
    }
}

async fn accept(listener: TcpListener, table: Arc<Table>) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let table = table.clone();
        connections.spawn(async move {
            if let Ok(mut backend) = timeout(PATIENCE, table.connect()).await {
                copy_bidirectional(&mut client, &mut backend).await.ok();
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn probe(table: Arc<Table>) {
    loop {
        for backend in table.all() {
            let client = Client::without_keep_alive(format!("http://{}", backend.address));
            let answer = client.get("//readyz").attempt().await;
            let ready = answer.is_ok_and(|answer| answer.status == 200);
            backend.ready.store(ready, Ordering::SeqCst);
        }
        sleep(PROBE).await;
    }
}
