use std::convert::Infallible;

use actix_web::dev::Payload;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use futures::future::{FutureExt, LocalBoxFuture};

use super::body::{Body, Media, receive};
use crate::error::ApiResult;

/// The largest body that describes seats, in bytes.
const SEAT_FILE_LIMIT: usize = 4 * 1024 * 1024;

/// A body that describes seats: JSON, or a file of comma-separated values.
#[derive(Debug)]
pub struct SeatFile(ApiResult<(Media, Bytes)>);

impl SeatFile {
    /// What it says, by whichever of the two it is written in.
    pub fn read<T>(
        &self,
        json: impl FnOnce(&Body<SEAT_FILE_LIMIT>) -> ApiResult<T>,
        csv: impl FnOnce(&[u8]) -> ApiResult<T>,
    ) -> ApiResult<T> {
        let (media, bytes) = self.0.as_ref().map_err(Clone::clone)?;
        match media {
            Media::Json => json(&Body(Ok(bytes.clone()))),
            Media::Csv => csv(bytes),
        }
    }
}

impl FromRequest for SeatFile {
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = receive::<SEAT_FILE_LIMIT>(request, payload, &[Media::Json, Media::Csv]);
        async move { Ok(Self(body.await)) }.boxed_local()
    }
}
