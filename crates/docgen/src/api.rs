//! The OpenAPI document as pages that people read.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

const METHODS: [&str; 5] = ["get", "post", "patch", "put", "delete"];

const INTRODUCTION: &str = "\
Made from the document that the service serves at `/openapi.json` (`concert openapi` prints it) by
`make docs-update`; `make ci` fails when it is out of date. `/docs` serves it as an explorer.

";

/// The document for an OpenAPI 3.1 description.
pub fn markdown(api: &Value) -> Result<String> {
    let mut out = format!("# {}\n\n{INTRODUCTION}", text(&api["info"]["title"]));
    let about = text(&api["info"]["description"]);
    if !about.is_empty() {
        write!(out, "{about}\n\n")?;
    }
    for tag in api["tags"].as_array().context("the OpenAPI document has no tags")? {
        let name = text(&tag["name"]);
        write!(out, "## {name}\n\n{}.\n\n", text(&tag["description"]))?;
        for (path, item) in object(&api["paths"])? {
            for method in METHODS {
                match item.get(method) {
                    Some(operation) if text(&operation["tags"][0]) == name => {
                        draw_operation(&mut out, path, method, operation)?;
                    }
                    _ => {}
                }
            }
        }
    }
    write!(out, "## Schemas\n\n")?;
    for (name, schema) in object(&api["components"]["schemas"])? {
        draw_schema(&mut out, name, schema)?;
    }
    Ok(out.trim_end().to_owned() + "\n")
}

fn draw_operation(out: &mut String, path: &str, method: &str, operation: &Value) -> Result<()> {
    write!(out, "### `{} {path}`\n\n", method.to_uppercase())?;
    for part in ["summary", "description"] {
        let text = text(&operation[part]);
        if !text.is_empty() {
            write!(out, "{text}\n\n")?;
        }
    }
    if let Some(parameters) = operation["parameters"].as_array().filter(|list| !list.is_empty()) {
        out.push_str("| Parameter | In | Type | |\n|---|---|---|---|\n");
        for parameter in parameters {
            let required = parameter["required"].as_bool().unwrap_or(false);
            let about = cell(&parameter["description"]);
            writeln!(
                out,
                "| `{}`{} | {} | {} | {about} |",
                text(&parameter["name"]),
                if required { "" } else { " (optional)" },
                text(&parameter["in"]),
                kind(&parameter["schema"]),
            )?;
        }
        out.push('\n');
    }
    if let Some(schema) = content(&operation["requestBody"]) {
        let others = other_kinds(&operation["requestBody"]).map(|name| format!(", or `{name}`"));
        write!(out, "Body: {}{}\n\n", kind(schema), others.collect::<String>())?;
    }
    draw_answers(out, object(&operation["responses"])?)
}

/// What is answered when it works, one row each; refusals are all of one shape, so a line is enough.
fn draw_answers(out: &mut String, answers: &Map<String, Value>) -> Result<()> {
    let (refusals, good): (Vec<_>, Vec<_>) =
        answers.iter().partition(|(status, _)| status.as_str() >= "400");
    out.push_str("| Status | Body | Headers | |\n|---|---|---|---|\n");
    for (status, answer) in good {
        let body = content(answer).map_or_else(|| "none".to_owned(), kind);
        let headers: Vec<_> = answer["headers"]
            .as_object()
            .map(|headers| headers.keys().map(|name| format!("`{name}`")).collect())
            .unwrap_or_default();
        let about = cell(&answer["description"]);
        writeln!(out, "| {status} | {body} | {} | {about} |", headers.join(", "))?;
    }
    if !refusals.is_empty() {
        let refusals: Vec<_> = refusals
            .iter()
            .map(|(status, answer)| format!("{status} {}", cell(&answer["description"])))
            .collect();
        write!(out, "\nRefusals: {}.\n", refusals.join("; "))?;
    }
    out.push('\n');
    Ok(())
}

