//! Signing in and out.

use http::header::{ORIGIN, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use needledrop_core::Problem;
use needledrop_playback::token::Secret;
use needledrop_playback::{Caller, DisplayName, Issued};
use serde::Deserialize;
use serde_json::json;

use super::{Call, whole};
use crate::answer::{Answer, Reply, failed, refused};
use crate::who::{self, COOKIE_NAME};

/// The name and password that stand for the demo account where there is one.
const DEMO: &str = "demo";
/// The client of a session whose browser says nothing better.
pub(super) const WEB: &str = "web player";

#[derive(Deserialize)]
struct SignIn {
    user: String,
    password: String,
    /// Also returns the secret, for a program that keeps no cookies.
    #[serde(default)]
    bearer: bool,
    #[serde(default)]
    client: Option<String>,
}

/// `POST /v1/session`.
pub(super) async fn begin(call: &Call<'_>) -> Reply {
    let wish: SignIn = call.body()?;
    let client = wish.client.as_deref().unwrap_or(WEB);
    let playback = &call.house.playback;
    let is_elsewhere = who::is_elsewhere(call.request);
    if is_elsewhere && !wish.bearer {
        return Err(who::cross_site());
    }
    let issued = if call.house.has_demo && wish.user == DEMO && wish.password == DEMO {
        // Everybody knows this password: without this, any page could look at what is on its visitor's machine.
        if is_elsewhere && !call.request.headers.get(ORIGIN).is_some_and(|origin| call.house.cors.names(origin)) {
            let said = Problem::new("cross-site", "The demo account is not for pages of other sites", 403);
            return Err(said.with_detail("Allow this one by name with --cors-origin, or use another account"));
        }
        let client = DisplayName::parse(client).map_err(|error| refused(&error.into()))?;
        playback.demo(&client, call.now).await
    } else {
        playback.sign_in(&wish.user, &wish.password, client, call.request.peer.client, call.now).await
    };
    let issued = issued.map_err(|error| refused(&error))?;
    Ok(let_in(call, &issued, wish.bearer, StatusCode::OK))
}

/// The answer to whoever has a session now: its token where he asked for it, else the cookie.
pub(super) fn let_in(call: &Call<'_>, issued: &Issued, bearer: bool, status: StatusCode) -> Answer {
    let mut said = json!({ "user": super::me::user(&issued.account) });
    if bearer {
        said["token"] = json!(issued.secret.expose());
        said["expires_at"] = json!(issued.token.expires.map(|expires| expires.0));
        return Answer::Whole(whole(status, &said));
    }
    let mut response = whole(status, &said);
    response.headers_mut().insert(SET_COOKIE, cookie(call, issued));
    Answer::Whole(response)
}

fn cookie(call: &Call<'_>, issued: &Issued) -> HeaderValue {
    let Issued { secret, token, .. } = issued;
    let seconds = token.expires.map_or(0, |expires| expires.since(call.now));
    set(call, secret, seconds)
}

fn set(call: &Call<'_>, secret: &Secret, seconds: u64) -> HeaderValue {
    let secure = if call.request.peer.secure { "; Secure" } else { "" };
    let text =
        format!("{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}", secret.expose());
    HeaderValue::from_str(&text).expect("a secret is base64url")
}

/// `DELETE /v1/session`.
pub(super) async fn end(call: &Call<'_>, caller: &Caller) -> Reply {
    call.house.playback.sign_out(caller).await.map_err(|error| refused(&error))?;
    Ok(over())
}

/// The answer to whoever has no session any more: the cookie goes.
pub(super) fn over() -> Answer {
    let mut response = whole(StatusCode::OK, &json!({}));
    let gone = format!("{COOKIE_NAME}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    response.headers_mut().insert(SET_COOKIE, HeaderValue::from_str(&gone).expect("ASCII"));
    Answer::Whole(response)
}

/// `GET /v1/session/hint`: what the sign-in page may tell anybody.
pub(super) async fn hint(call: &Call<'_>) -> Reply {
    let counts = call.house.catalog.counts().await.map_err(|error| failed(&error))?;
    let demo = call.house.has_demo.then(|| json!({ "user": DEMO, "password": DEMO }));
    let ingesting = call.house.making.is_running();
    let sign_up = if call.house.playback.policy().open { "open" } else { "invited" };
    Ok(Answer::Private(json!({ "demo": demo, "sign_up": sign_up, "ingesting": ingesting, "tracks": counts.tracks })))
}
