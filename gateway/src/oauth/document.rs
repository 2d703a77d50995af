//! OAuth in the API's document: the doors that programs call.
//!
//! They take forms and refuse in the words of RFC 6749, so that they are no entries of the table of calls.
//! `/oauth/authorize` is for people, and no call. OpenAPI's own scheme for OAuth is not used: its addresses must be whole
//! (3.1, "OAuth Flow Object"), and the document is the same wherever this server is; the metadata has them.
//! `tests/e2e/check_api.py` holds real answers against this.

use serde_json::{Value, json};

use super::{METADATA, REVOKE, TOKEN};

/// What the document groups them by.
pub const TAG: &str = "oauth";

/// The doors that programs call, as paths of the document.
pub fn paths() -> Vec<(&'static str, Value)> {
    let token = door("issueToken", "Give tokens for a code, a refresh token or a secret", "TokenWish", "Token");
    let revoke = door("revokeToken", "End a token, and all that came of the same consent", "TokenToEnd", "Empty");
    let metadata = json!({ "get": {
        "operationId": "getAuthorizationServer",
        "summary": "What a program must know to ask (RFC 8414)",
        "tags": [TAG],
        "security": [],
        "responses": { "200": { "description": "What there is.", "content": content("AuthorizationServer") } },
    } });
    vec![(METADATA, metadata), (REVOKE, revoke), (TOKEN[0], token)]
}

fn door(name: &str, summary: &str, takes: &str, gives: &str) -> Value {
    let no_store = || json!({ "Cache-Control": { "description": "`no-store`", "schema": { "type": "string" } } });
    let refused = |why: &str| json!({ "description": why, "content": content("OAuthRefusal"), "headers": no_store() });
    let problem = |why: &str| {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        json!({ "description": why, "content": { "application/problem+json": { "schema": schema } } })
    };
    json!({ "post": {
        "operationId": name,
        "summary": summary,
        "tags": [TAG],
        "description": "A program shows itself by `Authorization: Basic`, or by `client_id` and `client_secret` in the \
            form; one without a secret by `client_id`. Refusals are those of RFC 6749 (5.2).",
        "security": [],
        "requestBody": {
            "required": true,
            "content": {
                "application/x-www-form-urlencoded": { "schema": { "$ref": format!("#/components/schemas/{takes}") } },
            },
        },
        "responses": {
            "200": { "description": "Done.", "content": content(gives), "headers": no_store() },
            "400": refused("Not this, or not this way."),
            "401": refused("The program is not known, or not proved."),
            "408": problem("The body took too long."),
            "413": problem("The body is too large."),
            "429": problem("Too many calls; `Retry-After` says how many seconds to wait."),
            "500": refused("Something broke on our side."),
            "503": problem("Too much work at the moment; ask again."),
        },
    } })
}

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}
