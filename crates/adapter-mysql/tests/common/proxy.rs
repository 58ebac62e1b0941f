//! A way to the server that can lose a COMMIT, or the answer to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    Nothing,
    /// It never reaches the server.
    Command,
    /// The server obeys, and nobody hears of it.
    Answer,
}

pub struct Proxy {
    pub url: String,
    cut: Arc<AtomicU8>,
}

impl Proxy {
    /// A way to the database that the URL names.
    pub async fn start(url: &str) -> Self {
        let (account, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{account}@{}/{database}", listener.local_addr().unwrap());
        let (cut, server) = (Arc::new(AtomicU8::new(0)), server.to_owned());
        let state = cut.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                tokio::spawn(carry(client, server, state.clone()));
            }
        });
        Self { url, cut }
    }

    /// Cuts the connection of the next COMMIT, and then no more.
    pub fn cut_next(&self, cut: Cut) {
        self.cut.store(cut as u8, Ordering::SeqCst);
    }

    /// Whether a cut was asked for and has not happened.
    pub fn is_waiting(&self) -> bool {
        self.cut.load(Ordering::SeqCst) != Cut::Nothing as u8
    }
}

async fn carry(client: TcpStream, server: TcpStream, state: Arc<AtomicU8>) {
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let mute = Arc::new(AtomicBool::new(false));
    let answers = tokio::spawn(answer(from_server, to_client, mute.clone()));
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
        let is_commit = buffer[..read].windows(7).any(|bytes| bytes == b"\x03COMMIT");
        let cut = if is_commit { state.swap(Cut::Nothing as u8, Ordering::SeqCst) } else { 0 };
        if cut == Cut::Command as u8 {
            answers.abort();
            return;
        }
        mute.store(cut == Cut::Answer as u8, Ordering::SeqCst);
        if to_server.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        if cut == Cut::Answer as u8 {
            // The server has answered when this ends, and nobody heard it.
            answers.await.ok();
            return;
        }
    }
}

async fn answer(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mute: Arc<AtomicBool>) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if mute.load(Ordering::SeqCst) || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
