"""Podcasts: feeds from a real server come in, are searched, followed and played, and lead nowhere they should not."""

import gzip
import http.client
import http.server
import json
import os
import pathlib
import re
import socket
import threading
import time
import uuid
from email.utils import formatdate
from xml.sax.saxutils import escape, quoteattr

import feedparser

from check_player import administrator, music
from harness import Up, check, environment, expect, get, run, seconds_of

SCRIPT = pathlib.Path(__file__).parent / "podcasts.mjs"
HOSTILE = "</title><script>alert(1)</script> & \"Söhne\" ]]> 愛"


class Publisher:
    """A server with feeds and sound, as a publisher has one. `pages` maps a path to what answers it."""

    def __init__(self, sound):
        self.asked, self.pages = [], {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                if self.path == "/sound.mp3":
                    return self.sound()
                status, fields, body = outer.pages.get(self.path, lambda _: (404, {}, b""))(self.headers)
                self.send(status, fields, body)

            do_HEAD = do_GET

            def send(self, status, fields, body):
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **fields}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    try:
                        self.wfile.write(body)
                    except OSError:
                        self.close_connection = True

            def sound(self):
                start, end, status, fields = 0, len(sound) - 1, 200, {"Content-Type": "audio/mpeg", "Accept-Ranges": "bytes"}
                if self.headers.get("Range", "").startswith("bytes="):
                    first, last = self.headers["Range"][6:].split("-", 1)
                    start, end, status = int(first), min(end, int(last)) if last else end, 206
                    fields["Content-Range"] = f"bytes {start}-{end}/{len(sound)}"
                self.send(status, fields, sound[start:end + 1])

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def serve(self, path, body=b"", status=200, **fields):
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        self.pages[path] = lambda _: (status, fields, body)

    def times(self, path):
        return sum(1 for asked, _ in self.asked if asked == path)


def feed(publisher, title, episodes, more=""):
    """A feed as publishers write it."""
    def item(n, name):
        return f"""<item><title>{escape(name)}</title><guid isPermaLink="false">episode-{n}</guid>
            <pubDate>{formatdate(1_700_000_000 + n * 86_400, usegmt=True)}</pubDate><itunes:duration>0:20</itunes:duration>
            <description><![CDATA[<p>Notes of <b>{n}</b></p>]]></description>
            <enclosure url={quoteattr(publisher.base + "/sound.mp3")} length="320000" type="audio/mpeg"/></item>"""
    items = "".join(item(n, name) for n, name in episodes.items())
    return f"""<?xml version="1.0" encoding="UTF-8"?>
        <rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:podcast="https://podcastindex.org/namespace/1.0">
        <channel><title>{escape(title)}</title><description>About it</description><link>{publisher.base}/</link>
        <language>en</language><itunes:author>A Publisher</itunes:author>{more}{items}</channel></rss>""".encode()


class House(Up):
    """An `up` in which everybody may add feeds, from this machine too where `allow` says so."""

    def __init__(self, world, name, allow=(), is_open=True):
        data = world.scratch / name
        empty = world.scratch / f"{name}-no-music"
        empty.mkdir(exist_ok=True)
        config = world.scratch / f"{name}.toml"
        config.write_text(f"[up.feeds]\nopen = {str(is_open).lower()}\nallow_networks = {json.dumps(list(allow))}\n")
        super().__init__(world, data, ["--config", config, "--music", empty], name=name)

    def add(self, url):
        return self.call("POST", "/v1/shows", {"feed": url})

    def titles(self, show):
        return [item["name"] for item in self.call("GET", f"/v1/shows/{show}/episodes?limit=50")["items"]]


def publisher(world):
    found = getattr(world, "_publisher", None)
    if found is None:
        sound = world.scratch / "sound.mp3"
        run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "sine=frequency=330:duration=20", "-b:a", "128k", sound])
        found = world._publisher = Publisher(sound.read_bytes())
    return found


