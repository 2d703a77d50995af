//! Programs of other people: registered, listed and removed by an account. What they do then is in [`crate::oauth`].

use needledrop_core::ClientId;
use needledrop_playback::oauth::{Client, REDIRECTS_MAX, RedirectUri};
use needledrop_playback::{Caller, DisplayName, Registered};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, at_most, created, no_such};
use crate::answer::{Answer, Reply, refused};
use crate::query::wrong;

#[derive(Deserialize)]
struct NewApp {
    name: String,
    redirect_uris: Vec<String>,
    /// Whether it can keep a secret: a program on a server can, one in a browser or on a phone cannot.
    #[serde(default)]
    confidential: bool,
}

/// `POST /v1/me/apps`.
pub(super) async fn register(call: &Call<'_>, caller: &Caller) -> Reply {
    let wish: NewApp = call.body()?;
    at_most("redirect_uris", REDIRECTS_MAX, wish.redirect_uris.len())?;
    let name = DisplayName::parse(&wish.name).map_err(|error| refused(&error.into()))?;
    let redirects = wish.redirect_uris.iter().map(|uri| RedirectUri::parse(uri)).collect::<Result<Vec<_>, _>>();
    let redirects = redirects.map_err(|error| wrong("redirect_uris", &error.to_string()))?;
    let made = call.house.playback.register_client(caller, name, redirects, wish.confidential, call.now).await;
    let Registered { client, secret } = made.map_err(|error| refused(&error))?;
    let mut said = app(&client);
    said["client_secret"] = json!(secret.as_ref().map(|secret| secret.expose()));
    created(said)
}

/// `GET /v1/me/apps`.
pub(super) async fn apps(call: &Call<'_>, caller: &Caller) -> Reply {
    let known = call.house.playback.clients(caller).await.map_err(|error| refused(&error))?;
    Ok(Answer::Entity(json!({ "items": known.iter().map(app).collect::<Vec<_>>() })))
}

/// `DELETE /v1/me/apps/{id}`.
pub(super) async fn remove(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let id = ClientId::parse(id).map_err(|_| no_such("app"))?;
    let removed = call.house.playback.remove_client(caller, id).await;
    removed.map(|()| Answer::Nothing).map_err(|error| refused(&error))
}

fn app(client: &Client) -> Value {
    json!({
        "client_id": client.id.as_str(),
        "name": client.name.as_str(),
        "redirect_uris": client.redirects.iter().map(RedirectUri::as_str).collect::<Vec<_>>(),
        "confidential": client.secret.is_some(),
        "created": client.created.0,
    })
}
