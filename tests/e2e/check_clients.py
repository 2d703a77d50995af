"""Clients that nobody here wrote: of Subsonic, and of the Spotify Web API."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse

from check_player import administrator, house
from clients.mopidy import Mopidy
from harness import Server, check, environment, expect, free_port, get, run

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


def registered(here, name, redirects, confidential):
    said = {"name": name, "redirect_uris": redirects, "confidential": confidential}
    status, text = here.ask("POST", "/v1/me/apps", said, token=signed_in(here))
    expect(status == 201, f"registering a program: {status} {text}")
    return json.loads(text)


@check
def spotipy_reads_and_changes_by_oauth(world):
    here = house(world)
    signed_in(here)
    folder = world.scratch / "spotipy"
    folder.mkdir(exist_ok=True)
    alone = registered(here, "A script", [], True)
    public = registered(here, "A program on a phone", ["http://127.0.0.1/callback"], False)
    browser = folder / "browser"
    # spotipy waits for its answer while the browser is open, so the browser is not waited for.
    browser.write_text(f"#!/bin/sh\nnode {HERE / 'clients/consent.mjs'} \"$1\" > {folder}/browser.log 2>&1 &\n")
    browser.chmod(0o755)
    env = environment(BROWSER=f"{browser} %s", NODE_PATH=world.node_modules, ND_USER="admin", ND_PASSWORD="a better one than that",
                      ND_SHOT=folder / "consent.png")
    script = [sys.executable, HERE / "clients/spotify.py", here.base, alone["client_id"], alone["client_secret"], public["client_id"],
              free_port(), folder]
    code, out, err = run(script, env=env, check_exit=False, timeout=150)
    last = (out or err).decode().strip().splitlines()[-1:]
    page = (folder / "browser.log").read_text()[-300:] if (folder / "browser.log").exists() else "no browser was opened"
    expect(code == 0, f"{last} {err.decode()[-300:]} {page}")
    status, _ = here.ask("DELETE", f"/v1/me/apps/{alone['client_id']}", token=signed_in(here))
    expect(status == 204, f"removing a program answers {status}")
    return last[0].removeprefix("ok ")


def built():
    """The program that drives rspotify, from the versions of its own lock. About a minute on two cores the first time."""
    folder = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parents[1] / "target")) / "rspotify"
    run(["cargo", "build", "--quiet", "--locked", "--manifest-path", HERE / "clients/rspotify/Cargo.toml", "--target-dir", folder], timeout=200)
    return folder / "debug/rspotify-check"


@check
def rspotify_reads_and_changes_by_oauth(world):
    here = house(world)
    callback = "http://127.0.0.1:8888/callback"
    alone = registered(here, "A server in Rust", [], True)
    public = registered(here, "A program in Rust", ["http://127.0.0.1/callback"], False)
    command = [built(), here.base, alone["client_id"], alone["client_secret"], public["client_id"], callback]
    log = world.scratch / "rspotify.log"
    with open(log, "wb") as errors:
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        said = process.stdout.readline().strip()
        expect(said.startswith("AUTHORIZE "), f"{said} {log.read_text()[-300:]}")
        # The page as a browser would be shown it, and then what it says when the person agrees.
        asked = urllib.parse.urlsplit(said.removeprefix("AUTHORIZE "))
        expect(asked.path == "/oauth/authorize", said)
        status, fields, _ = get(f"{here.base}{asked.path}?{asked.query}")
        expect(status == 200, f"the page answers {status}")
        question = here.call("GET", f"/oauth/consent?{asked.query}", token=signed_in(here))
        expect(question["app"] == "A program in Rust" and len(question["means"]) >= 5, f"{question}")
        place = here.call("POST", "/oauth/consent", {"query": asked.query, "allow": True}, token=signed_in(here))["redirect"]
        expect(place.startswith(f"{callback}?code="), place)
        out, _ = process.communicate(place + "\n", timeout=60)
    finally:
        process.kill()
    last = out.strip().splitlines()[-1:]
    expect(process.returncode == 0 and last, f"{last} {log.read_text()[-500:]}")
    for app in (alone, public):
        here.call("DELETE", f"/v1/me/apps/{app['client_id']}", token=signed_in(here))
    return last[0].removeprefix("ok ")
