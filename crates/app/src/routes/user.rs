//! Names of users.

use actix_web::{HttpRequest, HttpResponse, get, post};
use concert_domain::user::{Kept, User, UserName};
use concert_domain::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Routes;
use super::reply::created;
use super::schema::{Id, Instant};
use super::{BASE_PATH, State};
use crate::error::ApiResult;
use crate::error::ErrorCode::{InvalidInput, UserNotFound};
use crate::extract::{Body, Caller, given, path_id};
use crate::openapi::{BODY, CALLER, UserIdPath, refusals};

pub(super) fn configure(cfg: &mut impl Routes) {
    cfg.service(register_user).service(find_user);
}

/// A name to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RegisterBody {
    /// The name.
    #[schema(min_length = 1, max_length = 100, example = "Kim")]
    name: String,
    /// Whose it is; a new user is made if absent.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Id>, nullable = false)]
    user_id: Option<UserId>,
}

/// A user whose name is kept.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct UserView {
    /// Who it is.
    #[schema(value_type = Id)]
    user_id: UserId,
    /// What it is called.
    #[schema(example = "Kim")]
    name: String,
    /// When a name was first kept.
    #[schema(value_type = Instant)]
    created_at: Timestamp,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let name = user.name.as_str().to_owned();
        Self { user_id: user.id, name, created_at: user.created_at }
    }
}

refusals!(RegisterRefusals = BODY, CALLER);
refusals!(FindRefusals = CALLER, &[InvalidInput, UserNotFound]);

/// Keep a user's name, or make a user with one. A caller with a bearer token names itself.
#[utoipa::path(
    tag = "users",
    request_body = RegisterBody,
    responses(
        (status = 201, description = "The name is kept", body = UserView,
            headers(("Location" = String, description = "The user"))),
        (status = 200, description = "The user had a name, which is replaced", body = UserView),
        RegisterRefusals,
    ),
)]
#[post("/users")]
async fn register_user(state: State, caller: Caller, body: Body) -> ApiResult<HttpResponse> {
    let body: RegisterBody = body.json()?;
    let name = UserName::try_from(body.name)?;
    let named = caller.user_if_known(body.user_id)?;
    Ok(match state.services.users.register(named, name).await? {
        Kept::Created(user) => {
            created(format!("{BASE_PATH}/users/{}", user.id), &UserView::from(user))
        }
        Kept::Renamed(user) => HttpResponse::Ok().json(UserView::from(user)),
    })
}

/// Look a user up.
#[utoipa::path(
    tag = "users",
    params(UserIdPath),
    responses((status = 200, description = "The user", body = UserView), FindRefusals),
)]
#[get("/users/{userId}")]
async fn find_user(state: State, request: HttpRequest, caller: Caller) -> ApiResult<HttpResponse> {
    let user = caller.user(path_id(&request, "userId")?)?;
    Ok(HttpResponse::Ok().json(UserView::from(state.services.users.find(user).await?)))
}
