//! The table of the API: every call below `/v1`.
//!
//! A new call is one entry here, its schemas in `schemas/`, and a function that answers it. Method, path, credential,
//! parameters with their bounds, limits and documentation follow from the entry.

use needledrop_playback::Scope;

use super::param::{Kind, PAGE, Param};
use super::route::Act::{Anybody, May, SignedIn};
use super::route::Gives::{Created, Entity, Json};
use super::route::{Route, delete, get, post, put};
use super::{
    accounts, browse, document, invitations, library, me, oauth, ops, player, playlists, plays, search, session, shows,
    stream,
};
use crate::limits::Class;

/// Orders of a list of everything.
const ORDER: &[Param] = &[Param::optional(
    "order",
    Kind::Word(&["name", "newest", "played"]),
    "By name, by when it came into the library, or by how often it was played.",
)];

/// Things by their ids.
const IDS: &[Param] = &[browse::IDS];

/// Every call. Where two templates fit a path, the first is meant.
pub static ROUTES: &[Route] = &[
    // --- the API itself, and who one is ---------------------------------------------------------------------------
    get("/v1/openapi.json", "getOpenApi", "This document", Anybody(|call| Box::pin(document::openapi(call))))
        .gives(Entity("OpenApi")),
    get(
        "/v1/session/hint",
        "getSignInHint",
        "What a sign-in page may tell anybody",
        Anybody(|call| Box::pin(session::hint(call))),
    )
    .gives(Json("SignInHint")),
    post("/v1/session", "signIn", "Sign in", Anybody(|call| Box::pin(session::begin(call))))
        .about(
            "Sets a cookie that only pages of this server can use, or with `bearer` answers with a token for programs. \
             The token of a program that stays is better an API key: `POST /v1/me/credentials`.",
        )
        .class(Class::SignIn)
        .takes("SignIn")
        .gives(Json("Session"))
        .refuses(&[401, 403]),
    delete(
        "/v1/session",
        "signOut",
        "End the credential that this call is made with",
        SignedIn(|call, caller| Box::pin(session::end(call, caller))),
    )
    .gives(Json("Empty"))
    .refuses(&[404]),
    // --- accounts of others ------------------------------------------------------------------------------------------
    post("/v1/accounts", "signUp", "Make an account", Anybody(|call| Box::pin(accounts::make(call))))
        .about(
            "Where the server is by invitation (`sign_up` in `GET /v1/session/hint`), an invitation is needed, and used up. \
             Answers as `signIn` does.",
        )
        .class(Class::SignIn)
        .takes("NewAccount")
        .gives(Created("Session"))
        .refuses(&[403, 409]),
    get(
        "/v1/invitations",
        "getInvitations",
        "Invitations that nobody has used yet",
        May(Scope::Admin, |call, caller| Box::pin(invitations::all(call, caller))),
    )
    .gives(Entity("Invitations")),
    post(
        "/v1/invitations",
        "makeInvitation",
        "Invite somebody to make an account",
        May(Scope::Admin, |call, caller| Box::pin(invitations::make(call, caller))),
    )
    .about("For administrators. The token is shown this once, and is good for one account.")
    .takes("NewInvitation")
    .gives(Created("InvitationWithToken"))
    .refuses(&[409]),
    delete(
        "/v1/invitations/{id}",
        "takeInvitationBack",
        "End an invitation at once",
        May(Scope::Admin, |call, caller| Box::pin(invitations::take_back(call, caller, call.id()))),
    ),
    // --- the caller's own ------------------------------------------------------------------------------------------
    get("/v1/me", "getMe", "The caller's account", SignedIn(|call, caller| Box::pin(me::profile(call, caller))))
        .gives(Entity("User")),
    delete(
        "/v1/me",
        "leave",
        "Remove the caller's account for good",
        May(Scope::Account, |call, caller| Box::pin(accounts::leave(call, caller))),
    )
    .about(
        "With its credentials, playlists, stars and ratings, queue, devices, positions in episodes, programs and \
         invitations. What stays: how often a track was played in all, feeds that it added, and lines of the operators' \
         list of acts. The last administrator cannot leave.",
    )
    .class(Class::SignIn)
    .takes("Leave")
    .gives(Json("Empty"))
    .refuses(&[409]),
    put(
        "/v1/me/password",
        "changePassword",
        "Change the password",
        May(Scope::Account, |call, caller| Box::pin(me::change_password(call, caller))),
    )
    .about("Ends every other session of the account. API keys and app passwords stay.")
    .class(Class::SignIn)
    .takes("NewPassword")
    .refuses(&[409]),
    get(
        "/v1/me/queue",
        "getQueue",
        "What is playing, and what comes next",
        May(Scope::PlaybackRead, |call, caller| Box::pin(me::queue(call, caller))),
    )
    .gives(Entity("Queue")),
    put(
        "/v1/me/queue",
        "setQueue",
        "Say what is playing",
        May(Scope::PlaybackModify, |call, caller| Box::pin(me::set_queue(call, caller))),
    )
    .about("The latest `changed` wins, whole. `taken` is false where another device has said something later.")
    .takes("NewQueue")
    .gives(Json("QueueTaken")),
    post(
        "/v1/me/queue",
        "tellQueue",
        "Say what is playing, as a page that is being closed can",
        May(Scope::PlaybackModify, |call, caller| Box::pin(me::set_queue(call, caller))),
    )
    .takes("NewQueue")
    .gives(Json("QueueTaken")),
    get(
        "/v1/me/player/devices",
        "getDevices",
        "Programs and devices seen lately",
        May(Scope::PlaybackRead, |call, caller| Box::pin(me::devices(call, caller))),
    )
    .gives(Entity("Devices")),
    get(
        "/v1/me/credentials",
        "getCredentials",
        "Sessions, app passwords and keys of the account",
        May(Scope::Account, |call, caller| Box::pin(me::credentials(call, caller))),
    )
    .gives(Entity("Credentials")),
    post(
        "/v1/me/credentials",
        "makeCredential",
        "Make an app password, an API key or a key for feeds",
        May(Scope::Account, |call, caller| Box::pin(me::new_credential(call, caller))),
    )
    .about(
        "The secret is shown this once. That of a `feed` is part of addresses for podcast programs, which open nothing else: \
         `/feeds/SECRET/shows/ID.xml`, `/feeds/SECRET/albums/ID.xml`, `/feeds/SECRET/playlists/ID.xml`.",
    )
    .takes("NewCredential")
    .gives(Created("CredentialWithSecret"))
    .refuses(&[409]),
    delete(
        "/v1/me/credentials/{id}",
        "revokeCredential",
        "End a credential at once",
        May(Scope::Account, |call, caller| Box::pin(me::revoke(call, caller, call.id()))),
    ),
    get(
        "/v1/me/apps",
        "getApps",
        "Programs that the account has registered",
        May(Scope::Account, |call, caller| Box::pin(oauth::apps(call, caller))),
    )
    .gives(Entity("Apps")),
    post(
        "/v1/me/apps",
        "registerApp",
        "Register a program that people may let in by OAuth 2.0",
        May(Scope::Account, |call, caller| Box::pin(oauth::register(call, caller))),
    )
    .about(
        "People are asked at `/oauth/authorize`; tokens come from `/oauth/token`. `/.well-known/oauth-authorization-server` \
         has the rest (RFC 8414). A secret is shown this once; a program that cannot keep one uses PKCE.",
    )
    .takes("NewApp")
    .gives(Created("AppWithSecret"))
    .refuses(&[409]),
    delete(
        "/v1/me/apps/{id}",
        "removeApp",
        "Remove a program, and end what anybody allowed it",
        May(Scope::Account, |call, caller| Box::pin(oauth::remove(call, caller, call.id()))),
    ),
    // --- the player --------------------------------------------------------------------------------------------------
    get(
        "/v1/me/player",
        "getPlayer",
        "What is playing",
        May(Scope::PlaybackRead, |call, caller| Box::pin(player::state(call, caller))),
    )
    .gives(Entity("Player")),
    get(
        "/v1/me/player/currently-playing",
        "getCurrentlyPlaying",
        "The same, as older clients ask it",
        May(Scope::PlaybackRead, |call, caller| Box::pin(player::state(call, caller))),
    )
    .gives(Entity("Player")),
    get(
        "/v1/me/player/queue",
        "getPlayerQueue",
        "What is playing, and what comes next",
        May(Scope::PlaybackRead, |call, caller| Box::pin(player::queue(call, caller))),
    )
    .gives(Entity("PlayerQueue")),
    put(
        "/v1/me/player/play",
        "play",
        "Play these tracks, or go on",
        May(Scope::PlaybackModify, |call, caller| Box::pin(player::play(call, caller))),
    )
    .about("Changes the queue that the account's devices share; a device that follows it makes the sound.")
    .takes("Play")
    .refuses(&[404, 422]),
    put(
        "/v1/me/player/pause",
        "pause",
        "Stop for a while",
        May(Scope::PlaybackModify, |call, caller| Box::pin(player::pause(call, caller))),
    ),
    post(
        "/v1/me/player/next",
        "skipToNext",
        "Go to the next track",
        May(Scope::PlaybackModify, |call, caller| Box::pin(player::skip(call, caller, 1))),
    ),
    post(
        "/v1/me/player/previous",
        "skipToPrevious",
        "Go to the track before",
        May(Scope::PlaybackModify, |call, caller| Box::pin(player::skip(call, caller, -1))),
    ),
    put(
        "/v1/me/player/seek",
        "seek",
        "Go to a place in the track",
        May(Scope::PlaybackModify, |call, caller| Box::pin(player::seek(call, caller))),
    )
    .params(&[player::SEEK]),
    put(
        "/v1/me/player/shuffle",
        "setShuffle",
        "Draw what comes next by lot, or not",
        May(Scope::PlaybackModify, |call, caller| Box::pin(player::shuffle(call, caller))),
    )
    .params(&[player::SHUFFLE]),
    put(
        "/v1/me/player/repeat",
        "setRepeat",
        "Say what happens at the end",
        May(Scope::PlaybackModify, |call, caller| Box::pin(player::repeat(call, caller))),
    )
    .params(&[player::REPEAT]),
    post(
        "/v1/me/player/queue",
        "addToQueue",
        "Put a track at the end of the queue",
        May(Scope::PlaybackModify, |call, caller| Box::pin(player::append(call, caller))),
    )
    .params(&[player::URI])
    .refuses(&[422]),
    // --- what one saved ----------------------------------------------------------------------------------------------
    get(
        "/v1/me/tracks",
        "getSavedTracks",
        "Tracks that the caller saved, the last first",
        May(Scope::LibraryRead, |call, caller| Box::pin(library::tracks(call, caller))),
    )
    .params(&[PAGE])
    .gives(Entity("SavedTrackPage")),
    get(
        "/v1/me/albums",
        "getSavedAlbums",
        "Albums that the caller saved, the last first",
        May(Scope::LibraryRead, |call, caller| Box::pin(library::albums(call, caller))),
    )
    .params(&[PAGE])
    .gives(Entity("SavedAlbumPage")),
    get(
        "/v1/me/library/contains",
        "areSaved",
        "Whether things are saved",
        May(Scope::LibraryRead, |call, caller| Box::pin(library::contains(call, caller))),
    )
    .params(&[library::URIS])
    .gives(Entity("AreSaved")),
    put(
        "/v1/me/library",
        "save",
        "Save tracks, albums and artists",
        May(Scope::LibraryModify, |call, caller| Box::pin(library::save(call, caller))),
    )
    .about("The same as stars in OpenSubsonic. One that is not there is refused with all others.")
    .params(&[library::URIS])
    .refuses(&[404, 409]),
    delete(
        "/v1/me/library",
        "unsave",
        "Take things out of what is saved",
        May(Scope::LibraryModify, |call, caller| Box::pin(library::remove(call, caller))),
    )
    .params(&[library::URIS]),
    // --- playlists ---------------------------------------------------------------------------------------------------
    get(
        "/v1/me/playlists",
        "getMyPlaylists",
        "The caller's playlists",
        May(Scope::PlaylistReadPrivate, |call, caller| Box::pin(playlists::mine(call, caller))),
    )
    .params(&[PAGE])
    .gives(Entity("PlaylistPage")),
    post(
        "/v1/me/playlists",
        "createPlaylist",
        "Make a playlist",
        May(Scope::PlaylistModifyPrivate, |call, caller| Box::pin(playlists::create(call, caller))),
    )
    .takes("NewPlaylist")
    .gives(Created("PlaylistWithItems"))
    .refuses(&[409]),
    get(
        "/v1/playlists/{id}",
        "getPlaylist",
        "A playlist with all its items",
        May(Scope::PlaylistReadPrivate, |call, caller| Box::pin(playlists::one(call, caller, call.id()))),
    )
    .gives(Entity("PlaylistWithItems")),
    put(
        "/v1/playlists/{id}",
        "renamePlaylist",
        "Change what is said about a playlist",
        May(Scope::PlaylistModifyPrivate, |call, caller| Box::pin(playlists::rename(call, caller, call.id()))),
    )
    .takes("PlaylistChange")
    .gives(Json("Playlist")),
    get(
        "/v1/playlists/{id}/items",
        "getItems",
        "The items of a playlist",
        May(Scope::PlaylistReadPrivate, |call, caller| Box::pin(playlists::items(call, caller, call.id()))),
    )
    .params(&[playlists::PAGE])
    .gives(Entity("PlaylistItemPage")),
    put(
        "/v1/playlists/{id}/items",
        "changeItems",
        "Move a range of items, or make these tracks the playlist",
        May(Scope::PlaylistModifyPrivate, |call, caller| Box::pin(playlists::reorder(call, caller, call.id()))),
    )
    .takes("ItemsToMove")
    .gives(Json("Snapshot"))
    .refuses(&[409]),
    post(
        "/v1/playlists/{id}/items",
        "addItems",
        "Put tracks into a playlist",
        May(Scope::PlaylistModifyPrivate, |call, caller| Box::pin(playlists::add(call, caller, call.id()))),
    )
    .params(&[playlists::POSITION])
    .takes("ItemsToAdd")
    .gives(Created("Snapshot"))
    .refuses(&[409]),
    delete(
        "/v1/playlists/{id}/items",
        "removeItems",
        "Take every item of these tracks out of a playlist",
        May(Scope::PlaylistModifyPrivate, |call, caller| Box::pin(playlists::remove(call, caller, call.id()))),
    )
    .takes("ItemsToRemove")
    .gives(Json("Snapshot"))
    .refuses(&[409]),
    get(
        "/v1/playlists/{id}/tracks",
        "getPlaylistTracks",
        "The same as `getItems`, as older clients ask it",
        May(Scope::PlaylistReadPrivate, |call, caller| Box::pin(playlists::items(call, caller, call.id()))),
    )
    .params(&[playlists::PAGE])
    .gives(Entity("PlaylistItemPage")),
    put(
        "/v1/playlists/{id}/tracks",
        "changePlaylistTracks",
        "The same as `changeItems`, as older clients write it",
        May(Scope::PlaylistModifyPrivate, |call, caller| Box::pin(playlists::reorder(call, caller, call.id()))),
    )
    .takes("ItemsToMove")
    .gives(Json("Snapshot"))
    .refuses(&[409]),
    post(
        "/v1/playlists/{id}/tracks",
        "addTracks",
        "The same as `addItems`, as older clients write it",
        May(Scope::PlaylistModifyPrivate, |call, caller| Box::pin(playlists::add(call, caller, call.id()))),
    )
    .params(&[playlists::POSITION])
    .takes("ItemsToAdd")
    .gives(Created("Snapshot"))
    .refuses(&[409]),
    delete(
        "/v1/playlists/{id}/tracks",
        "removeTracks",
        "The same as `removeItems`, as older clients write it",
        May(Scope::PlaylistModifyPrivate, |call, caller| Box::pin(playlists::remove(call, caller, call.id()))),
    )
    .takes("TracksToRemove")
    .gives(Json("Snapshot"))
    .refuses(&[409]),
    delete(
        "/v1/playlists/{id}/followers",
        "deletePlaylist",
        "Delete a playlist of one's own",
        May(Scope::PlaylistModifyPrivate, |call, caller| Box::pin(playlists::delete(call, caller, call.id()))),
    ),
    // --- the catalog ---------------------------------------------------------------------------------------------------
    get(
        "/v1/search",
        "search",
        "Look for words, forgiving slips",
        May(Scope::CatalogRead, |call, caller| Box::pin(search::search(call, caller))),
    )
    .class(Class::Search)
    .params(&[&search::PARAMS, &search::PAGE])
    .gives(Entity("SearchResult")),
    get(
        "/v1/browse/home",
        "getHome",
        "The first page: what came last, and what is played most",
        May(Scope::CatalogRead, |call, _| Box::pin(browse::home(call))),
    )
    .gives(Entity("Home")),
    get(
        "/v1/ingest",
        "getIngest",
        "How far the making of tracks is",
        May(Scope::CatalogRead, |call, _| Box::pin(browse::ingest(call))),
    )
    .gives(Entity("Making")),
    get(
        "/v1/artists",
        "getArtists",
        "All artists by name",
        May(Scope::CatalogRead, |call, _| Box::pin(browse::artists(call))),
    )
    .params(&[IDS, PAGE])
    .gives(Entity("ArtistsListed")),
    get(
        "/v1/artists/{id}",
        "getArtist",
        "An artist",
        May(Scope::CatalogRead, |call, _| Box::pin(browse::artist(call, call.id()))),
    )
    .gives(Entity("Artist")),
    get(
        "/v1/artists/{id}/albums",
        "getArtistAlbums",
        "An artist's albums, newest first",
        May(Scope::CatalogRead, |call, _| Box::pin(browse::albums_of(call, call.id()))),
    )
    .params(&[browse::GROUPS, PAGE])
    .gives(Entity("AlbumPage")),
    get(
        "/v1/artists/{id}/top-tracks",
        "getArtistTopTracks",
        "What is played most of an artist",
        May(Scope::CatalogRead, |call, _| Box::pin(browse::top_tracks(call, call.id()))),
    )
    .gives(Entity("Tracks")),
    get("/v1/albums", "getAlbums", "All albums", May(Scope::CatalogRead, |call, _| Box::pin(browse::albums(call))))
        .params(&[IDS, ORDER, PAGE])
        .gives(Entity("AlbumsListed")),
    get(
        "/v1/albums/{id}",
        "getAlbum",
        "An album with its first 50 tracks",
        May(Scope::CatalogRead, |call, _| Box::pin(browse::album(call, call.id()))),
    )
    .gives(Entity("AlbumWithTracks")),
    get(
        "/v1/albums/{id}/tracks",
        "getAlbumTracks",
        "An album's tracks in order",
        May(Scope::CatalogRead, |call, _| Box::pin(browse::album_tracks(call, call.id()))),
    )
    .params(&[PAGE])
    .gives(Entity("TrackPage")),
    get("/v1/tracks", "getTracks", "All tracks", May(Scope::CatalogRead, |call, _| Box::pin(browse::tracks(call))))
        .params(&[IDS, ORDER, PAGE])
        .gives(Entity("TracksListed")),
    get(
        "/v1/tracks/{id}",
        "getTrack",
        "A track",
        May(Scope::CatalogRead, |call, _| Box::pin(browse::track(call, call.id()))),
    )
    .gives(Entity("Track")),
    // --- podcasts ------------------------------------------------------------------------------------------------------
    get(
        "/v1/shows",
        "getShows",
        "All podcasts by title",
        May(Scope::Streaming, |call, caller| Box::pin(shows::all(call, caller))),
    )
    .params(&[PAGE])
    .gives(Entity("ShowListing")),
    post(
        "/v1/shows",
        "addShow",
        "Add a podcast by the address of its feed",
        May(Scope::LibraryModify, |call, caller| Box::pin(shows::add(call, caller))),
    )
    .about(
        "Answers when the feed has been fetched. For administrators, unless the operator lets everybody (`may_add`).",
    )
    .takes("NewShow")
    .gives(Created("Show"))
    .refuses(&[409, 502]),
    get(
        "/v1/shows/{id}",
        "getShow",
        "A podcast with its latest 50 episodes",
        May(Scope::Streaming, |call, caller| Box::pin(shows::show(call, caller, call.id()))),
    )
    .gives(Entity("ShowWithEpisodes")),
    delete(
        "/v1/shows/{id}",
        "removeShow",
        "Remove a podcast that comes from a feed",
        May(Scope::LibraryModify, |call, caller| Box::pin(shows::remove(call, caller, call.id()))),
    )
    .refuses(&[409]),
    post(
        "/v1/shows/{id}/refresh",
        "refreshShow",
        "Look at a podcast's feed now",
        May(Scope::LibraryModify, |call, caller| Box::pin(shows::refresh(call, caller, call.id()))),
    )
    .gives(Json("Show"))
    .refuses(&[400, 409, 422, 502]),
    get(
        "/v1/shows/{id}/episodes",
        "getShowEpisodes",
        "A podcast's episodes, latest first",
        May(Scope::Streaming, |call, caller| Box::pin(shows::episodes(call, caller, call.id()))),
    )
    .params(&[PAGE])
    .gives(Entity("EpisodePage")),
    get(
        "/v1/episodes",
        "getEpisodes",
        "The latest episodes of all podcasts",
        May(Scope::Streaming, |call, caller| Box::pin(shows::newest(call, caller))),
    )
    .params(&[shows::LATEST])
    .gives(Entity("EpisodePage")),
    get(
        "/v1/episodes/{id}",
        "getEpisode",
        "An episode with its podcast",
        May(Scope::Streaming, |call, caller| Box::pin(shows::episode(call, caller, call.id()))),
    )
    .gives(Entity("Episode")),
    get(
        "/v1/episodes/{id}/stream",
        "getEpisodeStream",
        "Where an episode may be heard",
        May(Scope::Streaming, |call, caller| Box::pin(shows::stream(call, caller, call.id()))),
    )
    .about("The publisher's own URL: the sound does not go through this server.")
    .gives(Json("EpisodeStream")),
    put(
        "/v1/episodes/{id}/resume-point",
        "setResumePoint",
        "Say how far an episode was heard",
        May(Scope::PlaybackModify, |call, caller| Box::pin(shows::set_resume_point(call, caller, call.id()))),
    )
    .takes("NewResumePoint"),
    // --- listening -------------------------------------------------------------------------------------------------------
    get(
        "/v1/tracks/{id}/stream",
        "getStream",
        "Where a track may be heard",
        May(Scope::Streaming, |call, caller| Box::pin(stream::stream(call, caller, call.id()))),
    )
    .about(
        "Signed URLs, best first; never the sound itself. Without a wish the bitrate follows the plan, `Save-Data` \
             and `Downlink`. The `playback_id` stays the same for a listener, client and track until `start=zero`.",
    )
    .params(&[stream::PARAMS])
    .gives(Json("Grant")),
    post(
        "/v1/plays",
        "reportPlay",
        "Tell what was heard of a play",
        May(Scope::Streaming, |call, caller| Box::pin(plays::report(call, caller))),
    )
    .about("The `playback_id` is one that the track's `/stream` gave this account; any other is answered 422, and counts nothing.")
    .takes("Heard")
    .refuses(&[404]),
    // --- the edges, for operators ------------------------------------------------------------------------------------
    get(
        "/v1/ops",
        "getOperations",
        "All edges, and what they did",
        May(Scope::Admin, |call, _| Box::pin(ops::overview(call))),
    )
    .about("Taken from the last looks at the edges, one every five seconds; nobody is asked now.")
    .params(&[ops::LOOK])
    .gives(Json("Operations")),
    get("/v1/ops/audit", "getAudit", "Who did what, newest first", May(Scope::Admin, |call, _| Box::pin(ops::audit(call))))
        .params(&[ops::PIECE])
        .gives(Json("Audit")),
    post(
        "/v1/ops/drain",
        "drainEdge",
        "Take an edge out of service, or back into it",
        May(Scope::Admin, |call, caller| Box::pin(ops::drain(call, caller))),
    )
    .takes("DrainWish")
    .gives(Json("OpsReport"))
    .refuses(&[404, 409]),
    post(
        "/v1/ops/purge",
        "purgeObjects",
        "Make objects gone at every edge",
        May(Scope::Admin, |call, caller| Box::pin(ops::purge(call, caller))),
    )
    .takes("PurgeWish")
    .gives(Json("OpsReport"))
    .refuses(&[409]),
];
