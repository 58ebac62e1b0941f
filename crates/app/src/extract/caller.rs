use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};
use concert_domain::UserId;
use concert_domain::queue::{QueueService, SealedToken};

use super::header;
use crate::AppState;
use crate::auth::{Authority, Identity};
use crate::error::{ApiError, ApiResult, ErrorCode};

/// Names the caller on routes that name nobody else, when whatever is in front is trusted.
pub const USER_HEADER: &str = "X-User-Id";

/// Who is calling. The one place that knows how callers prove who they are.
#[derive(Debug)]
pub enum Caller {
    /// Whatever is in front has authenticated the caller, so every name is believed. Holds the
    /// name in the header, or what is wrong with it.
    Trusted(ApiResult<Option<UserId>>),
    /// A bearer token has named the caller, who acts for nobody else; an admin neither.
    Jwt(Identity),
}

impl Caller {
    /// The caller of a request, by what the configuration asks for.
    fn of(authority: &Authority, request: &HttpRequest) -> ApiResult<Self> {
        match authority {
            Authority::Trusted => Ok(Self::Trusted(user_header(request))),
            Authority::Jwt(bearers) => {
                let identity = bearers.check(bearer(request)?).map_err(unknown)?;
                Ok(Self::Jwt(identity))
            }
        }
    }

    /// The user that a path names, if the caller may act for it.
    pub fn user(&self, named: UserId) -> ApiResult<UserId> {
        match self {
            Self::Trusted(_) => Ok(named),
            Self::Jwt(identity) if identity.user == named => Ok(named),
            Self::Jwt(_) => Err(forbidden("the bearer token is for another user")),
        }
    }

    /// The user that a body names, or the caller if it names nobody.
    pub fn user_or_self(&self, named: Option<UserId>) -> ApiResult<UserId> {
        named.map_or_else(|| self.owner(), |named| self.user(named))
    }

    /// The user that a body names, or the caller if a bearer token says who that is; else nobody.
    pub fn user_if_known(&self, named: Option<UserId>) -> ApiResult<Option<UserId>> {
        named.map_or_else(|| Ok(self.holder()), |named| self.user(named).map(Some))
    }

    /// The user that a body names, or the owner of the queue token.
    pub async fn user_or_token_owner(
        &self,
        named: Option<UserId>,
        queue: &QueueService,
        token: &SealedToken,
    ) -> ApiResult<UserId> {
        match (named, self) {
            (Some(named), _) => self.user(named),
            (None, Self::Jwt(identity)) => Ok(identity.user),
            (None, Self::Trusted(_)) => Ok(queue.owner(token).await?),
        }
    }

    /// Whose queue token it must be, where nobody is named.
    pub fn holder(&self) -> Option<UserId> {
        match self {
            Self::Trusted(_) => None,
            Self::Jwt(identity) => Some(identity.user),
        }
    }

    /// The caller of a route that names nobody.
    pub fn owner(&self) -> ApiResult<UserId> {
        match self {
            Self::Trusted(header) => header.clone()?.ok_or_else(|| bad_user_header("is missing")),
            Self::Jwt(identity) => Ok(identity.user),
        }
    }

    /// Who is calling, where that is known.
    pub fn known(&self) -> Option<UserId> {
        match self {
            Self::Trusted(header) => header.as_ref().ok().copied().flatten(),
            Self::Jwt(identity) => Some(identity.user),
        }
    }

    /// Whether the caller may use the admin routes.
    pub fn admin(&self) -> ApiResult<()> {
        match self {
            Self::Jwt(identity) if !identity.admin => {
                Err(forbidden("scope of the bearer token does not contain admin"))
            }
            Self::Trusted(_) | Self::Jwt(_) => Ok(()),
        }
    }
}

fn unknown(detail: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Unauthenticated, detail)
}

fn forbidden(detail: &str) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, detail)
}

fn user_header(request: &HttpRequest) -> ApiResult<Option<UserId>> {
    let Some(text) = header(request, USER_HEADER)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| bad_user_header("must be the id of a user"))
}

fn bad_user_header(detail: &str) -> ApiError {
    unknown(format!("the header {USER_HEADER} {detail}"))
}

/// The bearer token of the request. Who sends none, or several, is unknown.
fn bearer(request: &HttpRequest) -> ApiResult<&str> {
    let refuse = || unknown("the header Authorization must have one bearer token");
    let text = header(request, AUTHORIZATION.as_str()).ok().flatten().ok_or_else(refuse)?;
    let (scheme, token) = text.split_once(' ').ok_or_else(refuse)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim_start()) } else { Err(refuse()) }
}

/// Refuses at once: of whom nobody knows, no body is read.
impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match request.app_data::<web::Data<AppState>>() {
            Some(state) => Self::of(&state.authority, request),
            None => Err(concert_domain::Error::bug("callers without an AppState").into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn caller(header: Option<&str>) -> Caller {
        let request = TestRequest::get();
        let request = match header {
            Some(value) => request.insert_header((USER_HEADER, value)),
            None => request,
        };
        Caller::of(&Authority::Trusted, &request.to_http_request()).unwrap()
    }

    #[test]
    fn a_trusted_front_is_believed() {
        let user = UserId::try_from(7).unwrap();
        assert_eq!(caller(None).user(user), Ok(user));
        assert_eq!(caller(Some("7")).owner(), Ok(user));
        assert!(caller(None).admin().is_ok());
    }

    #[test]
    fn without_a_name_the_caller_is_unknown() {
        for header in [None, Some("0"), Some("seven"), Some("")] {
            let refusal = caller(header).owner().unwrap_err();
            assert_eq!(refusal.code, ErrorCode::Unauthenticated, "{header:?}");
        }
        assert!(caller(Some("7")).user_or_self(None).is_ok());
    }
}
