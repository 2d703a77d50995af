//! The token endpoint (RFC 6749, 3.2) and revocation (RFC 7009): forms in, JSON out.

use base64ct::{Base64, Encoding};
use http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use needledrop_core::UnixSeconds;
use needledrop_http::{Body, Request};
use needledrop_playback::oauth::Refusal;
use needledrop_playback::{Error, Issued, Proof, Renewed};
use serde_json::{Value, json};

use super::said_json;
use crate::house::House;
use crate::query::Params;

/// What a body here is.
const FORM: &str = "application/x-www-form-urlencoded";

/// Parameters that we read. Others are ignored, as RFC 6749 (3.2) wants it.
const NAMES: [&str; 8] =
    ["grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "token", "client_id", "client_secret"];

/// Gives tokens for what is presented.
pub(super) async fn issue(house: &House, request: &Request, now: UnixSeconds) -> Response<Body> {
    match given(house, request, now).await {
        Ok(value) => said_json(StatusCode::OK, &value),
        Err(error) => refused(&error),
    }
}

/// Ends a token.
pub(super) async fn revoke(house: &House, request: &Request) -> Response<Body> {
    let ended = async {
        let form = Form::read(request)?;
        let shown = Shown::read(request, &form)?;
        house.playback.revoke_by_client(shown.proof(), form.needed("token")?).await
    };
    match ended.await {
        Ok(()) => said_json(StatusCode::OK, &json!({})),
        Err(error) => refused(&error),
    }
}

async fn given(house: &House, request: &Request, now: UnixSeconds) -> Result<Value, Error> {
    let form = Form::read(request)?;
    let shown = Shown::read(request, &form)?;
    match form.needed("grant_type")? {
        "authorization_code" => {
            let (redirect, verifier) = (form.text("redirect_uri"), form.text("code_verifier"));
            let proof = shown.proof();
            let renewed = house.playback.exchange_code(proof, form.needed("code")?, redirect, verifier, now).await?;
            Ok(pair(&renewed, now))
        }
        "refresh_token" => {
            let renewed = house.playback.refresh(shown.proof(), form.needed("refresh_token")?, now).await?;
            Ok(pair(&renewed, now))
        }
        "client_credentials" => Ok(token(&house.playback.client_token(shown.proof(), now).await?, now)),
        _ => Err(Refusal::GRANT_TYPE.into()),
    }
}

/// What the body says: a form, in which nothing stands twice and what is empty is not there (RFC 6749, 3.2).
struct Form<'a>(Params<'a>);

impl<'a> Form<'a> {
    fn read(request: &'a Request) -> Result<Self, Refusal> {
        let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM) {
            return Err(Refusal::FORM);
        }
        let params = Params::read(&request.body);
        let is_twice = |name: &&str| params.all(name).count() > 1;
        if NAMES.iter().any(is_twice) { Err(Refusal::MISSING) } else { Ok(Self(params)) }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.text(name).filter(|value| !value.is_empty())
    }

    fn needed(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or(Refusal::MISSING)
    }
}

fn pair(renewed: &Renewed, now: UnixSeconds) -> Value {
    let mut said = token(&renewed.access, now);
    said["refresh_token"] = json!(renewed.refresh.secret.expose());
    said
}

fn token(issued: &Issued, now: UnixSeconds) -> Value {
    json!({
        "access_token": issued.secret.expose(),
        "token_type": "Bearer",
        "expires_in": issued.token.expires.map_or(0, |expires| expires.since(now)),
        "scope": issued.token.scopes.to_string(),
    })
}

/// Which program asks, by one of the two ways of RFC 6749 (2.3.1).
struct Shown {
    client: String,
    secret: Option<String>,
}

impl Shown {
    fn read(request: &Request, form: &Form<'_>) -> Result<Self, Refusal> {
        let (named, in_form) = (form.text("client_id"), form.text("client_secret"));
        let Some(basic) = request.headers.get(AUTHORIZATION) else {
            let client = named.ok_or(Refusal::CLIENT)?;
            return Ok(Self { client: client.to_owned(), secret: in_form.map(str::to_owned) });
        };
        let (client, secret) = basic.to_str().ok().and_then(basic_of).ok_or(Refusal::CLIENT)?;
        // One way at a time (RFC 6749, 2.3), and of one program.
        if in_form.is_some() || named.is_some_and(|named| named != client) {
            return Err(Refusal::TWICE);
        }
        Ok(Self { client, secret: Some(secret) })
    }

