//! The table of calls as an OpenAPI 3.1 document.
//!
//! Pure: routes in, JSON out. Everything that the router decides by is read from the [`Route`], so that it cannot be
//! documented otherwise; only the schemas of bodies are written by hand, in `schemas/`. `tests/e2e/check_api.py` holds
//! real answers against them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::param::{IDS_MAX, Kind, Param};
use super::route::{Gives, Route, Verb};
use crate::{oauth, who};

/// The schemas by file: an object each, from names to schemas.
const SCHEMAS: &[(&str, &str)] = &[
    ("account", include_str!("schemas/account.json")),
    ("catalog", include_str!("schemas/catalog.json")),
    ("common", include_str!("schemas/common.json")),
    ("listening", include_str!("schemas/listening.json")),
    ("oauth", include_str!("schemas/oauth.json")),
    ("ops", include_str!("schemas/ops.json")),
    ("playlist", include_str!("schemas/playlist.json")),
    ("podcast", include_str!("schemas/podcast.json")),
    ("sign_up", include_str!("schemas/sign_up.json")),
];

/// A page of these is called by their name and this.
const PAGE: &str = "Page";

const ABOUT: &str = "Music: the catalog, search, playlists, and where a track may be heard. Calls have the shape of the \
    Spotify Web API where that has the call.\n\n\
    **Refusals** are `application/problem+json` (RFC 9457) with a stable `type`. **Lists** are pages: `limit`, `offset`, \
    `total`, and `next` and `previous` as addresses, `next` in the `Link` field too. **Tags**: an answer with an `ETag` may be \
    asked about again with `If-None-Match`, and is then answered 304 without a body. Every GET may be a HEAD. \
    **Limits** are by account, and by network where no credential is sent: 429 says in `Retry-After` how many seconds to \
    wait. Pages of other origins may call with a bearer token, never with the cookie. Parameters that a call does not \
    know are ignored; those that it knows are refused where they are wrong, and named. **Programs of other people** are let \
    in by OAuth 2.0: `POST /v1/me/apps` registers one, `/.well-known/oauth-authorization-server` has the rest.";

/// The whole document.
pub fn document(routes: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.template).or_insert_with(|| json!({}));
        path[route.verb.name().to_lowercase()] = operation(route);
    }
    for (path, door) in oauth::document::paths() {
        paths.insert(path.to_owned(), door);
    }
    let tags: BTreeSet<&str> = routes.iter().map(tag).chain([oauth::document::TAG]).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "needledrop",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This server" }],
        "tags": tags.iter().map(|tag| json!({ "name": tag })).collect::<Value>(),
        "paths": paths,
        "components": {
            "schemas": &*ALL_SCHEMAS,
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer",
                    "description": "A session's token, an API key, or what a program was given by OAuth 2.0. The names \
                        behind it are scopes that it must allow.",
                },
                "cookie": {
                    "type": "apiKey", "in": "cookie", "name": who::COOKIE_NAME,
                    "description": "The player's session; for pages of this server only.",
                },
                "player": {
                    "type": "apiKey", "in": "header", "name": "X-Requested-With",
                    "description": "Any value. With the cookie, changes need it: no page of another site can send it.",
                },
            },
        },
    })
}

/// What the document groups calls by: the first part of the path.
pub fn tag(route: &Route) -> &'static str {
    route.template.split('/').nth(2).unwrap_or_default()
}

