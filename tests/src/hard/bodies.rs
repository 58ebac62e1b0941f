use crate::{Engines, ROUTES, TestApp};

/// A service to which bodies are sent, as a caller whom its routes let in.
pub struct Bodies {
    app: TestApp,
    token: String,
    routes: Vec<(&'static str, String)>,
}

impl Bodies {
    /// Starts one, with a concert, a schedule, seats and a user inside, so that what is right comes
    /// as far as the store.
    pub async fn start() -> Self {
        let app = TestApp::start(Engines::embedded().await).await;
        let show = app.show(3).await;
        let token = app.buyer(1).rich(1_000_000).await.admitted(show.concert).await.token;
        let of_show = |route: &str| {
            let id = match route {
                route if route.contains("schedules/{}") => show.schedule,
                route if route.contains("seats/{}") => show.seats[2],
                _ => show.concert,
            };
            route.replace("{}", &id.to_string()).replace("/api/v1", "")
        };
        let with_body = ROUTES.iter().filter_map(|route| route.split_once(' '));
        let with_body = with_body.filter(|(method, _)| matches!(*method, "POST" | "PATCH"));
        let routes = with_body.map(|(method, path)| (method, of_show(path))).collect();
        Self { app, token, routes }
    }

    /// How many routes take a body; the first byte of what is sent chooses one.
    pub fn routes(&self) -> usize {
        self.routes.len()
    }

    /// Sends a body. Every answer is as documented (the client looks), none is a 5xx, and a refusal
    /// reads back as a problem that says what its status says.
    pub async fn send(&self, data: &[u8]) {
        let Some((first, body)) = data.split_first() else { return };
        let (method, path) = &self.routes[usize::from(*first) % self.routes.len()];
        let call = if *method == "POST" { self.app.post(path) } else { self.app.patch(path) };
        let answer = call.user(1).token(&self.token).raw(body).await;
        if answer.status < 400 {
            return;
        }
        assert!(answer.status < 500, "{answer:?} to {}", body.escape_ascii());
        let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
        answer.refused(answer.status, &code);
        for error in answer.body["errors"].as_array().unwrap_or(&Vec::new()) {
            let told = |member: &str| error[member].as_str().is_some_and(|text| !text.is_empty());
            assert!(told("field") && told("message"), "{answer:?}");
        }
    }
}
