"""The admin port and what an operator does through it: look, drain, purge; and what the public side must never show."""

import json
import signal
import time
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from check_cache import FIELDS, noise, status_of, url
from check_protocols import LoneEdge
from harness import check, expect, free_port, get


class TendedEdge(LoneEdge):
    """A `needledrop edge` with an admin port."""

    def __init__(self, world, name, objects, extra=()):
        self.admin_port = free_port()
        super().__init__(world, name, objects, extra=["--admin", f"127.0.0.1:{self.admin_port}", *extra])

    def restart(self):
        took = super().restart()
        self.server.wait_for(self.admin_port)
        return took

    def token(self):
        return (self.data / "admin.token").read_text().split()[-1]

    def admin(self, call, method="GET", token=None):
        headers = {"Authorization": f"Bearer {self.token() if token is None else token}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{call}", headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.headers, answer.read()


def album(name, count):
    tagged = {**FIELDS, "Cache-Tag": f"album-{name}, label-blue"}
    return {f"/tracks/{name}{number:018}/1/160.ogg": (noise(number, 300_000), tagged) for number in range(count)}


@check
def metrics_are_for_scrapers_with_the_token_only(world):
    objects = album("aaaa", 2)
    edge = TendedEdge(world, "scraped-edge", objects)
    try:
        for path in objects:
            for _ in range(3):
                get(url(edge, path))
        status, headers, body = edge.admin("/metrics")
        expect(status == 200, f"{status} {body[:200]}")
        expect(headers["Content-Type"].startswith("application/openmetrics-text"), headers["Content-Type"])
        families = {family.name: family for family in text_string_to_metric_families(body.decode())}
        expect(len(families) >= 20, f"only {sorted(families)}")
        expect(all(family.documentation for family in families.values()), "a metric says nothing of itself")
        wrong = edge.admin("/metrics", token="wrong")[0]
        none = get(f"http://127.0.0.1:{edge.admin_port}/metrics")[0]
        expect((wrong, none) == (401, 401), f"a wrong token gets {wrong}, none {none}")
        public = [get(f"http://127.0.0.1:{edge.port}{call}")[0] for call in ("/metrics", "/keys", "/cache", "/drain")]
        expect(all(status >= 400 for status in public), f"the public side answers {public}")
        mode = (edge.data / "admin.token").stat().st_mode & 0o777
        expect(mode == 0o600, f"the token file has mode {mode:o}")
        return f"{len(families)} families"
    finally:
        edge.close()


@check
def an_album_is_purged_by_its_tag_and_stays_purged_after_a_kill(world):
    objects = {**album("aaaa", 3), **album("bbbb", 2)}
    edge = TendedEdge(world, "purged-edge", objects)
    try:
        urls = {path: url(edge, path) for path in objects}
        for path in objects:
            get(urls[path])
        time.sleep(1)
        admin = ["--admin", f"http://127.0.0.1:{edge.admin_port}", "--data", edge.data]
        began = time.monotonic()
        _, out, _ = world.needledrop("purge", "--tag", "album-aaaa", *admin, "--json")
        took = time.monotonic() - began
        answer = json.loads(out)
        expect(answer.get("complete") is True, out)
        edge.server.stop(signal.SIGKILL)
        edge.restart()
        edge.origin.asked.clear()
        for path in objects:
            status, headers, body = get(urls[path])
            expect(status == 200 and body == objects[path][0], f"{path}: {status}")
            is_hit = "; hit" in status_of(headers)
            expect(is_hit != ("/tracks/aaaa" in path), f"{path}: {status_of(headers)}")
        world.needledrop("purge", "--prefix", "/tracks/", *admin)
        edge.origin.asked.clear()
        for path in objects:
            get(urls[path])
        expect(len(edge.origin.asked) >= len(objects), f"after the second purge upstream was asked {len(edge.origin.asked)} times")
        return f"acknowledged after {took * 1000:.0f} ms, the program's start included"
    finally:
        edge.close()


@check
def a_draining_edge_says_so_and_can_be_called_back(world):
    objects = album("aaaa", 1)
    edge = TendedEdge(world, "draining-edge", objects)
    try:
        (path,) = objects
        target = url(edge, path)
        ready = lambda: get(f"http://127.0.0.1:{edge.admin_port}/ready")[0]  # noqa: E731
        expect((ready(), get(target)[0]) == (200, 200), "not ready at the start")
        expect(edge.admin("/drain", "POST")[0] in (200, 202, 204), "drain is refused")
        status, headers, _ = get(target)
        expect(status == 503 and headers.get("Retry-After"), f"while draining: {status}")
        expect(ready() == 503, "ready while draining")
        expect(get(f"http://127.0.0.1:{edge.admin_port}/health")[0] == 200, "not healthy while draining")
        expect(edge.admin("/drain", "DELETE")[0] in (200, 202, 204), "cannot be called back")
        expect((ready(), get(target)[0]) == (200, 200), "not back")
    finally:
        edge.close()


@check
def what_was_delivered_is_recorded_logged_and_shipped_without_a_gap(world):
    objects = album("aaaa", 2)
    folder = world.scratch / "delivering-records"
    more = ["--deliveries", folder, "--log-format", "json"]
    edge = TendedEdge(world, "delivering-edge", objects, extra=more)
    try:
        first, second = objects
        play = ["--pid", "Q" * 22, "--uid", "somebody"]
        for path, part in ((first, "bytes=0-99999"), (first, "bytes=200000-299999"), (second, "bytes=0-9")):
            status, _, _ = get(url(edge, path, *play), {"Range": part})
            expect(status == 206, f"{path} {part}: {status}")
        # A commit comes within 100 ms of the record.
        time.sleep(1)
        edge.server.stop(signal.SIGKILL)
        edge.restart()
        status, headers, body = edge.admin("/deliveries?since=0")
        expect(status == 200, f"{status} {body[:200]}")
        lines = [json.loads(line) for line in body.splitlines()]
        numbers = [line["seq"] for line in lines]
        expect(numbers == list(range(numbers[0], numbers[0] + len(numbers))), f"numbers with a gap: {numbers}")
        found = {}
        for line in lines:
            if line["kind"] == "delivery" and line["pid"] == "Q" * 22:
                found.setdefault(line["path"], []).extend(map(tuple, line["bytes"]))
        expect(sorted(found.get(first, [])) == [(0, 100000), (200000, 300000)], f"{found} in {body[:600]}")
        expect(found.get(second) == [(0, 10)], f"{found}")
        through = headers["Deliveries-Through"]
        expect(edge.admin(f"/deliveries?through={through}", "DELETE")[0] in (200, 204), "not acknowledged")
        left = edge.admin(f"/deliveries?since={through}")[2]
        expect(b"Q" * 22 not in left, f"still there: {left[:300]}")
        access = [json.loads(line) for line in edge.server.log.read_text().splitlines() if line.startswith("{")]
        access = [line for line in access if line.get("target") == "needledrop::access" and line.get("pid") == "Q" * 22]
        expect(len(access) == 3, f"{len(access)} lines in the access log")
        expect(all("127.0.0.1" not in json.dumps(line) for line in access), f"a whole address is in {access[0]}")
        return f"{len(lines)} records, {len(access)} log lines"
    finally:
        edge.close()
