"""Living through change: a new process takes over, a service manager starts, watches and stops us."""

import fcntl
import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time

from check_admin import TendedEdge
from check_cache import FIELDS, noise, status_of, tracks
from check_protocols import LoneEdge
from clients import h3
from harness import Server, check, die_with_parent, environment, expect, free_port, get

DRAIN_S = 8


class Crowd:
    """Clients that ask without a pause, each time on a new connection, and note whatever is not as it should be."""

    def __init__(self, edge, objects):
        self.edge, self.wrong, self.answers, self.over = edge, [], 0, threading.Event()
        self.targets = {path: edge.sign(path) for path in objects}
        self.bodies = {path: objects[path][0] for path in objects}
        tls = ssl.create_default_context(cafile=str(edge.ca))
        self.threads = [
            threading.Thread(target=self.ask, args=(number, tls if number % 2 else None, number == 0))
            for number in range(5)
        ]
        self.threads += [threading.Thread(target=self.ask, args=(number, "quic", False)) for number in range(2)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def ask(self, number, tls, is_slow):
        paths = list(self.targets)
        for turn in range(10**9):
            if self.over.is_set():
                return
            path = paths[(number + turn) % len(paths)]
            try:
                self.ask_once(path, tls, is_slow)
                self.answers += 1
            except Exception as error:  # noqa: BLE001
                way = "HTTP/3" if tls == "quic" else "TLS" if tls else "plain"
                self.wrong.append(f"{way}{' slowly' if is_slow else ''}: {error!r}")

    def ask_once(self, path, tls, is_slow):
        if tls == "quic":
            connection = h3.Connection(self.edge.tls_port, self.edge.ca)
            try:
                status, _, body = connection.request("GET", self.targets[path], [])
            finally:
                connection.close()
            expect(status == 200 and body == self.bodies[path], f"{status}, {len(body)} bytes")
            return
        if tls:
            connection = http.client.HTTPSConnection("localhost", self.edge.tls_port, timeout=20, context=tls)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.edge.port, timeout=20)
        try:
            connection.request("GET", self.targets[path])
            answer = connection.getresponse()
            body = b""
            while piece := answer.read(64 * 1024):
                body += piece
                # About 1.5 s for a body, less than a drain.
                time.sleep(0.15 if is_slow else 0)
            expect(answer.status == 200, f"{answer.status} {body[:200]!r}")
            expect(body == self.bodies[path], f"{len(body)} bytes, not the right ones")
        finally:
            connection.close()


class Player(threading.Thread):
    """Plays one long answer over one HTTP/3 connection, slowly until it is told to hurry."""

    def __init__(self, edge, path):
        super().__init__()
        self.connection, self.target, self.got = h3.Connection(edge.tls_port, edge.ca), edge.sign(path), None
        self.connection.protocol.pace_s = 0.01
        self.start()

    def run(self):
        try:
            self.got = self.connection.request("GET", self.target, [])
        except Exception as error:  # noqa: BLE001
            self.got = (repr(error), [], b"")

    def hurry(self):
        self.connection.protocol.pace_s = 0

    def close(self, body):
        self.join(30)
        expect(self.got and self.got[0] == 200, f"HTTP/3 over a take-over: {self.got and self.got[0]}")
        expect(self.got[2] == body, f"HTTP/3 over a take-over: {len(self.got[2])} bytes, not the right ones")
        self.connection.close()


def wait_for(words, server, limit=30):
    began = time.monotonic()
    while words not in server.log.read_text(errors="replace"):
        expect(time.monotonic() - began < limit, f"nobody says {words!r}: {server.tail()}")
        time.sleep(0.02)


@check
def a_new_process_takes_over_three_times_and_nobody_is_refused(world):
    objects = tracks(4, 600_000)
    late, long = ("/tracks/" + letter * 22 + "/1/160.ogg" for letter in "zy")
    all_objects = {**objects, late: (noise(77, 300_000), dict(FIELDS)), long: (noise(78, 1_000_000), dict(FIELDS))}
    edge = TendedEdge(world, "taken-edge", all_objects, ["--drain-seconds", str(DRAIN_S)])
    try:
        for path in [*objects, long]:
            get(f"http://127.0.0.1:{edge.port}{edge.sign(path)}")
        time.sleep(1)
        edge.origin.asked.clear()
        with Crowd(edge, objects) as crowd:
            time.sleep(1)
            for turn in range(3):
                old, player = edge.server, Player(edge, long)
                time.sleep(0.5)
                edge.server = world.start(*edge.command, "--take-over", name=f"taken-edge-{turn}")
                wait_for("handed over", old)
                expect(player.is_alive(), "the track was over before the take-over")
                player.hurry()
                player.close(all_objects[long][0])
                code = old.process.wait(30 + DRAIN_S)
                expect(code == 0, f"the old process ended with {code}: {old.tail()}")
                expect(edge.server.process.poll() is None, f"the new one ended: {edge.server.tail()}")
                time.sleep(0.5)
        expect(not crowd.wrong, f"{len(crowd.wrong)} of {crowd.answers} went wrong: {crowd.wrong[:3]}")
        expect(crowd.answers > 50, f"only {crowd.answers} answers")
        expect(not edge.origin.asked, f"the cache was lost: upstream was asked {len(edge.origin.asked)} times")
        # The last one owns everything: it stores again, answers over HTTP/3 and at the admin port.
        for _ in range(2):
            _, headers, body = get(f"http://127.0.0.1:{edge.port}{edge.sign(late)}")
            expect(body == noise(77, 300_000), f"{len(body)} bytes")
            time.sleep(1)
        expect("; hit" in status_of(headers), f"not stored after the take-over: {status_of(headers)}")
        answer = h3.Connection(edge.tls_port, edge.ca).request("GET", edge.sign(late), [])
        expect(answer[0] == 200 and answer[2] == noise(77, 300_000), f"HTTP/3 answers {answer[0]}")
        expect(edge.admin("/ready")[0] == 200, "the admin port is lost")
        mode = (edge.data / "takeover.sock").stat().st_mode & 0o777
        expect(mode == 0o600, f"the take-over socket has mode {mode:o}")
        return f"{crowd.answers} answers on as many connections"
    finally:
        edge.close()


