"""spotipy against needledrop: BASE CLIENT-ID CLIENT-SECRET PUBLIC-CLIENT-ID CALLBACK-PORT CACHE-FOLDER.

The browser that spotipy opens for consent is the one that BROWSER names.
"""

import sys

import requests
import spotipy
from spotipy.cache_handler import CacheFileHandler, MemoryCacheHandler
from spotipy.oauth2 import SpotifyClientCredentials, SpotifyOauthError, SpotifyPKCE

base, client_id, client_secret, public_id, port, folder = sys.argv[1:]
# spotipy writes these down; every place that it asks at is one of them.
for kind in (SpotifyClientCredentials, SpotifyPKCE):
    kind.OAUTH_TOKEN_URL = f"{base}/oauth/token"
SpotifyPKCE.OAUTH_AUTHORIZE_URL = f"{base}/oauth/authorize"
SCOPE = "user-read-private playlist-read-private playlist-modify-private user-read-playback-state user-modify-playback-state user-library-read user-library-modify streaming"


def expect(condition, why):
    if not condition:
        sys.exit(f"FAILED {why}")


def client(auth):
    sp = spotipy.Spotify(auth_manager=auth, retries=0)
    sp.prefix = f"{base}/v1/"
    return sp


def all_of(sp, page):
    items = list(page["items"])
    while page["next"]:
        page = sp.next(page)
        items += page["items"]
    return items


def reads(sp):
    """Search, album, artist, tracks, each list to its end."""
    album = sp.search("noon", type="album")["albums"]["items"][0]
    expect(album["name"] == "Noon", f"search: {album['name']}")
    whole = sp.album(album["id"])
    expect(whole["total_tracks"] == 3 and whole["tracks"]["total"] == 3, "album")
    artist = sp.artist(album["artists"][0]["id"])
    expect(artist["name"] == "The Early Birds", "artist")
    albums = all_of(sp, sp.artist_albums(artist["id"], limit=1))
    expect({a["name"] for a in albums} == {"First Light", "Noon"} and len(albums) == 2, "artist_albums, paged")
    expect(len(sp.artist_top_tracks(artist["id"])["tracks"]) == 6, "artist_top_tracks")
    tracks = all_of(sp, sp.album_tracks(album["id"], limit=2))
    expect([t["track_number"] for t in tracks] == [1, 2, 3], "album_tracks, paged")
    ids = [t["id"] for t in tracks]
    expect(sp.track(ids[0])["name"] == "Noon 1", "track")
    several = sp.tracks(ids)["tracks"]
    expect([t["id"] for t in several] == ids, "tracks")
    expect([a["id"] for a in sp.artists([artist["id"]])["artists"]] == [artist["id"]], "artists")
    expect(sp.albums([album["id"]])["albums"][0]["tracks"]["total"] == 3, "albums")
    try:
        sp.track("0" * 22)
        expect(False, "a track that is not there")
    except spotipy.SpotifyException as refused:
        expect(refused.http_status == 404, f"{refused}")
    return ids


def alone():
    try:
        SpotifyClientCredentials(client_id, "ndp_wrong", cache_handler=MemoryCacheHandler()).get_access_token(as_dict=False)
        expect(False, "a wrong secret is taken")
    except SpotifyOauthError as refused:
        expect(refused.error == "invalid_client", f"{refused}")
    sp = client(SpotifyClientCredentials(client_id, client_secret, cache_handler=MemoryCacheHandler()))
    reads(sp)
    try:
        sp.me()
        expect(False, "a program's own token is somebody")
    except spotipy.SpotifyException as refused:
        expect(refused.http_status == 403, f"{refused}")


