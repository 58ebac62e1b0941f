use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::class::Class;
use super::gate::{Gate, Permit};
use crate::error::{ApiError, ApiResult, ErrorCode};

/// A request's way to its place. It takes it when its body is here, not before: who sends slowly
/// keeps nobody from a place.
#[derive(Clone)]
pub struct Admission(Rc<Request>);

struct Request {
    gate: Arc<Gate>,
    class: Class,
    permit: RefCell<Option<Permit>>,
    entered: Notify,
}

impl Admission {
    pub(super) fn new(gate: Arc<Gate>, class: Class) -> Self {
        let (permit, entered) = (RefCell::default(), Notify::new());
        Self(Rc::new(Request { gate, class, permit, entered }))
    }

    /// Takes a place, once; refused when the service is full.
    pub async fn enter(&self) -> ApiResult<()> {
        if self.0.permit.borrow().is_some() {
            return Ok(());
        }
        let Some(permit) = self.0.gate.enter(self.0.class).await else {
            metrics::counter!("concert_requests_shed_total", "class" => self.0.class.name())
                .increment(1);
            return Err(full(self.0.class));
        };
        self.0.permit.replace(Some(permit));
        self.0.entered.notify_one();
        Ok(())
    }

    /// Ends when the request has had its place for so long.
    pub(super) async fn overdue(&self, deadline: Duration) {
        self.0.entered.notified().await;
        tokio::time::sleep(deadline).await;
    }

    pub(super) fn leave(&self) {
        self.0.permit.take();
    }
}

/// Those who are told to come again must not all come at once: the less important, the later.
fn full(class: Class) -> ApiError {
    let seconds = match class {
        Class::Pay | Class::Admin | Class::Hold => 1,
        Class::Read => 2,
        Class::Poll | Class::Join => 3,
    };
    let detail = "the service has more to do than it can; nothing was done";
    ApiError::later(ErrorCode::ServiceUnavailable, detail, Duration::from_secs(seconds))
}
