//! Lists as they are kept: written once by whoever reads the store, then only handed on.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EntityTag, Header, HeaderValue, IF_NONE_MATCH, IfNoneMatch,
};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use concert_domain::concert::{Finished, Form, ScheduleListing, SeatMap, SeatStatus};
use concert_domain::{ConcertId, Error, Result};
use serde::Serialize;

use super::{ScheduleListingView, SchedulesView, SeatView, SeatsView};
use crate::error::{ApiError, ApiResult};
use crate::extract::query;

/// A longer list goes to its connection in pieces: each connection copies what it is given, and a
/// hundred copies of a list of many thousand seats are more than all the rest of the process.
const PIECE: usize = 32 * 1_024;

/// The states of a seat, each with its bit in a set of them.
const STATES: [(SeatStatus, u8); 3] =
    [(SeatStatus::Available, 1), (SeatStatus::TempReserved, 2), (SeatStatus::Reserved, 4)];

/// The schedules of a concert.
pub(crate) const SCHEDULES: Form<(ConcertId, Vec<ScheduleListing>)> =
    Form { name: "schedules", write: write_schedules };

/// The seats of a schedule by the set of states that are asked for; the first is never asked for.
const SEATS: [Form<SeatMap>; 8] = [
    Form { name: "none", write: write_seats::<0> },
    Form { name: "a", write: write_seats::<1> },
    Form { name: "t", write: write_seats::<2> },
    Form { name: "at", write: write_seats::<3> },
    Form { name: "r", write: write_seats::<4> },
    Form { name: "ar", write: write_seats::<5> },
    Form { name: "tr", write: write_seats::<6> },
    ALL_SEATS,
];

/// The seats of a schedule in every state.
pub(crate) const ALL_SEATS: Form<SeatMap> = Form { name: "atr", write: write_seats::<7> };

fn write_schedules((concert_id, list): &(ConcertId, Vec<ScheduleListing>)) -> Result<Vec<u8>> {
    let schedules = list.iter().cloned().map(ScheduleListingView::from).collect();
    write(&SchedulesView { concert_id: *concert_id, schedules })
}

fn write_seats<const STATES: u8>(map: &SeatMap) -> Result<Vec<u8>> {
    let wanted = map.seats.iter().filter(|seat| STATES & bit(seat.status) != 0);
    let seats = wanted.cloned().map(SeatView::from).collect();
    write(&SeatsView { schedule_id: map.schedule_id, seats })
}

fn write(view: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(view).map_err(|error| Error::bug(error.to_string()))
}

fn bit(status: SeatStatus) -> u8 {
    STATES.iter().find(|(other, _)| *other == status).map_or(0, |(_, bit)| *bit)
}

/// The form with the states that are asked for; without any, all.
pub(super) fn wanted_seats(request: &HttpRequest) -> ApiResult<&'static Form<SeatMap>> {
    let mut states = 0;
    for name in query(request, "status")? {
        let status: SeatStatus = serde_json::from_value(name.into()).map_err(|_| {
            ApiError::invalid("status", "must be AVAILABLE, TEMP_RESERVED or RESERVED")
        })?;
        states |= bit(status);
    }
    Ok(SEATS.get(usize::from(states)).filter(|_| states != 0).unwrap_or(&ALL_SEATS))
}

/// The list under its tag, or 304 if the client has it already.
pub(super) fn tagged(request: &HttpRequest, list: Finished) -> ApiResult<HttpResponse> {
    let tag = HeaderValue::from_bytes(list.tag()).map_err(|error| Error::bug(error.to_string()))?;
    let has_it = has(request, &tag);
    let mut response = if has_it { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    let ask_again = HeaderValue::from_static("private, no-cache");
    response.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, ask_again));
    Ok(if has_it { response.finish() } else { json(response, list) })
}

/// The list without a tag.
pub(super) fn untagged(list: Finished) -> HttpResponse {
    json(HttpResponse::Ok(), list)
}

fn json(mut response: actix_web::HttpResponseBuilder, list: Finished) -> HttpResponse {
    let json = HeaderValue::from_static("application/json");
    response.insert_header((CONTENT_TYPE, json));
    let body = Bytes::from_owner(list);
    if body.len() <= PIECE { response.body(body) } else { response.body(Pieces(body)) }
}

/// A body that is handed over piece by piece, as the connection takes them.
struct Pieces(Bytes);

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let rest = &mut self.get_mut().0;
        let next = rest.split_to(PIECE.min(rest.len()));
        Poll::Ready(Some(next).filter(|next| !next.is_empty()).map(Ok))
    }
}

fn has(request: &HttpRequest, tag: &HeaderValue) -> bool {
    // Almost every client sends back just what it was given.
    match request.headers().get(IF_NONE_MATCH) {
        None => return false,
        Some(known) if known == tag => return true,
        Some(_) => {}
    }
    let Ok(tag) = tag.to_str().unwrap_or_default().parse::<EntityTag>() else { return false };
    match IfNoneMatch::parse(request) {
        Ok(IfNoneMatch::Any) => true,
        Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|other| other.weak_eq(&tag)),
        // What cannot be read is as good as absent.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use actix_web::test::TestRequest;

    use super::*;

    fn is_known(if_none_match: &str) -> bool {
        let request = TestRequest::get().insert_header((IF_NONE_MATCH, if_none_match));
        has(&request.to_http_request(), &HeaderValue::from_static("\"0123\""))
    }

    #[test]
    fn content_that_the_client_has_is_not_sent_again() {
        for known in ["\"0123\"", "W/\"0123\"", "\"other\", \"0123\"", "*"] {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["\"other\"", "nonsense", ""] {
            assert!(!is_known(unknown), "{unknown}");
        }
        let nothing = TestRequest::get().to_http_request();
        assert!(!has(&nothing, &HeaderValue::from_static("\"0123\"")));
    }

    #[actix_web::test]
    async fn a_long_list_goes_out_in_pieces_and_whole() {
        let list: Vec<u8> = (0..3 * PIECE + 7).map(|n| n as u8).collect();
        let mut body = Pieces(list.clone().into());
        assert_eq!(body.size(), BodySize::Sized(list.len() as u64));
        let mut sizes = Vec::new();
        while let Some(piece) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_next(cx)).await {
            sizes.push(piece.unwrap().len());
        }
        assert_eq!(sizes, [PIECE, PIECE, PIECE, 7]);
        assert_eq!(to_bytes(Pieces(list.clone().into())).await.unwrap(), list);
    }

    #[test]
    fn states_are_asked_for_by_name() {
        let form = |uri: &str| {
            wanted_seats(&TestRequest::with_uri(uri).to_http_request()).map(|form| form.name)
        };
        assert_eq!(form("/x").unwrap(), "atr");
        assert_eq!(form("/x?status=AVAILABLE").unwrap(), "a");
        assert_eq!(form("/x?status=RESERVED&status=AVAILABLE&status=RESERVED").unwrap(), "ar");
        for bad in ["/x?status=", "/x?status=available", "/x?status=RESERVED&status=FREE"] {
            assert_eq!(form(bad).unwrap_err().fields()[0].field, "status", "{bad}");
        }
    }

    #[test]
    fn every_set_of_states_has_a_form_of_its_own() {
        let names: std::collections::HashSet<_> = SEATS.iter().map(|form| form.name).collect();
        assert_eq!(names.len(), SEATS.len());
    }
}
