"""Things break, keys rotate, people press Ctrl-C: nothing that looks complete is short, nothing good is refused."""

import http.client
import signal
import threading
import time

import foreign
from check_protocols import LoneEdge
from clients import h1, h2c, h3
from harness import Up, check, expect, free_port, get, run


@check
def an_origin_that_dies_in_the_middle_never_looks_complete(world):
    data = bytes(i * 31 % 251 for i in range(3_000_000))
    fields = {"Content-Type": "audio/ogg", "ETag": '"v1"', "Cache-Control": "public, max-age=3600"}
    paths = {name: f"/dying/{name}.ogg" for name in ("plain", "h1", "h2", "h3", "curl")}
    edge = LoneEdge(world, "dying-edge", {path: (data, fields) for path in paths.values()})
    try:
        edge.origin.dying = set(paths.values())
        made = {
            "plain": lambda: h1.Connection(edge.port),
            "h1": lambda: h1.Connection(edge.tls_port, ca=edge.ca),
            "h2": lambda: h2c.Connection(edge.tls_port, edge.ca),
            "h3": lambda: h3.Connection(edge.tls_port, edge.ca),
        }
        for name, connect in made.items():
            connection = connect()
            try:
                status, _, body = connection.request("GET", edge.sign(paths[name]), [])
                # Too early to have promised anything is fine; a short success is not.
                expect(status in (502, 504) or body == data, f"{name}: {status} with {len(body)} of {len(data)} bytes")
            except (h1.Broken, h2c.Reset, h3.Reset, ConnectionError):
                pass
        url = f"https://localhost:{edge.tls_port}" + edge.sign(paths["curl"])
        code, out, _ = run(["curl", "-sS", "--fail", "--http2", "--cacert", edge.ca, "-o", world.scratch / "short", url], check_exit=False)
        expect(code != 0, "curl takes a short body for a success")
        edge.origin.dying = set()
        return f"whole again after {recovered(edge, paths['plain'], data):.1f} s"
    finally:
        edge.close()


def recovered(edge, path, data, limit=15):
    """Until the whole object comes; gives the seconds. A breaker is open for one second at first and for ten at most,
    and what it has of an object the edge begins to send all the same: until then that too may break off."""
    began = time.monotonic()
    while True:
        try:
            status, _, body = get(f"http://127.0.0.1:{edge.port}" + edge.sign(path))
            if status == 200 and body == data:
                return time.monotonic() - began
            said = f"{status}, {len(body)} bytes"
        except (ConnectionError, http.client.IncompleteRead) as broken:
            said = str(broken)
        expect(time.monotonic() - began < limit, f"not whole after {limit} s: {said}")
        time.sleep(0.3)


@check
def an_edge_keeps_playing_what_it_has_when_our_origin_is_killed(world):
    up = world.up()
    certs = world.scratch / "pair-certs"
    world.needledrop("certs", "--dir", certs)
    port = free_port()
    origin = world.start(
        "origin", "--data", up.data, "--listen", f"127.0.0.1:{port}", "--cert", certs / "origin.pem",
        "--key", certs / "origin.key", "--client-ca", certs / "ca.pem", name="pair-origin",
    )
    origin.wait_for(port)
    more = ["--upstream-ca", certs / "ca.pem", "--client-cert", certs / "edge.pem", "--client-key", certs / "edge.key"]
    edge = LoneEdge(world, "pair-edge", {}, upstream=f"https://localhost:{port}", extra=more)
    try:
        path = up.target(up.track("flac")["id"], 160, "m4a").split("?")[0]
        url = f"http://127.0.0.1:{edge.port}" + edge.sign(path)
        status, _, whole = get(url)
        expect(status == 200, f"through the pair: {status}")
        origin.process.kill()
        origin.process.wait()
        status, headers, again = get(url)
        expect(status == 200 and again == whole, f"from the cache: {status}, {len(again)} bytes")
        expect("hit" in headers.get("Cache-Status", ""), f"Cache-Status {headers.get('Cache-Status')}")
        cold = up.target(up.track("mp3")["id"], 320, "m4a").split("?")[0]
        began = time.monotonic()
        status, headers, body = get(f"http://127.0.0.1:{edge.port}" + edge.sign(cold))
        expect(status in (502, 504), f"a cold object: {status}")
        expect(headers["Content-Type"] == "application/problem+json", headers["Content-Type"])
        expect(time.monotonic() - began < 12, "the refusal took too long")
    finally:
        edge.close()