def house(world):
    found = getattr(world, "_podcasts", None)
    if found is None or found.server.process.poll() is not None:
        found = world._podcasts = House(world, "podcasts", allow=["127.0.0.0/8"])
    return found


@check
def a_feed_comes_in_and_is_found_within_a_second(world):
    here, there = house(world), publisher(world)
    there.serve("/one.xml", feed(there, "Gardening at Night", {1: "Seeds", 2: "Rain"}), ETag='"v1"')
    show = here.add(f"{there.base}/one.xml")
    came = time.monotonic()
    expect((show["name"], show["total_episodes"], show["publisher"]) == ("Gardening at Night", 2, "A Publisher"), f"{show}")
    for typed, kind, wanted in [("gardning", "show", "Gardening at Night"), ("seeds", "episode", "Seeds")]:
        found = here.call("GET", f"/v1/search?q={typed}&type={kind}")[f"{kind}s"]["items"]
        expect([item["name"] for item in found][:1] == [wanted], f"{typed!r} finds {found}")
    took = time.monotonic() - came
    expect(took < 1, f"searching took {took} s")
    expect(here.add(f"{there.base}/one.xml")["id"] == show["id"], "a feed that is added again is another show")
    expect(here.titles(show["id"]) == ["Rain", "Seeds"], "latest first")
    listed = here.call("GET", "/v1/shows")
    expect([item["id"] for item in listed["items"]] == [show["id"]] and listed["may_add"], f"{listed}")
    whole = here.call("GET", f"/v1/shows/{show['id']}")
    expect(whole["episodes"]["items"][0]["description"] == "Notes of 2", f"{whole['episodes']['items'][0]}")
    asked = there.asked[0][1]
    expect(not {"cookie", "authorization", "referer"} & set(asked), f"{asked}")
    return f"found after {took * 1000:.0f} ms"


@check
def a_feed_that_changes_is_followed(world):
    here, there = house(world), publisher(world)
    path = "/changing.xml"
    there.pages[path] = lambda fields: (304, {}, b"") if fields.get("If-None-Match") == '"a"' else (200, {"ETag": '"a"'}, feed(there, "Changing", {1: "First", 2: "Second"}))
    show = here.add(f"{there.base}{path}")["id"]
    here.call("POST", f"/v1/shows/{show}/refresh")
    expect(there.times(path) == 2 and there.asked[-1][1].get("if-none-match") == '"a"', f"{there.asked[-1]}")
    expect(here.titles(show) == ["Second", "First"], "a 304 changed something")
    there.serve(path, gzip.compress(feed(there, HOSTILE, {2: "Second, corrected", 3: HOSTILE})), Content_Encoding="gzip", ETag='"b"')
    here.call("POST", f"/v1/shows/{show}/refresh")
    expect(here.titles(show) == [HOSTILE.replace("</title><script>alert(1)</script>", "").strip(), "Second, corrected"], f"{here.titles(show)}")
    # Moved for good: asked at the new place the next time.
    there.serve("/moved.xml", feed(there, "Changing, moved", {3: "Third"}))
    there.serve(path, status=301, Location="/moved.xml")
    here.call("POST", f"/v1/shows/{show}/refresh")
    before = there.times(path)
    here.call("POST", f"/v1/shows/{show}/refresh")
    expect(there.times(path) == before and there.times("/moved.xml") == 2, "a permanent redirect was not kept")
    # Gone: what is there stays, and nobody asks again.
    there.serve("/moved.xml", status=410)
    status, text = here.ask("POST", f"/v1/shows/{show}/refresh")
    state = here.call("GET", f"/v1/shows/{show}")["feed_state"]
    expect(status == 502 and "410" in text and state["next"] is None, f"{status} {text} {state}")
    expect(here.titles(show) == ["Third"], f"{here.titles(show)}")
    # A server that has had enough is obeyed.
    there.serve("/busy.xml", feed(there, "Busy", {1: "One"}))
    busy = here.add(f"{there.base}/busy.xml")["id"]
    there.serve("/busy.xml", status=503, Retry_After="7200")
    status, _ = here.ask("POST", f"/v1/shows/{busy}/refresh")
    state = here.call("GET", f"/v1/shows/{busy}")["feed_state"]
    wait = state["next"] - state["checked"]
    expect(status == 502 and 7200 <= wait <= 8640 and state["failures"] == 1, f"{status} {state}")
    expect(here.call("DELETE", f"/v1/shows/{show}") is None and here.ask("GET", f"/v1/shows/{show}")[0] == 404, "removing")
    found = here.call("GET", "/v1/search?q=changing&type=show")["shows"]["items"]
    expect(found == [], f"a removed show is found: {found}")
    return f"asked again after {wait} s"