fn draw_schema(out: &mut String, name: &str, schema: &Value) -> Result<()> {
    write!(out, "### {name}\n\n")?;
    let about = text(&schema["description"]);
    if !about.is_empty() {
        write!(out, "{about}\n\n")?;
    }
    let Some(properties) = schema["properties"].as_object() else {
        write!(out, "{}\n\n", kind(schema))?;
        return Ok(());
    };
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    out.push_str("| Member | Type | |\n|---|---|---|\n");
    for (member, shape) in properties {
        let optional = if required.iter().any(|name| name == member) { "" } else { " (optional)" };
        let about = cell(&shape["description"]);
        writeln!(out, "| `{member}`{optional} | {} | {about} |", kind(shape))?;
    }
    out.push('\n');
    Ok(())
}

/// The other kinds of content that a body may have.
fn other_kinds(of: &Value) -> impl Iterator<Item = &String> {
    of["content"].as_object().into_iter().flat_map(|kinds| kinds.keys().skip(1))
}

/// The schema of the first kind of content.
fn content(of: &Value) -> Option<&Value> {
    of["content"].as_object()?.values().next().map(|media| &media["schema"])
}

/// A schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[choice].as_array() {
            return parts.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.iter().map(|word| format!("`{}`", text(word))).collect::<Vec<_>>().join(", ");
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        single => text(single),
    };
    if types.contains("array") {
        return format!("{types} of {}", kind(&schema["items"]));
    }
    let format = text(&schema["format"]);
    let mut said = if types.is_empty() { "any".to_owned() } else { types };
    if !format.is_empty() {
        said = format!("{said} ({format})");
    }
    said + &bounds(schema)
}

/// The limits of a schema, if it has any.
fn bounds(schema: &Value) -> String {
    let mut limits = Vec::new();
    for (name, word) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "length from"),
        ("maxLength", "length to"),
        ("default", "default"),
    ] {
        if let Some(limit) = schema.get(name) {
            limits.push(format!("{word} {}", text(limit)));
        }
    }
    if limits.is_empty() { String::new() } else { format!(", {}", limits.join(" ")) }
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().context("the OpenAPI document lacks an object")
}

/// A string without its quotes, nothing for null, any other value as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    }
}

/// Text for one cell of a table.
fn cell(value: &Value) -> String {
    text(value).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_shows_its_parameters_body_and_answers() {
        let api = serde_json::json!({
            "info": { "title": "Seats" },
            "tags": [{ "name": "Seat", "description": "What is sold" }],
            "paths": { "/seats/{id}": { "patch": {
                "tags": ["Seat"],
                "summary": "Edits",
                "parameters": [{ "name": "id", "in": "path", "required": true,
                    "description": "Which | one", "schema": { "type": "integer", "minimum": 1 } }],
                "requestBody": { "content": { "application/json":
                    { "schema": { "$ref": "#/components/schemas/SeatPatch" } } } },
                "responses": {
                    "204": { "description": "Done", "headers": { "ETag": {} } },
                    "404": { "description": "`SEAT_NOT_FOUND`" },
                    "409": { "description": "`SEAT_NOT_AVAILABLE`" },
                },
            } } },
            "components": { "schemas": { "SeatPatch": { "required": ["price"], "properties": {
                "price": { "type": "integer", "format": "int64" },
                "tags": { "type": "array", "items": { "enum": ["A", "B"] } },
            } } } },
        });
        let text = markdown(&api).unwrap();
        for line in [
            "## Seat\n\nWhat is sold.\n\n### `PATCH /seats/{id}`",
            "| `id` | path | integer, from 1 | Which \\| one |",
            "Body: [SeatPatch](#seatpatch)",
            "| 204 | none | `ETag` | Done |",
            "Refusals: 404 `SEAT_NOT_FOUND`; 409 `SEAT_NOT_AVAILABLE`.",
            "| `price` | integer (int64) |  |",
            "| `tags` (optional) | array of `A`, `B` |  |",
        ] {
            assert!(text.contains(line), "{line:?} is missing in:\n{text}");
        }
    }
}
