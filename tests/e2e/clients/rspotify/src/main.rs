//! rspotify against needledrop: `rspotify-check BASE CLIENT-ID CLIENT-SECRET PUBLIC-CLIENT-ID CALLBACK`.
//!
//! Its models are strict: what an answer lacks or has in another form is an error. Where a person is to agree it prints
//! `AUTHORIZE` and the address, and reads the address that the person was sent to from its input.

use std::io::BufRead;
use std::process::exit;

use rspotify::model::{AlbumType, LibraryId, PlayableId, PlayableItem, RepeatState, SearchResult, SearchType, TrackId};
use rspotify::prelude::*;
use rspotify::{AuthCodePkceSpotify, ClientCredsSpotify, ClientResult, Config, Credentials, OAuth, scopes};

fn main() {
    let [base, id, secret, public, callback] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("five arguments");
    // One to a page, so that lists have several.
    let config = Config {
        api_base_url: format!("{base}/v1/"),
        auth_base_url: format!("{base}/oauth/"),
        pagination_chunks: 1,
        ..Config::default()
    };
    let alone = ClientCredsSpotify::with_config(Credentials::new(&id, &secret), config.clone());
    let done = alone.request_token().and_then(|()| reads(&alone).map(drop));
    done.unwrap_or_else(|error| fail(&format!("alone: {error}")));
    expect(alone.config.api_base_url.starts_with("http://127.0.0.1") || base.contains("localhost"), "not this machine");

    let oauth = OAuth {
        redirect_uri: callback,
        scopes: scopes!(
            "user-read-private",
            "playlist-read-private",
            "playlist-modify-private",
            "user-library-read",
            "user-library-modify",
            "user-read-playback-state",
            "user-modify-playback-state"
        ),
        ..OAuth::default()
    };
    let mut agreed = AuthCodePkceSpotify::with_config(Credentials::new_pkce(&public), oauth, config);
    let url = agreed.get_authorize_url(None).expect("an address");
    println!("AUTHORIZE {url}");
    let place = std::io::stdin().lock().lines().next().expect("a line").expect("text");
    let code = agreed.parse_response_code(&place).unwrap_or_else(|| fail("no code, or another state"));
    agreed.request_token(&code).unwrap_or_else(|error| fail(&format!("a code: {error}")));
    changes(&agreed).unwrap_or_else(|error| fail(&format!("agreed: {error}")));
    println!("ok search, albums, artists, tracks, playlists, library, player; a token refreshed");
}

fn fail(why: &str) -> ! {
    println!("FAILED {why}");
    exit(1)
}

fn expect(condition: bool, why: &str) {
    if !condition {
        fail(why);
    }
}

/// Search, album, artist, tracks, each list to its end.
fn reads(client: &impl BaseClient) -> ClientResult<Vec<TrackId<'static>>> {
    let SearchResult::Albums(found) = client.search("noon", SearchType::Album, None, None, Some(5), None)? else {
        fail("a search for albums finds other things")
    };
    let album = &found.items[0];
    expect(album.name == "Noon", &format!("search: {}", album.name));
    for kind in [SearchType::Artist, SearchType::Track, SearchType::Playlist, SearchType::Show, SearchType::Episode] {
        client.search("noon", kind, None, None, None, None)?;
    }
    let id = album.id.clone().expect("an id");
    let whole = client.album(id.clone(), None)?;
    expect(whole.tracks.total == 3 && whole.album_type == AlbumType::Single, &format!("album: {whole:?}"));
    let artist = client.artist(whole.artists[0].id.clone().expect("an id"))?;
    expect(artist.name == "The Early Birds", &artist.name);
    let albums = client.artist_albums(artist.id.clone(), [], None).collect::<ClientResult<Vec<_>>>()?;
    expect(albums.len() == 2, &format!("artist_albums: {}", albums.len()));
    let tracks = client.album_track(id.clone(), None).collect::<ClientResult<Vec<_>>>()?;
    let numbers: Vec<_> = tracks.iter().map(|track| track.track_number).collect();
    expect(numbers == [1, 2, 3], &format!("album_track: {numbers:?}"));
    let ids: Vec<TrackId<'static>> = tracks.iter().map(|track| track.id.clone().expect("an id")).collect();
    expect(client.track(ids[0].clone(), None)?.name == "Noon 1", "track");
    expect(client.track(TrackId::from_id("0000000000000000000000").expect("an id"), None).is_err(), "no such track");
    Ok(ids)
}

