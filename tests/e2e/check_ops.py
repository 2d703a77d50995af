"""The operator page: every edge watched, purged and drained from one place, by administrators only."""

import json
import os
import pathlib
import secrets
import shutil
import signal
import threading
import time

from check_cache import FIELDS, noise, status_of
from check_player import administrator, music
from check_protocols import LoneEdge
from harness import Up, check, environment, expect, free_port, get, run

SCRIPT = pathlib.Path(__file__).parent / "ops.mjs"
TRACKS = 2
# A look every 5 s, and two that must fail before an edge counts as unreachable.
SEEN_S = 30


class Operated(Up):
    """An `up` that watches a second edge, in another region, which is a process of its own."""

    def __init__(self, world):
        self.admin_port = free_port()
        folder = world.scratch / "operated"
        folder.mkdir(parents=True)
        token = folder / "sin.token"
        token.touch(0o600)
        token.write_text(secrets.token_hex(32) + "\n")
        config = folder / "needledrop.toml"
        config.write_text(
            '[ops]\nregion = "fra"\n\n'
            f'[[ops.edges]]\nname = "sin-1"\nregion = "sin"\nadmin = "http://127.0.0.1:{self.admin_port}"\ntoken = "{token}"\n'
        )
        few = folder / "music"
        few.mkdir()
        for file in sorted(music(world).iterdir())[:TRACKS]:
            shutil.copy(file, few)
        super().__init__(world, folder / "data", ["--config", config, "--music", few], name="operated")
        self.wait_ingested(TRACKS)
        self.paths = [self.url(track["id"]).split("?")[0] for track in self.tracks()["items"]]
        objects = {path: (noise(number, 300_000), dict(FIELDS)) for number, path in enumerate(self.paths)}
        admin = ["--admin", f"127.0.0.1:{self.admin_port}", "--admin-token", token, "--region", "sin", "--name", "sin-1"]
        self.second = LoneEdge(world, "operated-edge", objects, extra=admin)
        self.session = administrator(self)

    def url(self, track):
        """Path and query of a signed URL."""
        return "/" + self.call("GET", f"/v1/tracks/{track}/stream?kbps=160&codec=ogg")["urls"][0].split("/", 3)[3]

    def fetch(self, path):
        """A piece of an object from each edge: (status, Cache-Status) of both."""
        track = path.split("/")[2]
        here = f"{self.base}{self.url(track)}"
        there = f"http://127.0.0.1:{self.second.port}{self.second.sign(path)}"
        answers = [get(url, {"Range": "bytes=0-9999"}) for url in (here, there)]
        return [(status, status_of(headers)) for status, headers, _ in answers]

    def ops(self, method, path, body=None):
        status, text = self.ask(method, f"/v1/ops{path}", body, token=self.session)
        return status, json.loads(text) if text else None

    def look(self, query=""):
        status, said = self.ops("GET", query)
        expect(status == 200, f"/v1/ops{query} answers {status}: {said}")
        return said

    def edge(self, name):
        return next(edge for edge in self.look()["edges"] if edge["name"] == name)

    def wait(self, condition, words, limit=SEEN_S):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.5)
        expect(False, f"after {limit} s not yet: {words}; {str(self.look()['edges'])[:700]}")

    def wait_state(self, name, state):
        return self.wait(lambda: (edge := self.edge(name))["state"] == state and edge, f"{name} is {state}")


def operated(world):
    found = getattr(world, "_operated", None)
    if found is None:
        found = world._operated = Operated(world)
    return found


@check
def operators_only_may_look_and_act(world):
    here = operated(world)
    purge = {"by": "path", "value": here.paths[0], "confirm": here.paths[0]}
    calls = [("GET", ""), ("GET", "/audit"), ("POST", "/drain"), ("POST", "/purge")]
    for method, path in calls:
        body = purge if method == "POST" else None
        expect(here.ask(method, f"/v1/ops{path}", body, token=None)[0] == 401, f"{path} without a credential")
        expect(here.ask(method, f"/v1/ops{path}", body)[0] == 403, f"{path} as the demo account")
    status, _ = here.ask("POST", "/v1/ops/purge", purge, token=None, fields=[f"Cookie: needledrop_session={here.session}"])
    expect(status == 403, f"a page elsewhere may purge: {status}")
    expect(here.ops("GET", "")[0] == 200, "as an administrator")
    status, _, page = get(f"{here.base}/ops")
    expect(status == 200 and b"needledrop" in page, f"the page itself: {status}")
    return f"{len(calls)} calls"


