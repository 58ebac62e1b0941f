//! The OpenAPI document: well formed, complete, and the same wherever it is asked for. That every
//! answer agrees with it is checked by the client, in every test.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;

use concert_tests::{Answer, Contract, Engines, ROUTES, TestApp, concert};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

fn document() -> Value {
    serde_json::to_value(concert_app::openapi::document()).unwrap()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                found.push((method.to_uppercase(), path.clone(), operation));
            }
        }
    }
    found
}

/// A path without the names of its variables.
fn anonymous(path: &str) -> String {
    let segments = path.split('/').map(|s| if s.starts_with('{') { "{}" } else { s });
    segments.collect::<Vec<_>>().join("/")
}

fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Value)) {
    visit(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(members) => members.values().for_each(|member| walk(member, visit)),
        _ => {}
    }
}

#[tokio::test]
async fn the_served_document_is_that_of_the_code_and_of_the_command() {
    let app = TestApp::start(Engines::embedded().await).await;
    let served = app.get("//openapi.json").await.ok(200);
    assert_eq!(served, document());
    let printed = concert(&["openapi"], &[]).await;
    assert!(printed.status.success(), "{printed:?}");
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed, served);
}

#[test]
fn the_document_lists_exactly_the_routes_of_the_contract() {
    let document = document();
    let listed: BTreeSet<String> = operations(&document)
        .iter()
        .map(|(method, path, _)| format!("{method} {}", anonymous(path)))
        .collect();
    let promised: BTreeSet<String> = ROUTES.iter().map(|route| (*route).to_owned()).collect();
    let missing: Vec<_> = promised.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&promised).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing {missing:?}, unknown {unknown:?}");
}

#[test]
fn the_document_has_the_structure_of_openapi_3_1() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    for member in ["title", "version"] {
        assert!(document["info"][member].is_string());
    }
    let mut names = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let about = format!("{method} {path}");
        assert!(path.starts_with('/'), "{about}");
        let responses = operation["responses"].as_object().expect(&about);
        assert!(responses.keys().any(|status| status.starts_with('2')), "{about}");
        for (status, response) in responses {
            assert!(status.parse::<u16>().is_ok_and(|s| (100..600).contains(&s)), "{about}");
            let told = response["description"].is_string() || response["$ref"].is_string();
            assert!(told, "{about} {status}");
        }
        let name = operation["operationId"].as_str().expect(&about);
        assert!(names.insert(name.to_owned()), "{name} names two operations");
        assert_path_parameters(&about, &path, operation);
    }
}

fn assert_path_parameters(about: &str, path: &str, operation: &Value) {
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let of_the_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
    let declared: BTreeSet<String> = of_the_path
        .map(|parameter| {
            assert_eq!(parameter["required"], true, "{about}");
            format!("{{{}}}", parameter["name"].as_str().unwrap())
        })
        .collect();
    let named: BTreeSet<String> =
        path.split('/').filter(|s| s.starts_with('{')).map(str::to_owned).collect();
    assert_eq!(declared, named, "{about}");
    for parameter in &parameters {
        assert!(parameter["schema"].is_object(), "{about}: {parameter}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_one() {
    let document = document();
    walk(&document, &mut |value| {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return };
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    });
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name} is no schema");
    }
}

#[test]
fn what_a_client_must_know_is_in_the_document() {
    let document = document();
    let text = document.to_string();
    for word in ["Concert-Queue-Token", "Idempotency-Key", "X-User-Id", "If-None-Match", "If-Match"]
    {
        assert!(text.contains(word), "{word} is not mentioned");
    }
    for code in CODES {
        assert!(text.contains(code), "{code} is not mentioned");
    }
    for (method, path, operation) in operations(&document) {
        let told = operation["summary"].is_string() || operation["description"].is_string();
        assert!(told, "{method} {path} says nothing about itself");
    }
}

/// The stable error codes of the contract.
const CODES: &[&str] = &[
    "INVALID_INPUT",
    "MISSING_HEADER",
    "UNAUTHENTICATED",
    "TOKEN_NOT_FOUND",
    "TOKEN_NOT_ACTIVE",
    "TOKEN_EXPIRED",
    "INSUFFICIENT_POINTS",
    "PAYMENT_DECLINED",
    "FORBIDDEN",
    "TOKEN_MISMATCH",
    "RESERVATION_NOT_OPEN",
    "CONCERT_NOT_FOUND",
    "SCHEDULE_NOT_FOUND",
    "SEAT_NOT_FOUND",
    "RESERVATION_NOT_FOUND",
    "PAYMENT_NOT_FOUND",
    "USER_NOT_FOUND",
    "ROUTE_NOT_FOUND",
    "METHOD_NOT_ALLOWED",
    "PRECONDITION_FAILED",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "SEAT_NOT_AVAILABLE",
    "HOLD_LIMIT_EXCEEDED",
    "CONCURRENCY_CONFLICT",
    "RESERVATION_NOT_PENDING",
    "REFUND_NOT_ALLOWED",
    "IDEMPOTENCY_IN_PROGRESS",
    "POINT_LIMIT_EXCEEDED",
    "QUEUE_CLOSED",
    "RESERVATION_EXPIRED",
    "IDEMPOTENCY_KEY_REUSED",
    "TOO_MANY_REQUESTS",
    "PAYMENT_GATEWAY_ERROR",
    "SERVICE_UNAVAILABLE",
    "PAYMENT_GATEWAY_TIMEOUT",
    "INTERNAL",
];

/// The judge of all other tests must itself tell right from wrong.
#[test]
fn an_answer_that_differs_from_the_document_is_caught() {
    let pet = json!({
        "type": "object",
        "required": ["id"],
        "properties": { "id": { "type": "integer" } },
    });
    let content =
        json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Pet" } } });
    let contract = Contract::new(json!({
        "components": { "schemas": { "Pet": pet } },
        "paths": { "/pets/{id}": { "get": { "responses": {
            "200": { "description": "a pet", "content": content },
            "204": { "description": "no pet" },
        } } } },
    }));
    let check = |status, media: &'static str, body: &str| {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media))]);
        let answer = Answer::new(String::new(), status, headers, body.as_bytes().to_vec());
        contract.check("GET", "/pets/1?x=1", &answer)
    };
    assert_eq!(check(200, "application/json", r#"{"id":1}"#), Ok(()));
    assert_eq!(check(204, "application/json", ""), Ok(()));
    for (status, media, body) in [
        (200, "application/json", r#"{"id":"1"}"#),
        (200, "application/json", r#"{"id":1,"name":"Rex"}"#),
        (200, "application/json", "{}"),
        (200, "application/json", ""),
        (200, "text/plain", r#"{"id":1}"#),
        (204, "application/json", r#"{"id":1}"#),
        (404, "application/json", r#"{"id":1}"#),
    ] {
        assert!(check(status, media, body).is_err(), "{status} {media} {body}");
    }
}
