"""What httplint, which reads answers as the standards do, says about every kind of answer that we give; and redbot, which
asks again in other ways and compares."""

import email.utils
import pathlib
import sys
import time

from check_protocols import LoneEdge
from clients import h1, h2c, h3
from harness import check, cover, expect, run
from httplint import HttpRequestLinter, HttpResponseLinter, levels

BOT = pathlib.Path(__file__).parent / "clients" / "bot.py"

# Notes that stay, by name, and why. Those that are bad may only be about what the check does itself.
ACCEPTED = {
    "CONTENT_TYPE_MISMATCH": "browsers sniff Ogg as application/ogg; audio/ogg says more and is registered (RFC 5334)",
    "PARTIAL_WITHOUT_RANGE": "httplint does not look into multipart/byteranges, whose head must not have it (RFC 9110 15.3.7.2)",
    "FRESHNESS_NO_CACHE_NO_VALIDATOR": "the origin gave neither lifetime nor validator, and the edge makes none up",
    "STATUS_URI_TOO_LONG": "about the request, which is as it is meant to be",
    "STATUS_BAD_REQUEST": "about the request, which is as it is meant to be",
    "CSP_HTTP_URI": "a page that came over plain HTTP may play an episode whose publisher has it over plain HTTP only",
}
# For the tag of the last answer from this door: links in it, and so its tag, depend on the address that was asked.
LAST_TAG = object()
# The kinds of answers in which they are accepted.
ONLY_IN = {
    "PARTIAL_WITHOUT_RANGE": {"two ranges"},
    "FRESHNESS_NO_CACHE_NO_VALIDATOR": {"/bare.bin"},
    "STATUS_URI_TOO_LONG": {"too long"},
    "STATUS_BAD_REQUEST": {"a wrong parameter"},
    # Nowhere here: these answers came over TLS. Redbot asks over plain HTTP.
    "CSP_HTTP_URI": set(),
}


def notes_of(notes):
    for note in notes:
        yield note
        yield from notes_of(note.subnotes)


def lint(kind, method, target, asked, answer, version):
    """What is bad or a warning, and not accepted."""
    status, fields, body = answer
    request = HttpRequestLinter(start_time=time.time())
    request.process_request_topline(method.encode(), target.encode(), version)
    request.process_headers([(b"Host", b"localhost"), (b"User-Agent", b"lint")] + [(n.encode(), v.encode()) for n, v in asked])
    request.finish_content(True)
    response = HttpResponseLinter(start_time=time.time())
    response.request, request.response = request, response
    response.is_head_response = method == "HEAD"
    response.process_response_topline(version, str(status).encode(), b"")
    response.process_headers([(n.encode("latin-1"), v.encode("latin-1")) for n, v in fields])
    response.feed_content(body)
    response.finish_content(True)
    for note in notes_of(response.notes):
        name = type(note).__name__
        is_accepted = name in ACCEPTED and kind in ONLY_IN.get(name, {kind})
        if note.level in (levels.BAD, levels.WARN) and not is_accepted:
            yield f"{note.level.value}: {name} ({note.subject}): {note.summary}"


