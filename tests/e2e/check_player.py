"""Accounts, catalog, search and the web player."""

import hashlib
import json
import os
import pathlib
import re
import time

from harness import MUSIC, Up, check, environment, expect, run, seconds_of

SCRIPT = pathlib.Path(__file__).parent / "player.mjs"
ALBUMS = [("First Light", "The Early Birds"), ("Noon", "The Early Birds"), ("Nachtmusik für Ägypten", "Björk & Söhne")]
TRACKS = 3


def music(world):
    """Nine tracks on three albums; made once."""
    folder = world.scratch / "albums"
    if folder.exists():
        return folder
    making = world.scratch / "albums-making"
    making.mkdir()
    songs = [s for s in sorted(MUSIC.glob("*.ogg"), key=lambda f: f.stat().st_size) if seconds_of(s) > 60]
    for a, (album, artist) in enumerate(ALBUMS):
        for n in range(TRACKS):
            tags = {"title": f"{album} {n + 1}", "artist": artist, "album": album, "track": n + 1, "date": 2000 + a}
            said = [part for key, value in tags.items() for part in ("-metadata", f"{key}={value}")]
            run(["ffmpeg", "-v", "error", "-nostdin", "-i", songs[(a * TRACKS + n) % len(songs)], "-t", "40", "-map", "0:a", "-ac", "2",
                 "-map_metadata", "-1", *said, making / f"{a}-{n}.flac"])
    making.rename(folder)
    return folder


def open_house(world):
    return Up(world, world.scratch / "house", ["--music", music(world)])


def house(world):
    found = getattr(world, "_house", None)
    if found is None or found.server.process.poll() is not None:
        found = world._house = open_house(world)
        found.wait_ingested(len(ALBUMS) * TRACKS)
    return found


@check
def no_call_is_answered_without_a_good_credential(world):
    here = house(world)
    calls = ["/v1/me", "/v1/tracks", "/v1/albums", "/v1/artists", "/v1/search?q=noon", "/v1/browse/home", "/v1/me/queue",
             f"/v1/tracks/{here.tracks()['items'][0]['id']}/stream"]
    for path in calls:
        for token in (None, "nonsense", here.token[:-1] + ("A" if here.token[-1] != "A" else "B")):
            status, text = here.ask("GET", path, token=token)
            expect(status == 401, f"{path} answers {status} for {token}")
            expect("urn:needledrop:problem:" in text, f"{path}: {text[:200]}")
        expect(here.ask("GET", path)[0] == 200, f"{path} with the right one")
    status, text = here.ask("PUT", "/v1/me/queue", {"items": [], "changed": 1}, token=None,
                            fields=[f"Cookie: needledrop_session={here.token}"])
    expect(status == 403 and "cross-site" in text, f"a page elsewhere may change things: {status} {text[:200]}")
    status, _ = here.ask("POST", "/v1/session", {"user": "admin", "password": "wrong"}, token=None)
    expect(status == 401, f"a wrong password is answered {status}")
    expect(here.ask("GET", "/v1/me/credentials")[0] == 403, "the demo account may manage credentials")
    issued = here.call("POST", "/v1/session", {"user": "demo", "password": "demo", "bearer": True})["token"]
    expect(here.ask("DELETE", "/v1/session", token=issued)[0] == 200, "signing out")
    expect(here.ask("GET", "/v1/me", token=issued)[0] == 401, "a session goes on after its end")
    return f"{len(calls)} calls, three wrong credentials each"


@check
def search_forgives_slips_and_accents(world):
    here = house(world)
    for typed, kind, wanted in [("noom", "album", "Noon"), ("bjork sohne", "artist", "Björk & Söhne"),
                                ("nachtmusik aegypten", "album", "Nachtmusik für Ägypten"), ("first li", "album", "First Light"),
                                ("erly birds noon 2", "track", "Noon 2"), ("birds early", "artist", "The Early Birds")]:
        q = typed.replace(" ", "+")
        found = here.call("GET", f"/v1/search?q={q}&type={kind}&explain=1")[f"{kind}s"]["items"]
        names = [item["name"] for item in found]
        expect(names[:1] == [wanted], f"{typed!r} finds {names[:4]}")
    return found[0]["score"]


@check
def a_signed_url_of_the_catalog_plays(world):
    here = house(world)
    album = here.call("GET", "/v1/search?q=noon&type=album")["albums"]["items"][0]
    items = here.call("GET", f"/v1/albums/{album['id']}")["tracks"]["items"]
    expect([t["track_number"] for t in items] == [1, 2, 3], f"{[t['track_number'] for t in items]}")
    first = here.call("GET", f"/v1/tracks/{items[0]['id']}/stream")
    again = here.call("GET", f"/v1/tracks/{items[0]['id']}/stream?kbps=96")
    zero = here.call("GET", f"/v1/tracks/{items[0]['id']}/stream?start=zero")
    expect(first["playback_id"] == again["playback_id"], "a seek is another play")
    expect(first["playback_id"] != zero["playback_id"], "a start from zero is the same play")
    expect(first["next"] == items[1]["id"], "the next track is not announced")
    expect((first["rendition"]["kbps"], again["rendition"]["kbps"]) == (320, 96), f"{first['rendition']} {again['rendition']}")
    length = seconds_of(first["urls"][0])
    expect(abs(length - 40) < 0.5, f"{length} s")
    return first["reason"]