fn operation(route: &Route) -> Value {
    let variables =
        route.variables().map(|name| json!({ "name": name, "in": "path", "required": true, "schema": schema("Id") }));
    let parameters: Vec<Value> = variables.chain(route.each_param().map(parameter)).collect();
    let mut said = json!({
        "operationId": route.name,
        "summary": route.summary,
        "tags": [tag(route)],
        "security": security(route),
        "responses": responses(route),
    });
    if !route.about.is_empty() {
        said["description"] = json!(route.about);
    }
    if !parameters.is_empty() {
        said["parameters"] = json!(parameters);
    }
    if let Some(body) = route.body {
        said["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema(body) } } });
    }
    said
}

fn security(route: &Route) -> Value {
    if route.is_open() {
        return json!([]);
    }
    let scopes: Vec<&str> = route.scope().iter().map(|scope| scope.name()).collect();
    match route.verb {
        Verb::Get => json!([{ "bearer": scopes }, { "cookie": [] }]),
        _ => json!([{ "bearer": scopes }, { "cookie": [], "player": [] }]),
    }
}

fn parameter(param: &Param) -> Value {
    let mut said = json!({
        "name": param.name, "in": "query", "required": param.is_required, "description": param.about,
        "schema": of_kind(&param.kind),
    });
    if matches!(param.kind, Kind::Words(_) | Kind::Ids | Kind::Uris) {
        said["style"] = json!("form");
        said["explode"] = json!(false);
    }
    said
}

/// What may stand in a parameter, as a schema.
pub fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Whole { least, most, usual } => {
            json!({ "type": "integer", "minimum": least, "maximum": most, "default": usual })
        }
        Kind::Numbers(numbers) => json!({ "type": "integer", "enum": numbers }),
        Kind::Word(words) => json!({ "type": "string", "enum": words }),
        Kind::Words(words) => json!({ "type": "array", "minItems": 1, "items": { "type": "string", "enum": words } }),
        Kind::Text { chars_max } => {
            json!({ "type": "string", "minLength": 1, "maxLength": chars_max, "pattern": "\\S", "examples": ["noon"] })
        }
        Kind::Shaped { pattern, .. } => json!({ "type": "string", "pattern": pattern }),
        Kind::TrackOrNone => json!({ "type": "string", "pattern": "^([0-9A-Za-z]{22})?$" }),
        Kind::TrackUri => schema("TrackUri"),
        Kind::Uris => json!({ "type": "array", "minItems": 1, "maxItems": IDS_MAX, "items": schema("Uri") }),
        Kind::Ids => json!({ "type": "array", "minItems": 1, "maxItems": IDS_MAX, "items": schema("Id") }),
    }
}

fn responses(route: &Route) -> Value {
    let mut said = Map::new();
    let (status, answer) = match route.gives {
        Gives::Json(name) => ("200", json!({ "description": "Done.", "content": content(name) })),
        Gives::Created(name) => ("201", json!({ "description": "Made.", "content": content(name) })),
        Gives::Nothing => ("204", json!({ "description": "Done; there is nothing to say." })),
        Gives::Entity(name) => {
            let tag =
                || json!({ "ETag": { "description": "Changes with the answer.", "schema": { "type": "string" } } });
            said.insert("304".into(), json!({ "description": "As it was (`If-None-Match`).", "headers": tag() }));
            ("200", json!({ "description": "What there is.", "content": content(name), "headers": tag() }))
        }
    };
    said.insert(status.into(), answer);
    for status in refusals(route) {
        said.insert(status.to_string(), refusal(status));
    }
    Value::Object(said)
}

fn content(name: &str) -> Value {
    json!({ "application/json": { "schema": schema(name) } })
}

fn schema(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// Every status that a call may be refused with.
fn refusals(route: &Route) -> BTreeSet<u16> {
    // Too often, and our own overload; the edge's doors may say 431 and the like to any request of a wrong form.
    let mut statuses = BTreeSet::from([429, 503]);
    statuses.extend(route.refuses);
    if route.each_param().next().is_some() {
        statuses.insert(400);
    }
    if route.variables().next().is_some() {
        statuses.insert(404);
    }
    if route.body.is_some() {
        statuses.extend([400, 408, 413, 415, 422]);
    }
    if !route.is_open() {
        statuses.extend([401, 403]);
    }
    statuses
}

fn refusal(status: u16) -> Value {
    let why = match status {
        400 => "A parameter or the body is not what it must be.",
        401 => "No credential, or a wrong one.",
        403 => "The credential does not allow it.",
        404 => "There is no such thing.",
        408 => "The body took too long.",
        409 => "It was changed meanwhile, or there is no room for more.",
        413 => "The body is too large.",
        415 => "The body is no JSON.",
        422 => "The body contradicts itself.",
        429 => "Too many calls; `Retry-After` says how many seconds to wait.",
        502 => "Somebody else's server, of which it was asked, did not give it.",
        503 => "Too much work at the moment, or storage is away; ask again.",
        _ => "Refused.",
    };
    let mut said = json!({
        "description": why,
        "content": { "application/problem+json": { "schema": schema("Problem") } },
    });
    match status {
        429 | 503 => {
            said["headers"] = json!({ "Retry-After": { "description": "Seconds.", "schema": { "type": "integer" } } });
        }
        401 => {
            said["headers"] =
                json!({ "WWW-Authenticate": { "description": "`Bearer`.", "schema": { "type": "string" } } });
        }
        _ => {}
    }
    said
}

static ALL_SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut all = Map::new();
    for (file, text) in SCHEMAS {
        let schemas: Map<String, Value> =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("schemas/{file}.json is built in: {error}"));
        all.extend(schemas);
    }
    for item in ["Album", "Artist", "Episode", "Playlist", "PlaylistItem", "SavedAlbum", "SavedTrack", "Show", "Track"]
    {
        all.insert(format!("{item}{PAGE}"), page_of(item));
    }
    all
});

