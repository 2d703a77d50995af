"""Clients of Subsonic that nobody here wrote."""

import hashlib
import json
import pathlib
import sys
import urllib.parse

from check_player import administrator, house
from clients.mopidy import Mopidy
from harness import Server, check, expect, free_port, get, run

HERE = pathlib.Path(__file__).parent


def signed_in(here):
    """A session of the administrator's, who may make credentials."""
    if getattr(here, "admin", None) is None:
        # The password that `administrator` sets, where another check has been there before a restart.
        said = {"user": "admin", "password": "a better one than that", "bearer": True}
        status, text = here.ask("POST", "/v1/session", said, token=None)
        here.admin = json.loads(text)["token"] if status == 200 else administrator(here)
    return here.admin


def app_password(here, client):
    status, text = here.ask("POST", "/v1/me/credentials", {"kind": "app-password", "client": client}, token=signed_in(here))
    expect(status == 201, f"an app password: {status} {text}")
    return json.loads(text)["secret"]


def of_subsonic(here, secret, call, **parameters):
    """An answer below /rest/ as the client of that name would get it."""
    proof = {"u": "admin", "s": "salt00", "t": hashlib.md5(f"{secret}salt00".encode()).hexdigest()}
    query = urllib.parse.urlencode({"v": "1.16.1", "f": "json", **proof, **parameters})
    status, _, body = get(f"{here.base}/rest/{call}?{query}")
    expect(status == 200, f"/rest/{call} answers {status}")
    return json.loads(body)["subsonic-response"]


@check
def py_opensonic_spends_an_evening(world):
    here = house(world)
    secret = app_password(here, "py-opensonic")
    script = HERE / "clients/opensonic.py"
    code, out, err = run([sys.executable, script, "http://127.0.0.1", here.port, "admin", secret], check_exit=False)
    last = (out or err).decode().strip().splitlines()[-1:]
    expect(code == 0, f"{last} {err.decode()[-300:]}")
    return last[0].removeprefix("ok ")


@check
def mopidy_plays_a_track_to_the_end(world):
    here = house(world)
    secret = app_password(here, "mopidy")
    client = "Mopidy-Subidy"
    song = of_subsonic(here, secret, "search3", query="nachtmusik 2", c=client)["searchResult3"]["song"][0]
    with_mopidy = Mopidy(world, Server, free_port(), here.base, "admin", secret)
    refs = with_mopidy.call("library.browse", uri="subidy:vdir:artists")
    expect({r["name"] for r in refs} == {"Björk & Söhne", "The Early Birds"}, f"Mopidy's artists: {refs}")
    found = with_mopidy.call("library.search", query={"any": ["noon"]})
    expect(any(r.get("tracks") for r in found), f"Mopidy finds nothing: {found}")
    track = with_mopidy.play_to_the_end(f"subidy:song:{song['id']}")
    expect(track["name"] == song["title"], f"Mopidy played {track}")
    # Mopidy leaves scrobbling to other programs: here it is one with the same app password and name.
    for _ in range(2):
        expect(of_subsonic(here, secret, "scrobble", id=song["id"], c=client)["status"] == "ok", "scrobble")
    plays = of_subsonic(here, secret, "getSong", id=song["id"], c=client)["song"]["playCount"]
    expect(plays == 1, f"a play that Mopidy heard and that was said twice counts {plays} times")
    with_mopidy.server.stop()
    return f"{track['name']!r}, {track['length'] // 1000} s, counted once"