def administrator(here):
    """Signs in with the password that was printed once, changes it, and gives a session."""
    printed = re.search(r"sign in as admin with (\S+)", here.server.log.read_text())
    expect(printed, "no first password was printed")
    once, mine = printed.group(1), "a better one than that"

    def sign_in(password):
        return here.ask("POST", "/v1/session", {"user": "admin", "password": password, "bearer": True}, token=None)

    status, text = sign_in(once)
    expect(status == 200, f"the printed password: {status} {text}")
    first = json.loads(text)["token"]
    expect(here.ask("GET", "/v1/tracks", token=first)[0] == 403, "more than changing the password is allowed")
    status, text = here.ask("PUT", "/v1/me/password", {"old": once, "new": mine}, token=first)
    expect(status == 204, f"changing the password: {status} {text}")
    expect(sign_in(once)[0] == 401, "the printed password is good for ever")
    return json.loads(sign_in(mine)[1])["token"]


def of_subsonic(here, call, **parameters):
    """An answer below /rest/, as JSON."""
    query = "&".join(f"{key}={value}" for key, value in {"v": "1.16.1", "c": "check", "f": "json", **parameters}.items())
    status, text = here.ask("GET", f"/rest/{call}?{query}", token=None)
    expect(status == 200, f"/rest/{call} answers {status}")
    return json.loads(text)["subsonic-response"]


@check
def an_app_password_opens_subsonic(world):
    here = house(world)
    session = here.admin = administrator(here)
    status, text = here.ask("POST", "/v1/me/credentials", {"kind": "app-password", "client": "a phone"}, token=session)
    expect(status == 201, f"an app password: {status} {text}")
    secret = json.loads(text)["secret"]
    salt = "c19b2d"
    proof = {"u": "admin", "t": hashlib.md5((secret + salt).encode()).hexdigest(), "s": salt}
    expect(of_subsonic(here, "ping", **proof)["status"] == "ok", "ping")
    expect(of_subsonic(here, "ping", **{**proof, "s": "other"})["error"]["code"] == 40, "a wrong proof")
    found = of_subsonic(here, "search3", query="noon", **proof)["searchResult3"]
    song = found["song"][0]
    query = "&".join(f"{key}={value}" for key, value in {"v": "1.16.1", "c": "check", "id": song["id"], **proof}.items())
    length = seconds_of(f"{here.base}/rest/stream?{query}")
    expect(abs(length - 40) < 0.5, f"/rest/stream leads to {length} s")
    return f"{song['title']!r} by {song['artist']!r}"


@check
def accounts_and_catalog_outlive_the_process(world):
    here = house(world)
    items = [t["id"] for t in here.tracks()["items"]]
    now = int(time.time() * 1000)
    here.call("PUT", "/v1/me/queue", {"items": items, "index": 2, "position_ms": 1234, "changed": now})
    status, text = here.ask("POST", "/v1/me/credentials", {"kind": "api-key", "client": "a script"}, token=here.admin)
    expect(status == 201, f"an API key: {status} {text}")
    key = json.loads(text)["secret"]
    here.server.process.kill()
    here.server.process.wait()
    world._house = back = open_house(world)
    expect(back.ask("GET", "/v1/me", token=key)[0] == 200, "the key is gone")
    queue = back.call("GET", "/v1/me/queue")
    expect((queue["items"], queue["index"], queue["position_ms"]) == (items, 2, 1234), f"{queue}")
    expect([t["id"] for t in back.tracks()["items"]] == items, "the catalog is another one")
    file = (back.data / "needledrop.db").read_bytes()
    wal = back.data / "needledrop.db-wal"
    file += wal.read_bytes() if wal.exists() else b""
    expect(key.encode() not in file, "the key stands in the database as it is")
    return f"{len(file) // 1024} KiB of database"


@check
def the_player_works_in_chromium(world):
    here = house(world)
    shots = world.scratch / "player"
    env = environment(NODE_PATH=world.node_modules, MODULES=world.node_modules)
    code, out, err = run(["node", SCRIPT, f"http://localhost:{here.port}", shots], env=env, timeout=220, check_exit=False)
    lines = out.decode().splitlines()
    failed = [line for line in lines if line.startswith("FAILED")]
    expect(code == 0 and not failed, f"{failed[:3] or err.decode()[-400:]}")
    done = sum(line.startswith("ok") for line in lines)
    expect(done >= 24, f"only {done} checks ran")
    return f"{done} checks; {len(os.listdir(shots))} screenshots"