def agreed():
    cache = CacheFileHandler(cache_path=f"{folder}/token")
    auth = SpotifyPKCE(client_id=public_id, redirect_uri=f"http://127.0.0.1:{port}/callback", scope=SCOPE, cache_handler=cache)
    sp = client(auth)
    me = sp.me()
    expect(me["display_name"] == "admin" and me["product"] == "premium", f"me: {me}")
    uris = [f"spotify:track:{id}" for id in reads(sp)]

    made = sp.current_user_playlist_create("Noon again", public=False, description="made by spotipy")
    sp.playlist_add_items(made["id"], uris)
    sp.playlist_add_items(made["id"], uris[:1], position=0)

    def order():
        items = all_of(sp, sp.playlist_items(made["id"], limit=2))
        return [uris.index(f"spotify:track:{(i.get('item') or i['track'])['id']}") for i in items]

    expect(order() == [0, 0, 1, 2], f"after adding: {order()}")
    sp.playlist_reorder_items(made["id"], range_start=3, insert_before=0)
    expect(order() == [2, 0, 0, 1], f"after moving: {order()}")
    sp.playlist_remove_all_occurrences_of_items(made["id"], uris[:1])
    expect(order() == [2, 1], f"after removing: {order()}")
    sp.playlist_replace_items(made["id"], uris)
    sp.playlist_change_details(made["id"], name="Noon for good")
    expect(order() == [0, 1, 2] and sp.playlist(made["id"])["name"] == "Noon for good", "replaced and renamed")
    expect(made["id"] in [p["id"] for p in all_of(sp, sp.current_user_playlists(limit=1))], "current_user_playlists")
    sp.current_user_unfollow_playlist(made["id"])

    # spotipy 2.26 saves by address.
    sp.current_user_saved_tracks_add(uris)
    expect(sp.current_user_saved_tracks_contains(uris) == [True] * 3, "current_user_saved_tracks_contains")
    saved = [item["track"]["id"] for item in all_of(sp, sp.current_user_saved_tracks(limit=2))]
    expect(sorted(f"spotify:track:{id}" for id in saved) == sorted(uris), f"current_user_saved_tracks: {saved}")
    sp.current_user_saved_tracks_delete(uris[1:])
    expect(sp.current_user_saved_tracks_contains(uris) == [True, False, False], "after taking two out")
    album = sp.track(uris[0])["album"]["id"]
    sp.current_user_saved_albums_add([album])
    albums = sp.current_user_saved_albums()["items"]
    expect([item["album"]["id"] for item in albums] == [album] and albums[0]["album"]["tracks"]["total"] == 3, "current_user_saved_albums")
    sp.current_user_saved_albums_delete([album])
    sp.current_user_saved_tracks_delete(uris[:1])
    expect(sp.current_user_saved_albums()["total"] == 0, "an album that was taken out is still saved")

    sp.start_playback(uris=uris, offset={"position": 1}, position_ms=2000)
    now = sp.current_playback()
    expect((now["item"]["uri"].split(":")[-1], now["progress_ms"], now["is_playing"]) == (uris[1].split(":")[-1], 2000, True), f"{now}")
    sp.next_track()
    sp.pause_playback()
    now = sp.current_user_playing_track()
    expect(now["item"]["id"] == uris[2].split(":")[-1] and not now["is_playing"], f"{now}")
    expect(len(sp.queue()["queue"]) == 0, "queue")

    sp.start_playback(context_uri=f"spotify:album:{album}", offset={"uri": uris[1]})
    now = sp.current_playback()
    expect(now["item"]["id"] == uris[1].split(":")[-1] and now["is_playing"], f"an album that is played: {now}")

    # A refresh token is good once; the second time ends what the first gave.
    token = cache.get_cached_token()
    said = {"grant_type": "refresh_token", "refresh_token": token["refresh_token"], "client_id": public_id}
    fresh = auth.refresh_access_token(token["refresh_token"])
    ask = lambda secret: requests.get(f"{base}/v1/me", headers={"Authorization": f"Bearer {secret}"}, timeout=10).status_code
    expect(ask(fresh["access_token"]) == 200, "a refreshed token")
    again = requests.post(f"{base}/oauth/token", data=said, timeout=10)
    expect((again.status_code, again.json()["error"]) == (400, "invalid_grant"), f"a spent refresh token: {again.text}")
    expect(ask(fresh["access_token"]) == 401, "what came of a stolen token goes on")


alone()
agreed()
print("ok client credentials and code with PKCE, 40 calls")
