use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::Answer;

/// Every route of the API: what the document must list, and nothing else.
pub const ROUTES: &[&str] = &[
    "POST /api/v1/queue/tokens",
    "DELETE /api/v1/queue/tokens",
    "GET /api/v1/queue/status",
    "GET /api/v1/concerts",
    "GET /api/v1/concerts/{}",
    "GET /api/v1/concerts/{}/schedules",
    "GET /api/v1/concerts/ranking",
    "GET /api/v1/schedules/{}/seats",
    "POST /api/v1/reservations",
    "GET /api/v1/reservations/{}",
    "DELETE /api/v1/reservations/{}",
    "PATCH /api/v1/points/charge",
    "GET /api/v1/points/{}",
    "POST /api/v1/payments",
    "GET /api/v1/payments/{}",
    "POST /api/v1/payments/{}/refund",
    "POST /api/v1/users",
    "GET /api/v1/users/{}",
    "GET /api/v1/users/{}/reservations",
    "GET /api/v1/users/{}/payments",
    "GET /api/v1/users/{}/points/history",
    "POST /api/v1/admin/concerts",
    "PATCH /api/v1/admin/concerts/{}",
    "DELETE /api/v1/admin/concerts/{}",
    "POST /api/v1/admin/concerts/{}/schedules",
    "GET /api/v1/admin/schedules/{}",
    "PATCH /api/v1/admin/schedules/{}",
    "DELETE /api/v1/admin/schedules/{}",
    "POST /api/v1/admin/schedules/{}/seats",
    "PATCH /api/v1/admin/seats/{}",
    "DELETE /api/v1/admin/seats/{}",
    "GET /api/v1/admin/concerts/{}/queue",
    "PATCH /api/v1/admin/concerts/{}/queue",
    "GET /api/v1/admin/audit",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /openapi.json",
    "GET /docs",
];

/// The OpenAPI document as a judge of answers.
pub struct Contract {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Contract {
    /// The judge that follows this document.
    pub fn new(document: Value) -> Self {
        Self { document, validators: Mutex::default() }
    }

    /// The document that the code under test generates.
    pub fn of_this_build() -> &'static Self {
        static CONTRACT: OnceLock<Contract> = OnceLock::new();
        CONTRACT.get_or_init(|| {
            let document = concert_app::openapi::document();
            Self::new(serde_json::to_value(document).expect("the document is JSON"))
        })
    }

    /// Checks an answer: its status, its type and its shape must be documented. What the document
    /// has no route for is none of its business.
    pub fn check(&self, method: &str, path: &str, answer: &Answer) -> Result<(), String> {
        let path = path.split('?').next().unwrap_or(path);
        let Some(template) = self.template(path) else { return Ok(()) };
        let operation = &self.document["paths"][template][method.to_lowercase()];
        if operation.is_null() {
            return Ok(());
        }
        let documented = &operation["responses"][answer.status.to_string()];
        if documented.is_null() {
            return Err(format!("status {} of {template} is not documented", answer.status));
        }
        let content = &self.resolve(documented)["content"];
        if content.is_null() || answer.bytes.is_empty() {
            return match (content.is_null(), answer.bytes.is_empty()) {
                (true, true) => Ok(()),
                (documented_empty, _) => Err(format!("empty as documented: {documented_empty}")),
            };
        }
        let media = answer.header("content-type").unwrap_or_default();
        let media = media.split(';').next().unwrap_or_default();
        let Some(described) = content.get(media) else {
            return Err(format!("type {media:?} is not documented"));
        };
        if !media.ends_with("json") || described["schema"].is_null() {
            return Ok(());
        }
        let name = format!("{method} {template} {} {media}", answer.status);
        let validator = self.validator(name, &described["schema"])?;
        let errors: Vec<_> = validator
            .iter_errors(&answer.body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    /// The most literal path template that the path fits.
    fn template(&self, path: &str) -> Option<&str> {
        let paths = self.document["paths"].as_object()?;
        let variables = |template: &&String| template.matches('{').count();
        paths.keys().filter(|template| fits(template, path)).min_by_key(variables).map(|t| &**t)
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let pointer = value["$ref"].as_str().and_then(|r| r.strip_prefix('#'));
        pointer.and_then(|p| self.document.pointer(p)).unwrap_or(value)
    }

    /// The validator of a schema. Members that the schema does not know are refused.
    fn validator(&self, name: String, schema: &Value) -> Result<Arc<Validator>, String> {
        let mut known = self.validators.lock().expect("nobody panics in here");
        if let Some(validator) = known.get(&name) {
            return Ok(validator.clone());
        }
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "unevaluatedProperties": false,
            "components": self.document["components"],
        });
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| format!("the schema of {name} is wrong: {error}"))?;
        Ok(known.entry(name).or_insert(Arc::new(validator)).clone())
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(t, p)| t == p || (t.starts_with('{') && !p.is_empty()))
}