@check
def a_second_edge_that_was_not_told_to_take_over_leaves_the_first_alone(world):
    objects = tracks(1, 10_000)
    edge = LoneEdge(world, "first-edge", objects)
    try:
        second = world.start(*edge.command, name="second-edge")
        expect(second.process.wait(20) == 2, "it did not fail")
        expect("in use" in second.tail(), second.tail())
        (path,) = objects
        expect(get(f"http://127.0.0.1:{edge.port}{edge.sign(path)}")[0] == 200, "the first one is gone")
    finally:
        edge.close()


class Manager:
    """What systemd hears."""

    def __init__(self, folder):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(20)
        self.heard = []

    def wait_for(self, words):
        while True:
            text = self.socket.recv(4096).decode()
            self.heard.append(text)
            if words in text.split("\n"):
                return text


@check
def the_service_manager_hears_of_everything(world):
    folder = world.scratch / "managed"
    folder.mkdir()
    manager = Manager(folder)
    os.environ.update(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="400000")
    try:
        edge = LoneEdge(world, "managed-edge", tracks(1, 10_000))
    finally:
        del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
    try:
        ready = manager.wait_for("READY=1")
        expect(f"MAINPID={edge.server.process.pid}" in ready, ready)
        for _ in range(3):
            manager.wait_for("WATCHDOG=1")
        edge.server.process.send_signal(signal.SIGHUP)
        reloading = manager.wait_for("RELOADING=1")
        expect("MONOTONIC_USEC=" in reloading, reloading)
        manager.wait_for("READY=1")
        edge.server.stop(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        return f"{len(manager.heard)} messages"
    finally:
        edge.close()


HAND_OVER = """
import os, sys
for number, fd in enumerate(map(int, sys.argv[1].split(",")), start=3):
    os.dup2(fd, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[2], LISTEN_FDNAMES=sys.argv[3])
os.execv(sys.argv[4], sys.argv[4:])
"""


def start_with(world, sockets, names, command, log):
    """Starts a program as a service manager would that has opened its sockets."""
    # Out of the way of the numbers they shall get.
    fds = [fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 40) for one in sockets]
    server = Server.__new__(Server)
    server.log, server.file = log, open(log, "ab")
    server.process = subprocess.Popen(
        [sys.executable, "-c", HAND_OVER, ",".join(map(str, fds)), str(len(fds)), names, *map(str, command)],
        stdin=subprocess.DEVNULL, stdout=server.file, stderr=subprocess.STDOUT, pass_fds=fds,
        preexec_fn=die_with_parent, env=environment(),
    )
    world.servers.append(server)
    for fd in fds:
        os.close(fd)
    return server


@check
def sockets_that_the_service_manager_opened_are_served(world):
    objects = tracks(1, 50_000)
    edge = LoneEdge(world, "activated-edge", objects)
    edge.server.stop()
    # Neither --listen nor --tls-listen: the sockets say it all.
    at = edge.command.index("--listen")
    command = [world.binary, *edge.command[:at], *edge.command[at + 4:]]
    edge.port, edge.tls_port = free_port(), free_port()
    plain, tls = socket.socket(), socket.socket()
    quic = socket.socket(type=socket.SOCK_DGRAM)
    for one, port in ((plain, edge.port), (tls, edge.tls_port), (quic, edge.tls_port)):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
    plain.listen()
    tls.listen()
    try:
        wrong = start_with(world, [plain], "http", command, world.scratch / "misnamed-edge.log")
        expect(wrong.process.wait(20) == 2 and "plain, tls or quic" in wrong.tail(), wrong.tail())
        edge.server = start_with(world, [plain, tls, quic], "plain:tls:quic", command, world.scratch / "activated.log")
        edge.server.wait_for(edge.port)
        (path,) = objects
        for name, connection in edge.connections().items():
            answer = connection.request("GET", edge.sign(path), [])
            expect(answer[0] == 200 and answer[2] == objects[path][0], f"{name} answers {answer[0]}")
            alt_svc = {n.lower(): v for n, v in answer[1]}.get("alt-svc", "")
            expect((f":{edge.tls_port}" in alt_svc) == (name in ("h1", "h2")), f"{name} says {alt_svc!r}")
    finally:
        for one in (plain, tls, quic):
            one.close()
        edge.close()


@check
def what_goes_into_the_dns_is_printed(world):
    _, out, _ = world.needledrop("edge", "--tls-listen", "0.0.0.0:8443", "--print-dns", "music.example")
    expect(b'_8443._https.music.example. 300 IN HTTPS 1 music.example. alpn="h3,h2" port=8443' in out, out)
    code, _, err = world.needledrop("edge", "--print-dns", "music.example", check_exit=False)
    expect(code == 2 and b"--tls-listen" in err, err)
