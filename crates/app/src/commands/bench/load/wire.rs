use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Room for an answer as most are.
const ROOM: usize = 16 * 1_024;
/// A head longer than this is none.
const LONGEST_HEAD: usize = 64 * 1_024;

/// A connection that sends bytes as they are and reads whole answers.
pub(in crate::commands) struct Wire {
    addr: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// One answer, until the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) struct Answer<'a> {
    pub status: u16,
    pub head: &'a [u8],
    pub body: &'a [u8],
}

impl Wire {
    pub(in crate::commands) async fn open(addr: SocketAddr) -> Result<Self> {
        let mut wire = Self { addr, stream: None, buffer: Vec::with_capacity(ROOM) };
        wire.connect().await?;
        Ok(wire)
    }

    async fn connect(&mut self) -> Result<&mut TcpStream> {
        let addr = self.addr;
        let stream = TcpStream::connect(addr).await;
        let stream = stream.with_context(|| format!("http://{addr} does not answer"))?;
        stream.set_nodelay(true)?;
        Ok(self.stream.insert(stream))
    }

    /// Sends a request and reads the whole answer. A connection that was closed is opened anew by
    /// the next call; this one fails.
    pub(in crate::commands) async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        let head = match self.attempt(request).await {
            Ok(head) => head,
            Err(error) => {
                self.stream = None;
                return Err(error);
            }
        };
        if head.last {
            self.stream = None;
        }
        let (top, body) = self.buffer.split_at(head.length);
        Ok(Answer { status: head.status, head: top, body })
    }

    async fn attempt(&mut self, request: &[u8]) -> Result<Head> {
        if self.stream.is_none() {
            self.connect().await?;
        }
        let stream = self.stream.as_mut().context("a connection")?;
        stream.write_all(request).await?;
        self.buffer.clear();
        self.buffer.reserve(ROOM);
        let head = loop {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the service closed the connection");
            }
            if let Some(head) = Head::of(&self.buffer)? {
                break head;
            }
        };
        let whole = head.length + head.body;
        self.buffer.reserve(whole.saturating_sub(self.buffer.len()));
        while self.buffer.len() < whole {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the service closed the connection in the middle of an answer");
            }
        }
        Ok(head)
    }
}

/// What is to be known of an answer's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    body: usize,
    /// No other answer follows on this connection.
    last: bool,
}

impl Head {
    /// `None` while it is not there to its end.
    fn of(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") else {
            if bytes.len() > LONGEST_HEAD {
                bail!("the head of an answer has no end");
            }
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes[..end]).context("the head of an answer")?;
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status: u16 = status.with_context(|| format!("{text:?} is no answer"))?;
        let mut head = Self { status, length: end + 4, body: 0, last: false };
        for line in lines {
            head.read(line)?;
        }
        if matches!(status, 204 | 304) {
            head.body = 0;
        }
        Ok(Some(head))
    }

    fn read(&mut self, line: &str) -> Result<()> {
        let Some((name, value)) = line.split_once(':') else { return Ok(()) };
        if name.eq_ignore_ascii_case("content-length") {
            self.body = value.trim().parse().context("the length of an answer")?;
        } else if name.eq_ignore_ascii_case("connection") {
            self.last = value.trim().eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("answers in chunks are not understood by this client");
        }
        Ok(())
    }
}

impl Answer<'_> {
    /// The value of a header.
    pub(in crate::commands) fn header(&self, name: &str) -> Option<&str> {
        let text = std::str::from_utf8(self.head).ok()?;
        text.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        assert_eq!(Head::of(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n").unwrap(), None);
        let head = Head::of(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        assert_eq!(head, Some(Head { status: 200, length: 38, body: 5, last: false }));
        let head = Head::of(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n").unwrap();
        assert_eq!(head.map(|head| head.body), Some(0));
        let head = Head::of(b"HTTP/1.1 503 X\r\nconnection: close\r\n\r\n").unwrap();
        assert!(head.unwrap().last);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(Head::of(b"SSH-2.0 hello\r\n\r\n").is_err());
        assert!(Head::of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(Head::of(&[b'x'; LONGEST_HEAD + 1]).is_err());
    }

    #[test]
    fn headers_are_found_in_any_case() {
        let answer = Answer { status: 200, head: b"HTTP/1.1 200 OK\r\nETag: \"7\"\r\n", body: b"" };
        assert_eq!(answer.header("etag"), Some("\"7\""));
        assert_eq!(answer.header("x"), None);
    }
}