    fn proof(&self) -> Proof<'_> {
        Proof { client: &self.client, secret: self.secret.as_deref() }
    }
}

/// Name and secret, each form-encoded before they are joined. Ours have nothing in them to be encoded.
fn basic_of(field: &str) -> Option<(String, String)> {
    let (scheme, text) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(Base64::decode_vec(text.trim()).ok()?).ok()?;
    let (client, secret) = text.split_once(':')?;
    Some((client.to_owned(), secret.to_owned()))
}

/// RFC 6749, 5.2.
fn refused(error: &Error) -> Response<Body> {
    let refusal = match error {
        Error::OAuth(refusal) => refusal.clone(),
        other => {
            tracing::error!(error = %other, "a token could not be given");
            Refusal::BROKEN
        }
    };
    let is_client = refusal.code == Refusal::CLIENT.code;
    let status = match refusal.code {
        "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
        _ if is_client => StatusCode::UNAUTHORIZED,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = said_json(status, &json!({ "error": refusal.code, "error_description": refusal.why }));
    if is_client {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"needledrop\""));
    }
    response
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    fn asks(body: &'static str, fields: &[(&'static str, &str)]) -> Request {
        let mut request = Request::local(Method::POST, "/oauth/token");
        request.headers.insert(CONTENT_TYPE, "application/x-www-form-urlencoded;charset=UTF-8".parse().unwrap());
        for (name, value) in fields {
            request.headers.insert(*name, value.parse().unwrap());
        }
        request.body = body.into();
        request
    }

    fn shown(request: &Request) -> Result<(String, Option<String>), Refusal> {
        let form = Form::read(request)?;
        Shown::read(request, &form).map(|shown| (shown.client, shown.secret))
    }

    #[test]
    fn a_program_shows_itself_in_one_way() {
        let basic = format!("Basic {}", Base64::encode_string(b"name:secret"));
        let in_field = [("authorization", basic.as_str())];
        let both = ("name".to_owned(), Some("secret".to_owned()));
        assert_eq!(shown(&asks("", &in_field)), Ok(both.clone()));
        assert_eq!(shown(&asks("client_id=name", &in_field)), Ok(both.clone()), "said once more");
        assert_eq!(shown(&asks("client_id=name&client_secret=secret", &[])), Ok(both));
        assert_eq!(shown(&asks("client_id=name&client_secret=", &[])), Ok(("name".to_owned(), None)));
        assert_eq!(shown(&asks("client_id=other", &in_field)), Err(Refusal::TWICE));
        assert_eq!(shown(&asks("client_secret=secret", &in_field)), Err(Refusal::TWICE));
        assert_eq!(shown(&asks("client_id=name&client_id=name", &[])), Err(Refusal::MISSING));
        assert_eq!(shown(&asks("", &[])), Err(Refusal::CLIENT));
        for wrong in ["Bearer x", "Basic", "Basic !!", "Basic bmFtZQ=="] {
            assert_eq!(shown(&asks("client_id=name", &[("authorization", wrong)])), Err(Refusal::CLIENT), "{wrong}");
        }
    }

    #[test]
    fn a_body_that_is_no_form_is_none() {
        for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
            assert_eq!(shown(&asks("client_id=name", &[("content-type", kind)])), Err(Refusal::FORM), "{kind}");
        }
    }

    #[test]
    fn a_refusal_has_the_status_of_its_code() {
        let status = |refusal: Refusal| refused(&refusal.into()).status().as_u16();
        assert_eq!(status(Refusal::CLIENT), 401);
        assert!(refused(&Refusal::CLIENT.into()).headers().contains_key(WWW_AUTHENTICATE));
        for refusal in [Refusal::GRANT, Refusal::GRANT_TYPE, Refusal::MISSING, Refusal::NO_SECRET, Refusal::VERIFIER] {
            assert_eq!(status(refusal), 400);
        }
        assert_eq!(status(Refusal::BROKEN), 500);
    }
}
