//! Invitations: made by an administrator, used once at [`super::accounts`].

use needledrop_core::TokenId;
use needledrop_playback::account::Plan;
use needledrop_playback::sign_up::{Invitation, Lifetime};
use needledrop_playback::{Caller, DisplayName};
use serde::Deserialize;
use serde_json::{Value, json};

use super::whole::Whole;
use super::{Call, created, no_such};
use crate::answer::{Answer, Reply, refused};
use crate::query::wrong;

/// Where the player's form reads the secret. Behind a `#` it is sent to no server and stands in no log.
const FORM: &str = "/#/join/";

#[derive(Deserialize)]
struct NewInvitation {
    plan: Plan,
    #[serde(default)]
    note: Option<String>,
    /// Seconds.
    #[serde(default)]
    expires_in: Option<Whole>,
}

/// `POST /v1/invitations`.
pub(super) async fn make(call: &Call<'_>, caller: &Caller) -> Reply {
    let wish: NewInvitation = call.body()?;
    let note = wish.note.as_deref().map(DisplayName::parse).transpose();
    let note = note.map_err(|error| wrong("note", &error.to_string()))?;
    let lifetime = wish.expires_in.map_or(Some(Lifetime::default()), |seconds| Lifetime::of_seconds(seconds.0));
    let (least, most) = (Lifetime::SECONDS_MIN, Lifetime::SECONDS_MAX);
    let lifetime = lifetime.ok_or_else(|| wrong("expires_in", &format!("it is {least} to {most} seconds")))?;
    let made = call.house.playback.invite(caller, wish.plan, note, lifetime, call.now).await;
    let made = made.map_err(|error| refused(&error))?;
    let mut said = shown(&made.invitation);
    said["token"] = json!(made.secret.expose());
    said["link"] = json!(format!("{FORM}{}", made.secret.expose()));
    created(said)
}

/// `GET /v1/invitations`.
pub(super) async fn all(call: &Call<'_>, caller: &Caller) -> Reply {
    let known = call.house.playback.invitations(caller, call.now).await.map_err(|error| refused(&error))?;
    Ok(Answer::Entity(json!({ "items": known.iter().map(shown).collect::<Vec<_>>() })))
}

fn shown(invitation: &Invitation) -> Value {
    json!({
        "id": invitation.id.as_str(),
        "plan": invitation.plan.name(),
        "note": invitation.note.as_ref().map(DisplayName::as_str),
        "made_by": invitation.made_by.as_str(),
        "created": invitation.created.0,
        "expires": invitation.expires.0,
    })
}

/// `DELETE /v1/invitations/{id}`.
pub(super) async fn take_back(call: &Call<'_>, caller: &Caller, id: &str) -> Reply {
    let id = TokenId::parse(id).map_err(|_| no_such("invitation"))?;
    let taken = call.house.playback.uninvite(caller, id).await;
    taken.map(|()| Answer::Nothing).map_err(|error| refused(&error))
}
