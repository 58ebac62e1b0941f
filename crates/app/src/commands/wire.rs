//! A lean HTTP/1.1 client over one connection, so that the load of a benchmark costs less than what
//! it measures.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A connection that is kept open.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    line: String,
    /// The body of the last answer.
    body: Vec<u8>,
}

impl Connection {
    pub(super) async fn open(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)
            .await
            .with_context(|| format!("http://{addr} does not answer"))?;
        stream.set_nodelay(true)?;
        let stream = BufReader::with_capacity(64 * 1_024, stream);
        Ok(Self { stream, host: addr.to_string(), line: String::new(), body: Vec::new() })
    }

    /// Sends a request and reads the whole answer; answers its status.
    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<u16> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        if !token.is_empty() {
            request.push_str(&format!("concert-queue-token: {token}\r\n"));
        }
        match body {
            Some(body) => {
                let body = body.to_string();
                let length = body.len();
                request.push_str(&format!(
                    "content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
                ));
            }
            None => request.push_str("\r\n"),
        }
        self.stream.write_all(request.as_bytes()).await?;
        self.answer().await
    }

    /// Sends a request whose refusal would make the rest pointless; answers the body.
    pub(super) async fn must(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let status = self.send(method, path, token, body).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} answered {status}: {}", String::from_utf8_lossy(&self.body));
        }
        self.json()
    }

    /// The body of the last answer.
    pub(super) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("the answer is no JSON")
    }

    async fn answer(&mut self) -> Result<u16> {
        self.read_line().await?;
        let status = self.line.split(' ').nth(1).and_then(|text| text.parse().ok());
        let status = status.with_context(|| format!("{:?} is no answer", self.line))?;
        let mut length = 0;
        loop {
            self.read_line().await?;
            let Some((name, value)) = self.line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().context("the length of an answer")?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                bail!("answers in chunks are not understood by this client");
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).await?;
        Ok(status)
    }

    async fn read_line(&mut self) -> Result<()> {
        self.line.clear();
        if self.stream.read_line(&mut self.line).await? == 0 {
            bail!("the service closed the connection");
        }
        Ok(())
    }
}
