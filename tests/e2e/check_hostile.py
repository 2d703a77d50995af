"""Bad input gets a clear answer and breaks nothing."""

import json
import socket
import time

from clients import h1
from harness import check, expect, get


def ask(up, target, *more):
    """Status and body of one raw request."""
    connection = h1.Connection(up.port)
    try:
        return connection.request("GET", target, list(more))
    finally:
        connection.close()


def raw(up, data, limit=6):
    """What comes back for raw bytes, up to the close or the limit."""
    with socket.create_connection(("127.0.0.1", up.port), timeout=limit) as s:
        got = b""
        try:
            s.sendall(data)
            while len(got) < 65536 and (piece := s.recv(65536)):
                got += piece
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        return got


@check
def altered_urls_are_refused_as_problems(world):
    up = world.up()
    target = up.target(up.track("ogg")["id"])
    other = up.target(up.track("mp3")["id"])
    path, query = target.split("?")
    claims = query.split("&sig=")[0]
    sig = query.split("&sig=")[1]
    first, second = claims.split("&")[:2]
    altered = {
        "unsigned": path,
        "no signature": f"{path}?{claims}",
        "empty signature": f"{path}?{claims}&sig=",
        "short signature": target[:-1],
        "long signature": target + "A",
        "changed signature": target[:-10] + ("B" if target[-10] == "A" else "A") + target[-9:],
        "padded signature": target + "=",
        "later expiry": target.replace("exp=", "exp=9"),
        "on another path": other.split("?")[0] + "?" + query,
        "other bitrate": target.replace("160.ogg", "320.ogg"),
        "unknown key": target.replace("kid=", "kid=x"),
        "reordered claims": f"{path}?" + "&".join([second, first, *claims.split('&')[2:]]) + f"&sig={sig}",
        "doubled claim": f"{path}?{claims}&{first}&sig={sig}",
        "claim after the signature": f"{target}&exp=9999999999",
        "claim after it, encoded": f"{target}&%65xp=9999999999",
        "claim after it, in capitals": f"{target}&EXP=9999999999",
        "second signature": f"{target}&sig={sig}",
        "encoded path": target.replace("/tracks/", "/%74racks/"),
        "encoded separator": target.replace("&kid=", "%26kid="),
        "plus for the sign": target.replace("&sig=", "&sig=+"),
    }
    for name, url in altered.items():
        status, fields, body = ask(up, url)
        # An encoded path is simply another path, where nothing is.
        expect(status in ((400, 403, 404) if name == "encoded path" else (400, 403)), f"{name}: {status} for {url}")
        known = dict(fields)
        expect(known.get("content-type") == "application/problem+json", f"{name}: {known.get('content-type')}")
        problem = json.loads(body)
        expect(problem.get("type") and problem.get("title") and problem.get("status") == status, f"{name}: {problem}")
    for good in [target, f"{target}&CMCD=br%3D160", f"{target}&cachebuster"]:
        status, _, body = ask(up, good)
        expect(status == 200 and len(body) > 100_000, f"{status} for {good}")
    return f"{len(altered)} refused"


@check
def an_expired_url_is_refused_and_one_about_to_expire_is_not(world):
    up = world.up()
    path = up.target(up.track("ogg")["id"]).split("?")[0]
    past, soon = int(time.time()) - 30, int(time.time()) + 60
    for moment, wanted in [(past, 403), (soon, 200)]:
        _, out, _ = world.needledrop("sign", path, "--expires-at", str(moment), "--data", up.data)
        status, _, _ = ask(up, out.decode().strip())
        expect(status == wanted, f"exp={moment}: {status}")


@check
def path_tricks_reach_nothing(world):
    up = world.up()
    tricks = [
        "/../../etc/passwd", "/tracks/../../../etc/passwd", "/tracks/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
        "/tracks//x", "/tracks/./x", "/%00", "/tracks/a%00b", "/art/../keys.toml", "/art/%2e%2e/keys.toml",
        "/art/..%2f..%2fkeys.toml", "/tracks/" + "a" * 5000, "/art/" + "a" * 64 + "/300.jpg", "/tracks\\..\\x", "/keys.toml",
        "/v1/tracks/../../keys.toml", "/v1/tracks/" + "x" * 3000 + "/stream",
    ]
    # As somebody who may ask: no trick is refused for want of a credential.
    mine = list(up.bearer().items())
    for trick in tricks:
        status, _, body = ask(up, trick, *mine)
        expect(status in (400, 403, 404, 414), f"{status} for {trick[:60]}")
        expect(b"root:" not in body and b"secret" not in body, f"{trick[:60]} leaks")
    return f"{len(tricks)} tried"


@check
def broken_requests_end_and_the_server_goes_on(world):
    up = world.up()
    target = up.target(up.track("ogg")["id"])
    pieces = {
        "NUL in the target": b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "no version": b"GET /\r\n\r\n",
        "two lengths": b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "length and chunks": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "no host": b"GET / HTTP/1.1\r\n\r\n",
        "a huge field": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 400_000 + b"\r\n\r\n",
        "many fields": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        "noise": bytes(range(256)) * 20,
        "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        "HTTP/2 preface and noise": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 200,
        "a long target": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    }
    for name, data in pieces.items():
        got = raw(up, data)
        expect(not got.startswith(b"HTTP/1.1 2") and not got.startswith(b"HTTP/1.1 5"), f"{name}: {got[:60]!r}")
        status, _, _ = get(up.base + target, {"Range": "bytes=0-0"})
        expect(status == 206, f"after {name}: {status}")
    expect(up.server.process.poll() is None, "the server ended")
    return f"{len(pieces)} sent"


@check
def methods_that_change_things_are_refused(world):
    up = world.up()
    target = up.target(up.track("ogg")["id"])
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"]:
        got = raw(up, f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        expect(got[9:12] in (b"400", b"403", b"405", b"501"), f"{method}: {got[:40]!r}")
    connection = h1.Connection(up.port)
    status, fields, _ = connection.request("OPTIONS", target.split("?")[0], [("Origin", "https://elsewhere.example"), ("Access-Control-Request-Method", "GET"), ("Access-Control-Request-Headers", "range")])
    connection.close()
    expect(status == 204 and dict(fields).get("access-control-allow-origin"), f"OPTIONS: {status} {fields}")


@check
def a_stranger_s_host_does_not_reach_the_page(world):
    up = world.up()
    got = raw(up, b"GET /v1/tracks HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    expect(got.startswith(b"HTTP/1.1 421"), f"{got[:40]!r}")