@check
def operators_see_both_edges_and_their_traffic(world):
    here = operated(world)
    for name, region in (("needledrop", "fra"), ("sin-1", "sin")):
        edge = here.wait_state(name, "up")
        expect(edge["region"] == region, f"{edge}")
        expect(edge["version"] and edge["cache"]["slots"] > 0 and edge["keys"][0]["state"] == "signing", f"{edge}")
        expect(edge["certificate_until"] > time.time(), f"{edge}")
    for _ in range(5):
        for path in here.paths:
            expect(all(status == 206 for status, _ in here.fetch(path)), f"{path}")
    get(f"http://127.0.0.1:{here.second.port}{here.paths[0]}")
    wanted = here.wait(lambda: (top := here.look()["top"])["requests"] >= 20 and top, "20 requests are counted")
    best = wanted["objects"][0]
    expect(best["path"] in here.paths and best["count"] >= 10 and best.get("name"), f"{best}")
    said = here.wait(lambda: (said := here.look("?of=edge:sin-1"))["errors"] and said, "a refusal is listed")
    kind = said["errors"][0]
    expect((kind["kind"], kind["recent"][0]["edge"]) == ("url-unsigned", "sin-1"), f"{kind}")
    expect("?" not in kind["recent"][0]["path"] and kind["recent"][0]["client"].endswith("/24"), f"{kind}")
    series = said["series"]
    seen = [n for n in series["requests"] if n]
    hits = [n for n in series["classes"]["head"]["hit_ratio"] if n is not None]
    expect(seen and hits and max(hits) > 0.5, f"{seen} {hits}")
    expect(any(series["protocols"]["h1"]["p95_ms"]), "no start time over HTTP/1.1")
    expect(here.look("?of=region:sin&range=24h")["totals"]["edges"] == 1, "a region is its edges")
    return f"{wanted['requests']} requests, {best['name']!r} most"


@check
def operators_purge_an_object_at_every_edge(world):
    here = operated(world)
    path = here.paths[0]
    here.fetch(path)
    time.sleep(1)
    before = here.fetch(path)
    expect(all("; hit" in said for _, said in before), f"not cached before: {before}")
    expect(here.ops("POST", "/purge", {"by": "path", "value": path, "confirm": "yes"})[0] == 409, "without a confirmation")
    status, report = here.ops("POST", "/purge", {"by": "path", "value": path, "confirm": path})
    expect((status, report["outcome"], len(report["edges"])) == (200, "done", 2), f"{status} {report}")
    after = here.fetch(path)
    expect(all("fwd=" in said for _, said in after), f"still cached: {after}")
    _, audit = here.ops("GET", "/audit")
    line = audit["items"][0]
    expect((line["name"], line["act"], line["outcome"]) == ("admin", "purge", "done") and path in line["target"], f"{line}")
    return report["words"]


@check
def operators_drain_an_edge_and_take_it_back(world):
    here = operated(world)
    path = here.paths[1]
    status, report = here.ops("POST", "/drain", {"edge": "sin-1", "drain": True, "confirm": "sin-1"})
    expect((status, report["outcome"]) == (200, "done"), f"{status} {report}")
    expect(here.edge("sin-1")["state"] == "draining", "it is not shown at once")
    expect([status for status, _ in here.fetch(path)] == [206, 503], f"{here.fetch(path)}")
    here.ops("POST", "/drain", {"edge": "sin-1", "drain": False, "confirm": "sin-1"})
    expect([status for status, _ in here.fetch(path)] == [206, 206], f"{here.fetch(path)}")
    return report["words"]


@check
def operators_see_an_edge_go_and_come_back(world):
    here = operated(world)
    here.wait_state("sin-1", "up")
    here.second.server.stop(signal.SIGKILL)
    gone = here.wait_state("sin-1", "unreachable")
    expect(gone["trouble"] and gone["heard"] and gone["rates"] is None, f"{gone}")
    expect(here.edge("needledrop")["state"] == "up", "the other one is as before")
    status, report = here.ops("POST", "/purge", {"by": "tag", "value": "album-1", "confirm": "album-1"})
    expect(report["outcome"] == "partly" and "sin-1" in report["words"], f"{report}")
    here.second.restart()
    here.wait_state("sin-1", "up")
    return gone["trouble"][:60]


@check
def the_operator_page_works_in_chromium(world):
    here = operated(world)
    here.wait_state("sin-1", "up")
    shots = world.scratch / "ops"
    stop = threading.Event()
    tracks = [path.split("/")[2] for path in here.paths]
    urls = [f"{here.base}{here.url(track)}" for track in tracks]
    urls += [f"http://127.0.0.1:{here.second.port}{here.second.sign(path)}" for path in here.paths]

    def listen():
        number = 0
        while not stop.is_set():
            number += 1
            try:
                start = (number * 70_000) % 200_000
                get(urls[number % len(urls)], {"Range": f"bytes={start}-{start + 65_535}"}, timeout=5)
                if number % 12 == 0:
                    get(f"{here.base}{here.paths[0]}", timeout=5)
            except OSError:
                pass  # One of the edges is killed on the way.
            time.sleep(0.15)

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    try:
        env = environment(NODE_PATH=world.node_modules, MODULES=world.node_modules, USER="admin", PASSWORD="a better one than that",
                          EDGE_PID=here.second.server.process.pid)
        code, out, err = run(["node", SCRIPT, f"http://localhost:{here.port}", shots], env=env, timeout=220, check_exit=False)
    finally:
        stop.set()
        listening.join(10)
    lines = out.decode().splitlines()
    failed = [line for line in lines if line.startswith("FAILED")]
    expect(code == 0 and not failed, f"{failed[:3] or err.decode()[-400:]}")
    done = sum(line.startswith("ok") for line in lines)
    expect(done >= 14, f"only {done} checks ran")
    return f"{done} checks; {len(os.listdir(shots))} screenshots"
