use actix_web::http::Method;

use crate::routes::BASE_PATH;

/// What a request costs and how much depends on it, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Money: paying, refunding, charging.
    Pay,
    /// Operators, who must be able to act when it matters.
    Admin,
    /// Seats and slots: holding, and giving back.
    Hold,
    /// Looking.
    Read,
    /// Asking where one stands.
    Poll,
    /// Coming in.
    Join,
}

impl Class {
    /// All, by importance.
    pub const ALL: [Self; 6] =
        [Self::Pay, Self::Admin, Self::Hold, Self::Read, Self::Poll, Self::Join];

    /// The class of a request; none for probes and figures, which are never refused, nor for what
    /// is beside the API.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let route = path.strip_prefix(BASE_PATH)?.strip_prefix('/')?;
        let mut parts = route.split('/');
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let reads = *method == Method::GET || *method == Method::HEAD;
        Some(match first {
            "admin" => Self::Admin,
            "queue" if second == "status" => Self::Poll,
            "queue" if *method == Method::DELETE => Self::Hold,
            "queue" => Self::Join,
            _ if reads => Self::Read,
            "payments" | "points" => Self::Pay,
            "users" => Self::Join,
            _ => Self::Hold,
        })
    }

    /// Its place in [`Class::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name in figures and refusals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pay => "pay",
            Self::Admin => "admin",
            Self::Hold => "hold",
            Self::Read => "read",
            Self::Poll => "poll",
            Self::Join => "join",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_the_class_of_what_depends_on_it() {
        for (index, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class.index(), index);
        }
        for (method, path, class) in [
            (Method::POST, "/api/v1/payments", Some(Class::Pay)),
            (Method::POST, "/api/v1/payments/7/refund", Some(Class::Pay)),
            (Method::PATCH, "/api/v1/points/charge", Some(Class::Pay)),
            (Method::GET, "/api/v1/points/7", Some(Class::Read)),
            (Method::POST, "/api/v1/reservations", Some(Class::Hold)),
            (Method::DELETE, "/api/v1/reservations/7", Some(Class::Hold)),
            (Method::DELETE, "/api/v1/queue/tokens", Some(Class::Hold)),
            (Method::POST, "/api/v1/queue/tokens", Some(Class::Join)),
            (Method::POST, "/api/v1/users", Some(Class::Join)),
            (Method::GET, "/api/v1/queue/status", Some(Class::Poll)),
            (Method::GET, "/api/v1/schedules/7/seats", Some(Class::Read)),
            (Method::GET, "/api/v1/admin/concerts/7/queue", Some(Class::Admin)),
            (Method::GET, "/healthz", None),
            (Method::GET, "/readyz", None),
            (Method::GET, "/metrics", None),
        ] {
            assert_eq!(Class::of(&method, path), class, "{method} {path}");
        }
    }
}