@check
def an_episode_plays_from_its_publisher_and_goes_on_where_it_was_left(world):
    here, there = house(world), publisher(world)
    there.serve("/play.xml", feed(there, "Playing", {1: "Sine"}))
    show = here.add(f"{there.base}/play.xml")["id"]
    episode = here.call("GET", f"/v1/shows/{show}/episodes")["items"][0]
    expect(episode["resume_point"] == {"fully_played": False, "resume_position_ms": 0}, f"{episode['resume_point']}")
    stream = here.call("GET", f"/v1/episodes/{episode['id']}/stream")
    length = seconds_of(stream["urls"][0])
    expect(abs(length - 20) < 0.5, f"{length} s")
    here.call("PUT", f"/v1/episodes/{episode['id']}/resume-point", {"resume_position_ms": 7000})
    expect(here.call("GET", f"/v1/episodes/{episode['id']}")["resume_point"]["resume_position_ms"] == 7000, "the position")
    here.call("PUT", f"/v1/episodes/{episode['id']}/resume-point", {"resume_position_ms": 0, "fully_played": True})
    latest = here.call("GET", "/v1/episodes?limit=50")["items"]
    mine = [item for item in latest if item["id"] == episode["id"]]
    expect(mine and mine[0]["resume_point"]["fully_played"] and mine[0]["show"]["name"] == "Playing", f"{mine}")
    return f"{length:.1f} s from {stream['urls'][0]}"