fn changes(client: &AuthCodePkceSpotify) -> ClientResult<()> {
    let me = client.current_user()?;
    expect(me.display_name.as_deref() == Some("admin"), &format!("{me:?}"));
    let ids = reads(client)?;
    let playable =
        |places: &[usize]| places.iter().map(|place| PlayableId::Track(ids[*place].clone())).collect::<Vec<_>>();

    let made =
        client.user_playlist_create(me.id.clone(), "By rspotify", Some(false), Some(false), Some("three at noon"))?;
    let list = made.id.clone();
    client.playlist_add_items(list.clone(), playable(&[0, 1]), None)?;
    client.playlist_add_items(list.clone(), playable(&[2]), Some(0))?;
    let order = || {
        let items = client.playlist_items(list.clone(), None, None).collect::<ClientResult<Vec<_>>>()?;
        let place = |item: PlayableItem| match item {
            PlayableItem::Track(track) => ids.iter().position(|id| Some(id) == track.id.as_ref()),
            _ => None,
        };
        let places =
            items.into_iter().map(|item| item.item.and_then(place).unwrap_or_else(|| fail("an item that is none")));
        ClientResult::Ok(places.collect::<Vec<usize>>())
    };
    expect(order()? == [2, 0, 1], &format!("after adding: {:?}", order()?));
    client.playlist_reorder_items(list.clone(), Some(0), Some(3), Some(1), None)?;
    expect(order()? == [0, 1, 2], &format!("after moving: {:?}", order()?));
    client.playlist_remove_all_occurrences_of_items(list.clone(), playable(&[1]), None)?;
    expect(order()? == [0, 2], &format!("after removing: {:?}", order()?));
    client.playlist_replace_items(list.clone(), playable(&[1, 1]))?;
    client.playlist_change_detail(list.clone(), Some("Still by rspotify"), None, None, None)?;
    let whole = client.playlist(list.clone(), None, None)?;
    expect(order()? == [1, 1] && whole.name == "Still by rspotify", &whole.name);
    let mine = client.current_user_playlists().collect::<ClientResult<Vec<_>>>()?;
    expect(mine.iter().any(|known| known.id == list), "current_user_playlists");

    let saved = || ids.iter().take(2).map(|id| LibraryId::Track(id.clone()));
    client.library_add(saved())?;
    expect(client.library_contains(saved())? == [true, true], "library_contains");
    let tracks = client.current_user_saved_tracks(None).collect::<ClientResult<Vec<_>>>()?;
    expect(
        saved().all(|id| tracks.iter().any(|saved| saved.track.id.clone().map(LibraryId::Track) == Some(id.clone()))),
        "saved tracks",
    );
    client.library_remove(saved())?;
    expect(client.library_contains(saved())? == [false, false], "what was removed is still saved");

    client.start_uris_playback(playable(&[0, 1]), None, None, None)?;
    client.repeat(RepeatState::Context, None)?;
    client.next_track(None)?;
    let now = client.current_playback(None, None::<Vec<_>>)?.unwrap_or_else(|| fail("nothing plays"));
    expect(now.is_playing && now.repeat_state == RepeatState::Context, &format!("{now:?}"));
    client.pause_playback(None)?;

    client.refresh_token()?;
    expect(client.current_user()?.id == me.id, "a refreshed token");
    Ok(())
}
