//! Chunked uploads that nobody reads to the end.
//!
//! What is left of a chunked body whose reader is gone the server reads and forgets, with no bound
//! in bytes or time, before it looks at the connection again: whoever never ends such a body would
//! keep a connection for ever. While the reader lives it closes the connection after the answer
//! instead (actix-http 3.20, `should_close_for_unread_payload`). So the reader lives as long as the
//! answer.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header::TRANSFER_ENCODING;
use actix_web::web::Bytes;
use futures::Stream;

/// What a chunked body comes out of.
pub(super) type Reader = Rc<RefCell<Payload>>;

/// The reader of this request's body if it is a chunked one; others end by their length.
pub(super) fn reader(request: &mut ServiceRequest) -> Option<Reader> {
    if !request.headers().contains_key(TRANSFER_ENCODING) {
        return None;
    }
    let reader = Rc::new(RefCell::new(request.take_payload()));
    request.set_payload(Payload::Stream { payload: Box::pin(Shared(reader.clone())) });
    Some(reader)
}

/// What handlers read from.
struct Shared(Reader);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// An answer's body, and the reader that lives as long.
pub(super) struct Answering<B> {
    pub body: B,
    pub reader: Option<Reader>,
}

impl<B: MessageBody + Unpin> MessageBody for Answering<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }

    fn try_into_bytes(self) -> Result<Bytes, Self> {
        let Self { body, reader } = self;
        match reader {
            None => body.try_into_bytes().map_err(|body| Self { body, reader: None }),
            Some(_) => Err(Self { body, reader }),
        }
    }
}
