"""The same questions get the same answers over HTTP/1.1, HTTP/2 and HTTP/3: status, fields and bytes."""

import shutil
import time

import cases
import foreign
from clients import h1, h2c, h3
from harness import check, expect, free_port

# Differ by nature: the time, the way, and the connection (RFC 9110 7.6.1).
MAY_DIFFER = {"date", "age", "server-timing", "alt-svc", "connection", "keep-alive", "transfer-encoding", "proxy-connection"}


class LoneEdge:
    """`needledrop edge` before an origin that Python serves."""

    def __init__(self, world, name, objects, upstream=None, extra=()):
        self.world, self.data = world, world.scratch / name
        self.origin = foreign.Origin(objects)
        self.certs = self.data / "certs"
        world.needledrop("certs", "--dir", self.certs)
        world.needledrop("keys", "make", "--data", self.data)
        self.ca = self.certs / "ca.pem"
        self.port, self.tls_port = free_port(), free_port()
        self.command = [
            "edge", "--data", self.data, "--log", "info", "--upstream", upstream or self.origin.base,
            "--listen", f"127.0.0.1:{self.port}", "--tls-listen", f"127.0.0.1:{self.tls_port}", "--cache-size", "64MiB",
            "--cert", self.certs / "server.pem", "--key", self.certs / "server.key", *extra,
        ]
        self.name = name
        self.restart()

    def restart(self):
        """Starts it, once more if it was stopped; gives the seconds until it accepted a connection."""
        self.server = self.world.start(*self.command, name=self.name)
        return self.server.wait_for(self.port)

    def sign(self, path):
        _, out, _ = self.world.needledrop("sign", path, "--data", self.data)
        return out.decode().strip()

    def connections(self):
        return {
            "plain h1": h1.Connection(self.port),
            "h1": h1.Connection(self.tls_port, ca=self.ca),
            "h2": h2c.Connection(self.tls_port, self.ca),
            "h3": h3.Connection(self.tls_port, self.ca),
        }

    def close(self):
        self.server.stop()
        self.origin.close()
        # A cache is allocated whole: what is kept for a look afterwards is the log, not this.
        shutil.rmtree(self.data / "cache", ignore_errors=True)


def comparable(fields):
    return sorted((n.lower(), v) for n, v in fields if n.lower() not in MAY_DIFFER)


def alike(answer):
    return answer[0], comparable(answer[1]), answer[2]


def ask_all(connections, *request):
    """The answers of every protocol to one request, all within one second of the clock.

    Lifetimes in Cache-Control and Cache-Status are counted down by the second; answers to either side of a tick
    are asked for again.
    """
    for _ in range(4):
        second = int(time.time())
        answers = {name: connection.request(*request) for name, connection in connections.items()}
        if int(time.time()) == second:
            break
    return answers


@check
def every_case_of_the_table_is_the_same_over_three_protocols(world):
    objects, table = cases.table()
    expect(len(table) >= 200, f"the table has {len(table)} cases")
    served = {}
    for one in objects.values():
        fields = {"Content-Type": one.kind, "Cache-Control": "public, max-age=3600"}
        if one.etag:
            fields["ETag"] = one.etag
        if one.modified:
            fields["Last-Modified"] = one.modified
        served[f"/cases/{one.name}"] = (one.bytes(), fields)
    edge = LoneEdge(world, "cases-edge", served)
    try:
        targets = {name: edge.sign(f"/cases/{name}") for name in objects}
        connections = edge.connections()
        warm = connections["plain h1"]
        for target in targets.values():
            # Twice, so that the cache is in the same state for every protocol.
            warm.request("GET", target, [])
            warm.request("GET", target, [])
        wrong, compared = [], 0
        for case in table:
            one = objects[case["object"]]
            data = served[f"/cases/{one.name}"][0]
            fields = cases.request_fields(case, one, objects)
            answers = ask_all(connections, case["method"], targets[one.name], fields)
            for name, answer in answers.items():
                why = cases.judge(case, one, objects, data, answer)
                if why:
                    wrong.append(f"{case['name']} over {name}: {why}")
            first = answers["h1"]
            for name, answer in answers.items():
                compared += 1
                if alike(answer) != alike(first):
                    differ = set(comparable(answer[1])) ^ set(comparable(first[1]))
                    wrong.append(f"{case['name']}: {name} differs from h1: {answer[0]} {sorted(differ)[:4]}, {len(answer[2])} bytes")
        for connection in connections.values():
            connection.close()
        for line in wrong[:40]:
            print(f"    {line}", flush=True)
        expect(not wrong, f"{len(wrong)} answers are wrong, the first: {wrong[:1]}")
        return f"{len(table)} cases, {compared} answers"
    finally:
        edge.close()


@check
def music_is_byte_identical_over_three_protocols(world):
    up = world.up()
    target = up.target(up.track("opus")["id"], 96, "m4a")
    connections = {
        "h1": h1.Connection(up.tls_port, ca=up.ca),
        "h2": h2c.Connection(up.tls_port, up.ca),
        "h3": h3.Connection(up.tls_port, up.ca),
    }
    # The first answer fills the cache, which Cache-Status tells.
    connections["h1"].request("GET", target, [])
    answers = {name: alike(answer) for name, answer in ask_all(connections, "GET", target, []).items()}
    for connection in connections.values():
        connection.close()
    expect(answers["h1"][0] == 200 and len(answers["h1"][2]) > 100_000, f"h1: {answers['h1'][0]}")
    for name in ("h2", "h3"):
        differ = set(answers[name][1]) ^ set(answers["h1"][1])
        expect(answers[name] == answers["h1"], f"{name}: {answers[name][0]} {sorted(differ)}, {len(answers[name][2])} bytes")


@check
def many_http3_requests_at_once_all_come_complete(world):
    import asyncio

    up = world.up()
    target = up.target(up.track("wav")["id"], 160, "ogg")
    connection = h3.Connection(up.tls_port, up.ca)

    async def together():
        asked = [connection.protocol.ask("GET", connection.authority, target, [("range", f"bytes={i * 9000}-{i * 9000 + 20000}")]) for i in range(24)]
        return await asyncio.gather(*asked)

    answers = asyncio.run_coroutine_threadsafe(together(), connection.loop).result(60)
    whole = connection.request("GET", target, [])[2]
    connection.close()
    for i, (status, _, body) in enumerate(answers):
        expect(status == 206 and body == whole[i * 9000:i * 9000 + 20001], f"request {i}: {status}, {len(body)} bytes")
    return f"{len(answers)} streams"