@check
def the_origin_refuses_who_shows_no_certificate(world):
    up = world.up()
    certs = world.scratch / "pair-certs"
    world.needledrop("certs", "--dir", certs)
    port = free_port()
    origin = world.start(
        "origin", "--data", up.data, "--listen", f"127.0.0.1:{port}", "--cert", certs / "origin.pem",
        "--key", certs / "origin.key", "--client-ca", certs / "ca.pem", name="lone-origin",
    )
    try:
        origin.wait_for(port)
        path = up.target(up.track("flac")["id"], 96, "ogg").split("?")[0]
        url = f"https://localhost:{port}{path}"
        code, out, _ = run(["curl", "-sS", "--cacert", certs / "ca.pem", "-o", "/dev/null", "-w", "%{http_code}", url], check_exit=False)
        expect(code != 0 or out == b"403", f"without a certificate: {code} {out}")
        mine = ["--cert", certs / "edge.pem", "--key", certs / "edge.key"]
        _, out, _ = run(["curl", "-sS", "--cacert", certs / "ca.pem", *mine, "-o", "/dev/null", "-w", "%{http_code}", url])
        expect(out == b"200", f"with one: {out}")
    finally:
        origin.stop()


@check
def keys_rotate_without_one_refusal(world):
    up = world.up()
    track = up.track("ogg")["id"]
    refused, asked, over = [], [0], threading.Event()

    def listen():
        connection = http.client.HTTPConnection("127.0.0.1", up.port, timeout=20)
        while not over.is_set():
            # A fresh grant each time: signed by whatever key signs at that moment.
            target = up.target(track, 96, "ogg")
            for _ in range(5):
                connection.request("GET", target, headers={"Range": "bytes=0-999"})
                answer = connection.getresponse()
                body = answer.read()
                asked[0] += 1
                if answer.status != 206 or len(body) != 1000:
                    refused.append(answer.status)

    before = up.target(track, 96, "ogg")
    threads = [threading.Thread(target=listen) for _ in range(4)]
    [t.start() for t in threads]
    try:
        for _ in range(3):
            time.sleep(1.0)
            world.needledrop("keys", "rotate", "--data", up.data)
        time.sleep(2.5)
    finally:
        over.set()
        [t.join(30) for t in threads]
    expect(not refused, f"{len(refused)} of {asked[0]} refused: {refused[:5]}")
    kid = up.target(track, 96, "ogg").split("kid=")[1].split("&")[0]
    expect(kid != before.split("kid=")[1].split("&")[0], "the new key does not sign")
    status, _, _ = get(up.base + before, {"Range": "bytes=0-0"})
    expect(status == 206, f"a URL of the former key gives {status}")
    return f"{asked[0]} requests over 3 rotations"


@check
def ctrl_c_stops_within_two_seconds_while_a_listener_hangs_on(world):
    up = world.up()
    target = up.target(up.track("ogg")["id"])
    slow = h1.Connection(up.port)
    slow.send(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    slow.head()
    code, took = up.server.stop(signal.SIGINT)
    slow.close()
    expect(code == 0, f"exit code {code}")
    expect(took < 2.0, f"took {took:.2f} s")
    return f"{took:.2f} s"


@check
def a_second_start_takes_less_than_two_seconds(world):
    world.up()
    world._up.server.stop()
    again = Up(world, world.scratch / "up", name="again")
    try:
        expect(again.start_s < 2.0, f"took {again.start_s:.2f} s")
        expect(again.tracks()["total"] == 6, f"{again.tracks()['total']} tracks")
        target = again.target(again.track("ogg")["id"])
        began = time.monotonic()
        status, headers, _ = get(again.base + target, {"Range": "bytes=0-65535"})
        expect(status == 206, f"status {status}")
        return f"{again.start_s:.2f} s, first bytes {1000 * (time.monotonic() - began):.0f} ms later"
    finally:
        code, _ = again.server.stop()
        expect(code == 0, f"exit code {code}")


@check
def sigterm_stops_cleanly_too(world):
    up = Up(world, world.scratch / "up", name="term")
    code, took = up.server.stop(signal.SIGTERM)
    expect(code == 0 and took < 2.0, f"exit code {code} after {took:.2f} s")