def kinds(up):
    """Every kind of answer that `up` gives: what it is called, method, target, fields, status."""
    track = up.track("ogg")
    song = up.target(track["id"])
    probe = h1.Connection(up.port)
    first = dict(probe.request("GET", song, [])[1])
    page = dict(probe.request("GET", "/", [])[1])
    art = picture(up)
    mine = list(up.bearer().items())
    probe.close()
    tag, date = first["etag"], first.get("last-modified")
    origin = [("Origin", "https://player.example")]
    asked = origin + [("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "range")]
    yield "whole track", "GET", song, [], 200
    yield "whole track for a page", "GET", song, origin, 200
    yield "head of a track", "HEAD", song, [], 200
    yield "range", "GET", song, [("Range", "bytes=0-65535")], 206
    yield "last bytes", "GET", song, [("Range", "bytes=-100")], 206
    yield "two ranges", "GET", song, [("Range", "bytes=0-99,5000-5099")], 206
    yield "head of a range", "HEAD", song, [("Range", "bytes=0-99")], 200
    yield "range beyond the end", "GET", song, [("Range", "bytes=999999999-")], 416
    yield "range if unchanged", "GET", song, [("Range", "bytes=0-99"), ("If-Range", tag)], 206
    yield "not modified", "GET", song, [("If-None-Match", tag)], 304
    yield "head not modified", "HEAD", song, [("If-None-Match", tag)], 304
    if date:
        yield "not modified since", "GET", song, [("If-Modified-Since", date)], 304
    yield "precondition failed", "GET", song, [("If-Match", '"other"')], 412
    yield "preflight", "OPTIONS", song, asked, 204
    yield "unsigned", "GET", song.split("?")[0], [], 403
    yield "unsigned for a page", "GET", song.split("?")[0], origin, 403
    # The last character but one: the last holds two bits of nothing, and what is there has to be nothing (400).
    yield "altered", "GET", song[:-2] + ("A" if song[-2] != "A" else "B") + song[-1], [], 403
    yield "wrong method", "POST", song, [("Content-Length", "0")], 405
    yield "no such path", "GET", "/nowhere", [], 404
    yield "a path with a dot segment", "GET", "/tracks/./x", [], 403
    yield "too long", "GET", "/" + "a" * 9000, [], 414
    if art:
        yield "art", "GET", art, [], 200
        yield "head of art", "HEAD", art, [], 200
    yield "no such art", "GET", "/art/" + "a" * 64 + "/300.jpg", [], 404
    yield "page", "GET", "/", [], 200
    yield "head of the page", "HEAD", "/", [], 200
    if "etag" in page:
        yield "page not modified", "GET", "/", [("If-None-Match", page["etag"])], 304
    yield "list of tracks", "GET", "/v1/tracks", mine, 200
    yield "list of tracks not modified", "GET", "/v1/tracks", [*mine, ("If-None-Match", LAST_TAG)], 304
    yield "a shelf", "GET", "/v1/browse/home", mine, 200
    yield "a search", "GET", "/v1/search?q=song", mine, 200
    yield "where to stream", "GET", f"/v1/tracks/{track['id']}/stream", mine, 200
    yield "no such track", "GET", "/v1/tracks/nobody/stream", mine, 404
    yield "no such call", "GET", "/v1/nothing", mine, 404
    yield "a wrong parameter", "GET", f"/v1/tracks/{track['id']}/stream?kbps=1", mine, 400
    yield "no credential", "GET", "/v1/tracks", [], 401
    yield "a wrong credential", "GET", "/v1/tracks", [("Authorization", "Bearer nonsense")], 401
    yield "what the door may say", "GET", "/v1/session/hint", [], 200
    yield "Subsonic without a credential", "GET", "/rest/ping?v=1.16.1&c=lint", [], 200


def whole(up, path, fields):
    connection = h1.Connection(up.port)
    try:
        return connection.request("GET", path, fields)
    finally:
        connection.close()


def picture(up):
    return next((cover(track) for track in up.tracks()["items"] if cover(track)), None)


@check
def answers_are_clean_to_httplint(world):
    up = world.up()
    doors = {
        "h1": (b"1.1", lambda: h1.Connection(up.tls_port, ca=up.ca)),
        "h2": (b"2", lambda: h2c.Connection(up.tls_port, up.ca)),
        "h3": (b"3", lambda: h3.Connection(up.tls_port, up.ca)),
    }
    wanted, wrong, seen = list(kinds(up)), [], 0
    for name, (version, connect) in doors.items():
        connection, tags = connect(), {}
        for kind, method, target, fields, status in wanted:
            if status == 414 and name == "h3":
                # aioquic cannot write a field of this length.
                continue
            fields = [(field, tags[target] if value is LAST_TAG else value) for field, value in fields]
            answer = connection.request(method, target, fields)
            tags[target] = dict(answer[1]).get("etag")
            seen += 1
            if answer[0] != status:
                wrong.append(f"{kind} over {name}: status {answer[0]}, not {status}")
            wrong += [f"{kind} over {name}: {note}" for note in lint(kind, method, target, fields, answer, version)]
        connection.close()
    report(wrong)
    return f"{seen} answers of {len(wanted)} kinds, {len(ACCEPTED)} notes accepted"


@check
def answers_of_a_lone_edge_are_clean_to_httplint(world):
    """An edge before a foreign origin: passed through, refused, broken and absent upstreams."""
    fields = {"ETag": '"lint"', "Content-Type": "audio/ogg", "Cache-Control": "max-age=60", "Last-Modified": "Sat, 01 Nov 2025 10:00:00 GMT"}
    objects = {
        "/one.ogg": (b"OggS" + bytes(200_000), fields),
        "/bare.bin": (bytes(1000), {}),
        "/private.ogg": (b"OggS" + bytes(1000), {**fields, "Cache-Control": "no-store"}),
        # The origin is a cache itself, and has had it for a while.
        "/aged.ogg": (b"OggS" + bytes(1000), {**fields, "Cache-Control": "max-age=600", "Age": "100"}),
        "/empty.txt": (b"", {**fields, "Content-Type": "text/plain; charset=utf-8"}),
    }
    edge = LoneEdge(world, "lint", objects)
    wrong, seen = [], 0
    try:
        connection = h1.Connection(edge.port)
        since = ("If-Modified-Since", "Sat, 01 Nov 2025 10:00:00 GMT")
        asked = [("GET", path, more) for path in objects for more in ([], [("Range", "bytes=0-99")], [("If-None-Match", '"lint"')], [since])]
        asked += [("HEAD", path, []) for path in objects] + [("GET", "/missing.ogg", [])]
        # Twice: what comes from the origin and what comes from the cache.
        for method, path, more in asked + asked:
            target = edge.sign(path)
            answer = connection.request(method, target, more)
            seen += 1
            wrong += [f"{method} {path} {more} ({answer[0]}): {note}" for note in lint(path, method, target, more, answer, b"1.1")]
        aged = dict(connection.request("GET", edge.sign("/aged.ogg"), [])[1])
        left = int(aged["cache-control"].split("max-age=")[1].split(",")[0]) - int(aged["age"])
        expect(470 <= left <= 500, f"500 seconds are left; {aged['cache-control']} and an Age of {aged['age']} leave {left}")
        since = time.time() - email.utils.parsedate_to_datetime(aged["date"]).timestamp()
        expect(abs(since - int(aged["age"])) < 3, f"Date is {since:.0f} s ago, Age {aged['age']}")
        edge.origin.close()
        edge.origin.answering.clear()
        target = edge.sign("/never.ogg")
        answer = connection.request("GET", target, [])
        expect(answer[0] in (502, 503, 504), f"without an origin: {answer[0]}")
        wrong += [f"without an origin ({answer[0]}): {note}" for note in lint("no origin", "GET", target, [], answer, b"1.1")]
        connection.close()
    finally:
        edge.server.stop()
    report(wrong)
    return f"{seen + 1} answers"


@check
def redbot_finds_nothing_wrong(world):
    """It asks with and without ranges, validators and codings, and judges whether the answers agree."""
    up = world.up()
    track = up.track("ogg")
    paths = ["/", "/web/js/player.js", "/v1/tracks", f"/v1/tracks/{track['id']}/stream", up.target(track["id"]), up.target(track["id"], 96, "m4a")]
    paths += ["/nowhere", up.target(track["id"]).split("?")[0]]
    paths += [picture(up)] if picture(up) else []
    wrong, seen = [], 0
    for path in paths:
        mine = [f"{name}: {value}" for name, value in up.bearer().items()] if path.startswith("/v1/") else []
        _, out, _ = run([sys.executable, BOT, up.base + path, *mine], timeout=60)
        for line in out.decode().splitlines():
            level, name, summary = line.split("\t", 2)
            seen += 1
            if level in ("bad", "warning") and name not in ACCEPTED:
                wrong.append(f"{path}: {level}: {name}: {summary}")
    report(wrong)
    expect(seen > 5 * len(paths), f"only {seen} notes")
    return f"{len(paths)} resources, {seen} notes"


def report(wrong):
    for line in wrong[:60]:
        print(f"    {line}", flush=True)
    expect(not wrong, f"{len(wrong)} notes, the first: {wrong[:1]}")
