use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use concert_domain::UserId;
use concert_domain::queue::{QueueService, QueueToken};

use super::header;
use crate::error::{ApiError, ApiResult, ErrorCode};

/// Names the caller on routes that name nobody else, when whatever is in front is trusted.
pub const USER_HEADER: &str = "X-User-Id";

/// Who is calling. The one place that knows how callers prove who they are.
#[derive(Debug)]
pub enum Caller {
    /// Whatever is in front has authenticated the caller, so every name is believed. Holds the
    /// name in the header, or why there is none.
    Trusted(ApiResult<UserId>),
}

impl Caller {
    /// The user that a path names, if the caller may act for it.
    pub fn user(&self, named: UserId) -> ApiResult<UserId> {
        match self {
            Self::Trusted(_) => Ok(named),
        }
    }

    /// The user that a body names, or the caller if it names nobody.
    pub fn user_or_self(&self, named: Option<UserId>) -> ApiResult<UserId> {
        named.map_or_else(|| self.owner(), |named| self.user(named))
    }

    /// The user that a body names, or the owner of the queue token.
    pub async fn user_or_token_owner(
        &self,
        named: Option<UserId>,
        queue: &QueueService,
        token: &QueueToken,
    ) -> ApiResult<UserId> {
        match named {
            Some(named) => self.user(named),
            None => self.user(queue.owner(token).await?),
        }
    }

    /// The caller of a route that names nobody.
    pub fn owner(&self) -> ApiResult<UserId> {
        match self {
            Self::Trusted(header) => header.clone(),
        }
    }

    /// Whether the caller may use the admin routes.
    pub fn admin(&self) -> ApiResult<()> {
        match self {
            Self::Trusted(_) => Ok(()),
        }
    }
}

fn user_header(request: &HttpRequest) -> ApiResult<UserId> {
    let unknown = |detail: &str| {
        ApiError::new(ErrorCode::Unauthenticated, format!("the header {USER_HEADER} {detail}"))
    };
    let text = header(request, USER_HEADER)?.ok_or_else(|| unknown("is missing"))?;
    text.parse().map_err(|_| unknown("must be the id of a user"))
}

impl FromRequest for Caller {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::Trusted(user_header(request))))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    async fn caller(header: Option<&str>) -> Caller {
        let request = TestRequest::get();
        let request = match header {
            Some(value) => request.insert_header((USER_HEADER, value)),
            None => request,
        };
        Caller::extract(&request.to_http_request()).await.unwrap()
    }

    #[actix_web::test]
    async fn a_trusted_front_is_believed() {
        let user = UserId::try_from(7).unwrap();
        assert_eq!(caller(None).await.user(user), Ok(user));
        assert_eq!(caller(Some("7")).await.owner(), Ok(user));
        assert!(caller(None).await.admin().is_ok());
    }

    #[actix_web::test]
    async fn without_a_name_the_caller_is_unknown() {
        for header in [None, Some("0"), Some("seven"), Some("")] {
            let refusal = caller(header).await.owner().unwrap_err();
            assert_eq!(refusal.code, ErrorCode::Unauthenticated, "{header:?}");
        }
        assert!(caller(Some("7")).await.user_or_self(None).is_ok());
    }
}