fn page_of(item: &str) -> Value {
    let place = |about: &str| json!({ "type": ["string", "null"], "description": about });
    json!({
        "type": "object",
        "required": ["href", "items", "limit", "offset", "total", "next", "previous"],
        "properties": {
            "href": { "type": "string", "description": "This page." },
            "items": { "type": "array", "items": schema(item) },
            "limit": { "type": "integer", "minimum": 1 },
            "offset": { "type": "integer", "minimum": 0 },
            "total": { "type": "integer", "minimum": 0, "description": "Items of the whole list." },
            "next": place("The page after this one; null at the end."),
            "previous": place("The page before this one; null at the beginning."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes::ROUTES;

    /// Names of all schemas that are referred to below a value.
    fn referred(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str().filter(|_| name == "$ref") {
                        Some(place) => {
                            into.insert(place.strip_prefix("#/components/schemas/").expect("a schema").to_owned());
                        }
                        None => referred(member, into),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| referred(value, into)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_is_there_and_of_use() {
        let document = document(ROUTES);
        let mut used = BTreeSet::new();
        referred(&document, &mut used);
        let known: BTreeSet<String> = ALL_SCHEMAS.keys().cloned().collect();
        assert_eq!(used.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "missing");
        assert_eq!(known.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "of no use");
    }

    #[test]
    fn no_schema_is_in_two_files() {
        let count: usize = SCHEMAS
            .iter()
            .map(|(_, text)| serde_json::from_str::<Map<String, Value>>(text).expect("an object").len())
            .sum();
        let pages = ALL_SCHEMAS.keys().filter(|name| name.ends_with(PAGE)).count();
        assert_eq!(count + pages, ALL_SCHEMAS.len());
    }

    #[test]
    fn calls_have_names_of_their_own_and_one_entry_each() {
        let names: BTreeSet<_> = ROUTES.iter().map(|route| route.name).collect();
        assert_eq!(names.len(), ROUTES.len());
        let places: BTreeSet<_> = ROUTES.iter().map(|route| (route.template, route.verb.name())).collect();
        assert_eq!(places.len(), ROUTES.len());
        for route in ROUTES {
            assert!(route.template.starts_with("/v1/"), "{}", route.template);
            assert!(!route.summary.is_empty(), "{}", route.name);
            let names: BTreeSet<_> = route.each_param().map(|param| param.name).collect();
            assert_eq!(names.len(), route.each_param().count(), "{}", route.name);
        }
    }

    #[test]
    fn a_call_is_documented_as_it_is_done() {
        let document = document(ROUTES);
        let search = &document["paths"]["/v1/search"]["get"];
        assert_eq!(search["security"][0]["bearer"], json!(["catalog-read"]));
        let limit = search["parameters"].as_array().unwrap().iter().find(|param| param["name"] == "limit").unwrap();
        assert_eq!(limit["schema"], json!({ "type": "integer", "minimum": 1, "maximum": 50, "default": 20 }));
        let statuses: Vec<_> = search["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(statuses, ["200", "304", "400", "401", "403", "429", "503"]);
        assert_eq!(document["paths"]["/v1/session"]["post"]["security"], json!([]));
        let set = &document["paths"]["/v1/me/queue"]["put"]["security"][1];
        assert_eq!(*set, json!({ "cookie": [], "player": [] }));
    }
}