class Subscriber:
    """An account's podcast program: it knows an address, sends no credential, and asks again as it was told."""

    def __init__(self, up):
        self.up = up
        made = up.call("POST", "/v1/me/credentials", {"kind": "feed", "client": "AntennaPod"}, token=up.admin)
        self.id, self.secret = made["id"], made["secret"]

    def ask(self, path, method="GET", **fields):
        """Status, fields and body of a request that follows no redirect."""
        connection = http.client.HTTPConnection("127.0.0.1", self.up.port, timeout=20)
        connection.request(method, f"/feeds/{self.secret}/{path}", headers={name.replace("_", "-"): value for name, value in fields.items()})
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def read(self, path):
        """The feed, as feedparser understands it."""
        status, fields, body = self.ask(path)
        expect(status == 200 and fields["content-type"] == "application/rss+xml; charset=utf-8", f"{path}: {status} {fields}")
        read = feedparser.parse(body, response_headers=fields, sanitize_html=False)
        expect(not read.bozo, f"{path}: {read.get('bozo_exception')}")
        expect(re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", body) is None, f"{path} has characters of control")
        return read


class Owned(House):
    """An `up` whose owner has chosen a password, so that he may make credentials."""

    def __init__(self, world):
        data = world.scratch / "feeds-out"
        config = world.scratch / "feeds-out.toml"
        config.write_text('[up.feeds]\nopen = true\nallow_networks = ["127.0.0.0/8"]\n')
        Up.__init__(self, world, data, ["--config", config, "--music", music(world)], name="feeds-out")
        self.wait_ingested(9)
        self.admin = administrator(self)


def owned(world):
    found = getattr(world, "_feeds_out", None)
    if found is None or found.server.process.poll() is not None:
        found = world._feeds_out = Owned(world)
    return found


@check
def a_show_is_a_feed_for_podcast_programs(world):
    here, there = owned(world), publisher(world)
    url = f"{there.base}/out.xml"
    names = {n: f"Part {n}" for n in range(1, 340)}
    names[340] = HOSTILE + " &#0; <![CDATA["
    there.serve("/out.xml", feed(there, HOSTILE, names))
    show = here.add(url)
    said = here.call("GET", f"/v1/shows/{show['id']}")
    subscriber = Subscriber(here)
    path = f"shows/{show['id']}.xml"
    read = subscriber.read(path)
    expect(read.version == "rss20" and read.feed.title == said["name"], f"{read.version} {read.feed.title!r}, not {said['name']!r}")
    expect(read.feed.author == "A Publisher" and read.feed.language == "en", f"{read.feed}")
    guid = str(uuid.uuid5(uuid.UUID("ead4c236-bf58-58c6-a2c6-a6b28d128cb6"), url.split("://")[1]))
    expect(read.feed.podcast_guid == guid, f"{read.feed.podcast_guid}, not {guid}")
    expect(read.feed.podcast_locked == "yes" and read.feed.itunes_block == 1, f"{read.feed}")
    itself = [link.href for link in read.feed.links if link.rel == "self"]
    expect(itself == [f"{here.base}/feeds/{subscriber.secret}/{path}"], f"{itself}")
    expect(len(read.entries) == 300, f"{len(read.entries)} episodes")
    first = read.entries[0]
    expect(first.title == said["episodes"]["items"][0]["name"] and "Söhne" in first.title, f"{first.title!r}")
    expect(first.id == "episode-340" and not first.guidislink, f"{first.id}")
    expect(time.mktime(first.published_parsed) - time.mktime(read.entries[1].published_parsed) == 86_400, "dates")
    expect(first.itunes_duration == "20" and first.summary == "Notes of 340", f"{first}")
    enclosure, = first.enclosures
    expect((enclosure.href, enclosure.length, enclosure.type) == (f"{there.base}/sound.mp3", "320000", "audio/mpeg"), f"{enclosure}")

    # Asked again: only what is new is sent.
    status, fields, body = subscriber.ask(path)
    expect(subscriber.ask(path, If_None_Match=fields["etag"])[0] == 304, "the tag")
    again = subscriber.ask(path, If_Modified_Since=fields["last-modified"])
    expect(again[0] == 304 and again[2] == b"", f"the date: {again[0]}")
    head = subscriber.ask(path, "HEAD")
    expect(head[0] == 200 and head[2] == b"" and int(head[1]["content-length"]) == len(body), f"HEAD: {head}")
    expect(fields["referrer-policy"] == "no-referrer" and "private" in fields["cache-control"], f"{fields}")
    time.sleep(1.1)
    there.serve("/out.xml", feed(there, "Another name", {341: "The newest", **names}))
    here.call("POST", f"/v1/shows/{show['id']}/refresh")
    for condition in ({"If_None_Match": fields["etag"]}, {"If_Modified_Since": fields["last-modified"]}):
        status, _, body = subscriber.ask(path, **condition)
        expect(status == 200 and b"<title>Another name</title>" in body and b"The newest" in body, f"{condition}: {status}")
    return f"{len(read.entries)} of 340 episodes in {len(body) >> 10} KiB"


@check
def an_album_and_a_playlist_are_feeds_whose_sound_comes_from_the_edge(world):
    here = owned(world)
    album = here.call("GET", "/v1/albums?limit=1")["items"][0]
    tracks = here.call("GET", f"/v1/albums/{album['id']}/tracks?limit=50")["items"]
    subscriber = Subscriber(here)
    read = subscriber.read(f"albums/{album['id']}.xml")
    expect(read.feed.title == album["name"] and read.feed.podcast_medium == "music", f"{read.feed}")
    expect([entry.title for entry in read.entries] == [track["name"] for track in tracks], f"{[entry.title for entry in read.entries]}")
    for entry, track in list(zip(read.entries, tracks))[:3]:
        enclosure, = entry.enclosures
        # As a program loads it: a HEAD, the whole through the redirect, and a part of it.
        path = enclosure.href.removeprefix(f"{here.base}/feeds/{subscriber.secret}/")
        status, fields, _ = subscriber.ask(path, "HEAD")
        expect(status == 302 and "/tracks/" in fields["location"] and "sig=" in fields["location"], f"HEAD: {status} {fields}")
        expect(fields["cache-control"] == "no-store" and subscriber.secret not in fields["location"], f"{fields}")
        sound = world.scratch / f"subscriber{pathlib.PurePath(path).suffix}"
        _, said, _ = run(["curl", "-sSL", "-o", sound, "-w", "%{http_code} %{content_type}", enclosure.href])
        expect(said.decode() == f"200 {enclosure.type}", f"{said} and not {enclosure.type}")
        expect(sound.stat().st_size == int(enclosure.length), f"{sound.stat().st_size} bytes and not {enclosure.length}")
        length = seconds_of(sound)
        expect(abs(length - int(entry.itunes_duration)) <= 1.1, f"{length} s and not {entry.itunes_duration}")
        _, said, _ = run(["curl", "-sSL", "-r", "1000-1999", "-o", "/dev/null", "-w", "%{http_code} %{size_download}", enclosure.href])
        expect(said == b"206 1000", f"a part: {said}")
    made = here.call("POST", "/v1/me/playlists", {"name": HOSTILE}, token=here.admin)
    uris = [f"needledrop:track:{tracks[n]['id']}" for n in (0, 0)]
    here.call("POST", f"/v1/playlists/{made['id']}/items", {"uris": uris}, token=here.admin)
    read = subscriber.read(f"playlists/{made['id']}.xml")
    expect(read.feed.title == HOSTILE and len({entry.id for entry in read.entries}) == 2, f"{read.feed.title!r} {read.entries}")
    # Another's private playlist is no feed.
    theirs = here.call("POST", "/v1/me/playlists", {"name": "The demo's"})
    expect(subscriber.ask(f"playlists/{theirs['id']}.xml")[0] == 404, "another's private playlist is a feed")
    return f"{len(tracks)} tracks, the first {length:.1f} s of {enclosure.type}"


@check
def the_address_of_a_feed_opens_feeds_and_nothing_else(world):
    here = owned(world)
    album = here.call("GET", "/v1/albums?limit=1")["items"][0]
    track = here.call("GET", "/v1/tracks?limit=1")["items"][0]["id"]
    subscriber = Subscriber(here)
    path = f"albums/{album['id']}.xml"
    # Nothing else: no call of either API takes it, in any way in which a credential may come.
    document = here.call("GET", "/v1/openapi.json", token=None)
    calls = [(method.upper(), where.replace("{id}", track)) for where, known in document["paths"].items() for method in known]
    calls = [(method, where) for method, where in calls if method in ("GET", "POST", "PUT", "DELETE")]
    refused = 0
    for method, where in calls:
        if document["paths"].get(where.replace(track, "{id}"), {}).get(method.lower(), {}).get("security") == []:
            continue
        status, text = here.ask(method, where, None if method == "GET" else {}, token=subscriber.secret)
        expect(status == 401, f"{method} {where} with a feed's token: {status} {text[:200]}")
        refused += 1
    expect(refused > 30, f"only {refused} calls were tried")
    cookie = f"Cookie: needledrop_session={subscriber.secret}"
    expect(here.ask("GET", "/v1/me", token=None, fields=[cookie])[0] == 401, "it is a session")
    for proof in (f"apiKey={subscriber.secret}", f"u=admin&p={subscriber.secret}"):
        status, text = here.ask("GET", f"/rest/ping?v=1.16.1&c=check&f=json&{proof}", token=None)
        expect('"failed"' in text, f"/rest takes it: {text[:200]}")
    # No other: sessions, keys and app passwords are no part of an address.
    key = here.call("POST", "/v1/me/credentials", {"kind": "api-key", "client": "a key"}, token=here.admin)["secret"]
    password = here.call("POST", "/v1/me/credentials", {"kind": "app-password", "client": "a phone"}, token=here.admin)["secret"]
    good, tried = subscriber.secret, 0
    for other in (here.admin, here.token, key, password, "", "nonsense", good[:-1], good.upper(), "x" * 5_000, "%00", "..", "ndf_"):
        subscriber.secret = other
        for where in (path, f"tracks/{track}.m4a"):
            status, _, body = subscriber.ask(where)
            expect(status == 404 and b"rss" not in body, f"{other[:20]!r} opens {where}: {status}")
            tried += 1
    subscriber.secret = good
    expect(subscriber.ask(path, Authorization="Bearer nonsense")[0] == 200, "the address alone counts")
    for where in ("", "shows", f"shows/{'A' * 22}.xml", f"albums/{track}.xml", "albums/../x.xml", f"albums/{album['id']}", f"tracks/{'A' * 22}.m4a"):
        expect(subscriber.ask(where)[0] == 404, f"{where!r} is something")
    status, fields, _ = subscriber.ask(path, "POST")
    expect(status == 405 and fields["allow"] == "GET, HEAD", f"POST: {status} {fields}")
    # Listed with the others, without its secret; ended, it is nothing at once. Storage and log never knew it.
    listed = here.call("GET", "/v1/me/credentials", token=here.admin)["items"]
    mine = [item for item in listed if item["id"] == subscriber.id]
    expect(mine and mine[0]["kind"] == "feed" and mine[0]["client"] == "AntennaPod" and good not in json.dumps(listed), f"{mine}")
    here.call("DELETE", f"/v1/me/credentials/{subscriber.id}", token=here.admin)
    for where in (path, f"tracks/{track}.m4a"):
        expect(subscriber.ask(where)[0] == 404, "a revoked address goes on")
    for file in [here.server.log, *here.data.glob("needledrop.db*")]:
        expect(good.encode() not in file.read_bytes(), f"{file.name} holds the token")
    return f"{refused} calls refuse it, {tried} addresses with others are nothing"


@check
def no_feed_leads_to_our_own_networks(world):
    closed = House(world, "podcasts-closed")
    there = publisher(world)
    there.serve("/inside.xml", feed(there, "Inside", {1: "One"}))
    port = there.server.server_address[1]
    before = len(there.asked)
    urls = [f"http://127.0.0.1:{port}/inside.xml", "http://127.0.0.1/", f"http://localhost:{port}/inside.xml", "http://localhost/inside.xml",
            "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://2130706433/", "http://0x7f.1/", "http://0/", "http://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data/", "http://192.168.1.1/", "http://[fd00:ec2::254]/", "http://100.100.100.200/",
            "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/",
            "http://user:pass@example.org/", "http://example.org:22/", "not a url", ""]
    for url in urls:
        status, text = closed.ask("POST", "/v1/shows", {"feed": url})
        expect(status in (400, 502), f"{url!r} is answered {status}: {text[:200]}")
        expect("127.0.0.1 is" not in text or "127" in url or "localhost" not in url, f"{url!r} tells {text[:200]}")
    expect(len(there.asked) == before, f"somebody asked us: {there.asked[before:]}")
    expect(closed.call("GET", "/v1/shows")["items"] == [], "a show came of it")
    strict = House(world, "podcasts-strict", allow=["127.0.0.0/8"], is_open=False)
    status, _ = strict.ask("POST", "/v1/shows", {"feed": f"{there.base}/inside.xml"})
    expect(status == 403 and not strict.call("GET", "/v1/shows")["may_add"], f"a guest adds feeds: {status}")
    closed.server.stop()
    strict.server.stop()
    return f"{len(urls)} addresses"


@check
def hostile_feeds_are_refused_and_cost_little(world):
    here, there = house(world), publisher(world)
    laughs = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)) + "]><rss><channel><title>&j;</title></channel></rss>"
    good = feed(there, "Good", {1: "One"})
    there.serve("/laughs.xml", laughs.encode())
    there.serve("/deep.xml", b"<rss><channel>" + b"<a>" * 200_000)
    there.serve("/large.xml", good + b" " * (9 << 20))
    there.serve("/bomb.xml", gzip.compress(b"<rss><channel><title>" + b"a" * (300 << 20)), Content_Encoding="gzip")
    there.serve("/brotli.xml", good, Content_Encoding="br")
    there.serve("/page.xml", b"<!DOCTYPE html><html><body>A page</body></html>")
    there.serve("/cut.xml", good[:-40])
    there.serve("/head.xml", good, X_Long="a" * 60_000)
    there.serve("/loop.xml", status=302, Location="/loop.xml")
    for n in range(8):
        there.serve(f"/hop{n}.xml", status=302, Location=f"/hop{n + 1}.xml")
    there.serve("/hop8.xml", good)
    there.serve("/inside.xml", status=302, Location="http://10.0.0.1/")
    there.serve("/metadata.xml", status=302, Location="http://169.254.169.254/latest/")
    there.serve("/file.xml", status=302, Location="file:///etc/passwd")
    refused = {}
    for name in ["laughs", "deep", "large", "bomb", "brotli", "page", "cut", "head", "loop", "hop0", "inside", "metadata", "file", "nothing"]:
        begun = time.monotonic()
        status, text = here.ask("POST", "/v1/shows", {"feed": f"{there.base}/{name}.xml"})
        expect(status in (400, 422, 502), f"{name} is answered {status}: {text[:200]}")
        expect("root:" not in text, f"{name}: {text}")
        refused[name] = (status, time.monotonic() - begun)
        expect(refused[name][1] < 12, f"{name} took {refused[name][1]:.1f} s")
    expect(there.times("/loop.xml") == 6, f"a loop was followed {there.times('/loop.xml')} times")
    expect(here.add(f"{there.base}/hop4.xml")["name"] == "Good", "four redirects")
    names = [item["name"] for item in here.call("GET", "/v1/shows?limit=50")["items"]]
    expect("Inside" not in names and names.count("Good") == 1, f"{names}")
    peak = [line for line in pathlib.Path(f"/proc/{here.server.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    kib = int(peak[0].split()[1])
    expect(kib < 600_000, f"the process took {kib} KiB")
    return f"{len(refused)} feeds; at most {max(s for _, s in refused.values()):.1f} s; {kib >> 10} MiB at most"


@check
def a_server_that_says_nothing_does_not_hold_the_others_up(world):
    here, there = house(world), publisher(world)
    silent = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    waiting = threading.Thread(target=here.ask, args=("POST", "/v1/shows", {"feed": url}), daemon=True)
    waiting.start()
    time.sleep(0.3)
    there.serve("/quick.xml", feed(there, "Quick", {1: "One"}))
    begun = time.monotonic()
    here.add(f"{there.base}/quick.xml")
    took = time.monotonic() - begun
    expect(took < 5, f"a good feed waited {took:.1f} s for a silent one")
    waiting.join(40)
    expect(not waiting.is_alive(), "a silent server is waited for without end")
    silent.close()
    return f"{took:.2f} s beside it, {time.monotonic() - begun:.0f} s for the silent one"


@check
def the_player_plays_podcasts(world):
    here, there = house(world), publisher(world)
    there.serve("/page.rss", feed(there, "Shown in the player", {1: "The first", 2: "The second"}))
    out = world.scratch / "podcasts-page"
    out.mkdir(exist_ok=True)
    _, text, _ = run(["node", SCRIPT, here.base, f"{there.base}/page.rss", out], timeout=180, env=environment(MODULES=str(world.node_modules)))
    return text.decode().strip().splitlines()[-1]
