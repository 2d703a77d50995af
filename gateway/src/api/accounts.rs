//! Making an account, and leaving it.

use http::StatusCode;
use needledrop_catalog::model::Territory;
use needledrop_core::{AccountId, Problem};
use needledrop_playback::{Caller, SignUp};
use serde::Deserialize;

use super::Call;
use super::session::{WEB, let_in, over};
use crate::answer::{Reply, refused};
use crate::query::wrong;
use crate::who;

#[derive(Deserialize)]
struct NewAccount {
    user: String,
    password: String,
    /// Where the server is by invitation.
    #[serde(default)]
    invitation: Option<String>,
    /// Two letters.
    #[serde(default)]
    country: Option<String>,
    /// Also returns the secret, for a program that keeps no cookies.
    #[serde(default)]
    bearer: bool,
    #[serde(default)]
    client: Option<String>,
}

/// `POST /v1/accounts`.
pub(super) async fn make(call: &Call<'_>) -> Reply {
    let wish: NewAccount = call.body()?;
    if who::is_elsewhere(call.request) && !wish.bearer {
        return Err(who::cross_site());
    }
    let country = wish.country.as_deref().map(Territory::parse).transpose();
    let sign_up = SignUp {
        name: &wish.user,
        password: &wish.password,
        territory: country.map_err(|error| wrong("country", &error.to_string()))?,
        client: wish.client.as_deref().unwrap_or(WEB),
    };
    let address = call.request.peer.client;
    let issued = call.house.playback.join(sign_up, wish.invitation.as_deref(), address, call.now).await;
    let issued = issued.map_err(|error| refused(&error))?;
    Ok(let_in(call, &issued, wish.bearer, StatusCode::CREATED))
}

#[derive(Deserialize)]
struct Leave {
    password: String,
}

/// `DELETE /v1/me`.
pub(super) async fn leave(call: &Call<'_>, caller: &Caller) -> Reply {
    let said: Leave = call.body()?;
    let address = call.request.peer.client;
    let playback = &call.house.playback;
    let leaving = playback.leave(caller, &said.password, address, call.now).await.map_err(|error| refused(&error))?;
    let account = leaving.account();
    // First, so that a crash in between leaves an account that can leave again, and nothing that nobody can reach.
    forget(call, account).await?;
    playback.remove_account(leaving).await.map_err(|error| refused(&error))?;
    // And once more for what another device has made in this moment.
    forget(call, account).await?;
    Ok(over())
}

/// What other services keep of an account.
async fn forget(call: &Call<'_>, account: AccountId) -> Result<(), Problem> {
    let failed = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "an account cannot be forgotten");
        Problem::new("storage", "Storage is not available", 503)
    };
    call.house.playlists.forget(account).await.map_err(|error| failed(&error))?;
    call.house.podcasts.forget(account).await.map_err(|error| failed(&error))
}
