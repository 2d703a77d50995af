//! What the server says about itself and about who asks.

use super::failure::Failure;
use super::response::Element;
use super::{Call, Reply, Said, tree};

/// The extensions that are truly served.
const EXTENSIONS: [&str; 4] = ["apiKeyAuthentication", "formPost", "getPodcastEpisode", "songLyrics"];

pub(super) fn extensions() -> Said {
    let extension = |name: &&'static str| Element::new().with("name", *name).words("versions", [1_u32]);
    Said::Many("openSubsonicExtensions", EXTENSIONS.iter().map(extension).collect())
}

pub(super) fn license() -> Reply {
    tree("license", Element::new().with("valid", true))
}

pub(super) fn user(call: &Call<'_>) -> Reply {
    let account = call.caller.account();
    let asked = call.params.required("username")?;
    if !asked.eq_ignore_ascii_case(account.name.as_str()) {
        return Err(Failure::not_allowed("Only your own account is shown"));
    }
    let mut user = Element::new()
        .with("username", account.name.as_str())
        .with("scrobblingEnabled", true)
        .with("maxBitRate", account.plan.cap().value())
        .with("adminRole", account.is_admin)
        .with("podcastRole", super::podcasts::may_manage(call));
    for role in ["downloadRole", "playlistRole", "streamRole"] {
        user = user.with(role, true);
    }
    let without = [
        "settingsRole",
        "uploadRole",
        "coverArtRole",
        "commentRole",
        "jukeboxRole",
        "shareRole",
        "videoConversionRole",
    ];
    for role in without {
        user = user.with(role, false);
    }
    tree("user", user.words("folder", [0_u32]))
}

pub(super) fn token_info(call: &Call<'_>) -> Reply {
    tree("tokenInfo", Element::new().with("username", call.caller.account().name.as_str()))
}

pub(super) async fn scan_status(call: &Call<'_>) -> Reply {
    let counts = call.house.catalog.counts().await?;
    let scanning = call.house.making.is_running();
    tree("scanStatus", Element::new().with("scanning", scanning).with("count", counts.tracks))
}
