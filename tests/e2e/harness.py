"""What the checks share: the registry, processes that always end, ports, and the music the tests are about."""

import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

MUSIC = pathlib.Path("/usr/share/games/wesnoth/1.16/data/core/music")
# Seconds a server has to answer its first request, on a machine that is busy with other things too.
START_S = 30

registered = []


def check(act):
    """Marks a function as a check. Its name is the behaviour, its return value a note for the report."""
    registered.append((act.__name__.replace("_", "-"), act))
    return act


class Failure(Exception):
    """Something is not as it should be."""


class Skip(Exception):
    """This machine does not allow it to be checked."""


def need_links():
    """Emulated links take root, a network namespace and a TUN device; the caller of all this has looked."""
    if os.environ.get("NEEDLEDROP_NO_LINK"):
        raise Skip("links cannot be emulated here")


def expect(condition, why):
    if not condition:
        raise Failure(why)


def free_port():
    """A port that was free a moment ago, for TCP and UDP alike."""
    for _ in range(50):
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            try:
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failure("no free port")


def die_with_parent():
    """The child ends when we do, even if we are killed (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def run(command, timeout=120, check_exit=True, said=b"", **more):
    """Runs a program, with `said` on its standard input, and gives (exit code, standard output, standard error)."""
    done = subprocess.run([str(c) for c in command], capture_output=True, timeout=timeout, input=said, **more)
    if check_exit and done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()[-500:]
        raise Failure(f"{pathlib.Path(str(command[0])).name} ended with {done.returncode}: {words}")
    return done.returncode, done.stdout, done.stderr


def get(url, headers=None, timeout=20):
    """A plain GET: (status, headers, body). Refusals are answers too."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read()


class Server:
    """A needledrop process and its log."""

    def __init__(self, command, log, env=None):
        self.log = log
        self.file = open(log, "ab")
        self.process = subprocess.Popen(
            [str(c) for c in command],
            stdin=subprocess.DEVNULL,
            stdout=self.file,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
            env=env,
        )

    def tail(self):
        return self.log.read_text(errors="replace")[-800:]

    def wait_for(self, port, limit=START_S):
        """Until the port accepts connections; gives the seconds it took."""
        began = time.monotonic()
        while time.monotonic() - began < limit:
            if self.process.poll() is not None:
                raise Failure(f"it ended with {self.process.returncode}: {self.tail()}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return time.monotonic() - began
            except OSError:
                time.sleep(0.02)
        raise Failure(f"nothing listens on port {port} after {limit} s: {self.tail()}")

    def stop(self, how=signal.SIGINT, limit=10):
        """Signals and waits; gives (exit code, seconds)."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = None
        self.file.close()
        return code, time.monotonic() - began


class World:
    """One run: the binary, a scratch folder, six music files, and an `up` that plays them."""

    def __init__(self, binary, scratch, node_modules):
        self.binary = binary
        self.scratch = scratch
        self.node_modules = node_modules
        self.servers = []
        self._up = None

    def start(self, *args, name="server"):
        server = Server([self.binary, *args], self.scratch / f"{name}.log")
        self.servers.append(server)
        return server

    def needledrop(self, *args, **more):
        return run([self.binary, *args], **more)

    def close(self):
        for server in self.servers:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()

    # --- music ---------------------------------------------------------------------------------------------------

    def music(self):
        """Six files in six formats with title and artist; made once."""
        folder = self.scratch / "music"
        if folder.exists():
            return folder
        making = self.scratch / "music-making"
        making.mkdir()
        songs = sorted(MUSIC.glob("*.ogg"), key=lambda f: f.stat().st_size)
        # Small ones, but long enough to seek in.
        songs = [s for s in songs if seconds_of(s) > 40][:6]
        expect(len(songs) == 6, f"six pieces of music are needed in {MUSIC}")
        forms = [
            ("ogg", ["-c:a", "copy"]),
            ("flac", ["-c:a", "flac"]),
            ("mp3", ["-c:a", "libmp3lame", "-b:a", "192k"]),
            ("m4a", ["-c:a", "aac", "-b:a", "192k"]),
            ("opus", ["-c:a", "libopus", "-b:a", "128k"]),
            ("wav", ["-c:a", "pcm_s16le"]),
        ]
        for song, (kind, how) in zip(songs, forms):
            tags = ["-map_metadata", "-1", "-metadata", f"title=Song in {kind}", "-metadata", f"artist=The {kind} Band"]
            # 45 s are enough to seek in, and keep the run short.
            cut = [] if kind == "ogg" else ["-t", "45"]
            to = making / f"{kind}.{kind}"
            run(["ffmpeg", "-v", "error", "-nostdin", "-i", song, *cut, "-map", "0:a", "-ac", "2", *how, *tags, to] if kind != "ogg"
                else ["ffmpeg", "-v", "error", "-nostdin", "-i", song, "-map", "0:a", *how, *tags, to])
        making.rename(folder)
        return folder

    # --- the running system ---------------------------------------------------------------------------------------

    def up(self):
        """An `up` over the six files, fully ingested; started by the first check that needs it."""
        if self._up is None or self._up.server.process.poll() is not None:
            self._up = Up(self, self.scratch / "up", ["--music", self.music()])
            self._up.wait_ingested(6)
        return self._up


class Up:
    """A running `needledrop up`, which is asked as the demo account unless something else is said."""

    def __init__(self, world, data, more=(), log="info", name=None):
        self.world = world
        self.data = data
        self.port = free_port()
        self.tls_port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.tls_base = f"https://localhost:{self.tls_port}"
        self.ca = data / "certs/ca.pem"
        self._token = None
        self.args = ["up", "--data", data, "--log", log, "--listen", f"127.0.0.1:{self.port}", "--tls-listen", f"127.0.0.1:{self.tls_port}", *more]
        self.name = name or data.name
        self.server = world.start(*self.args, name=self.name)
        self.start_s = self.server.wait_for(self.port)

    def restart(self):
        """The same once more, on the same data and ports."""
        self.server.stop()
        self.server = self.world.start(*self.args, name=self.name)
        self.server.wait_for(self.port)

    @property
    def token(self):
        """A session of the demo account, begun by the first call that needs it."""
        if self._token is None:
            status, text = self.ask("POST", "/v1/session", {"user": "demo", "password": "demo", "bearer": True}, token=None)
            expect(status == 200, f"signing in as demo is answered {status}: {text[:200]}")
            self._token = json.loads(text)["token"]
        return self._token

    def bearer(self):
        """The field that makes a request the demo account's."""
        return {"Authorization": f"Bearer {self.token}"}

    def ask(self, method, path, body=None, token="demo", fields=()):
        """Status and text of one call, with this token, or without any."""
        headers = dict(field.split(": ", 1) for field in fields)
        token = self.token if token == "demo" else token
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()

    def call(self, method, path, body=None, token="demo"):
        """What a call gives that goes well."""
        status, text = self.ask(method, path, body, token)
        expect(status in (200, 201, 204), f"{method} {path} answers {status}: {text[:300]}")
        return json.loads(text) if text else None

    def tracks(self):
        """The first fifty tracks, how many there are, and whether more are being made."""
        listed = self.call("GET", "/v1/tracks?limit=50")
        listed["ingesting"] = self.call("GET", "/v1/session/hint")["ingesting"]
        return listed

    def wait_ingested(self, count, limit=220):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            listed = self.tracks()
            if listed["total"] >= count and not listed.get("ingesting"):
                return listed["items"]
            expect(self.server.process.poll() is None, f"it ended: {self.server.tail()}")
            time.sleep(0.3)
        raise Failure(f"{self.tracks()['total']} of {count} tracks after {limit} s: {self.server.tail()}")

    def track(self, kind):
        """The track made of the file of this kind."""
        found = [t for t in self.tracks()["items"] if t["name"] == f"Song in {kind}"]
        expect(found, f"no track is called 'Song in {kind}'")
        return found[0]

    def stream(self, track_id, kbps=160, codec="ogg", **more):
        query = "&".join(f"{k}={v}" for k, v in {"kbps": kbps, "codec": codec, **more}.items())
        return self.call("GET", f"/v1/tracks/{track_id}/stream?{query}")

    def target(self, track_id, kbps=160, codec="ogg"):
        """Origin-form of a signed URL."""
        url = self.stream(track_id, kbps, codec)["urls"][0]
        return "/" + url.split("/", 3)[3]


def seconds_of(path_or_url):
    """Duration as the container states it."""
    _, out, _ = run(["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path_or_url])
    return float(out.decode().strip())


def decoded_frames(path_or_url, more=(), timeout=120):
    """Frames per channel and their rate after a full decode by ffmpeg."""
    _, out, _ = run(["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "stream=sample_rate",
                     "-of", "csv=p=0", path_or_url], timeout=timeout)
    rate = int(out.decode().strip().strip(","))
    _, raw, _ = run(["ffmpeg", "-v", "error", "-nostdin", *more, "-i", path_or_url, "-map", "0:a:0", "-ac", "1",
                     "-f", "s16le", "-"], timeout=timeout)
    return len(raw) // 2, rate


def source_seconds(world, kind):
    """True length of a source: decoded, or for AAC, whose last frame ffmpeg before 7 does not cut, as stated."""
    file = world.music() / f"{kind}.{kind}"
    if kind == "m4a":
        return seconds_of(file)
    frames, rate = decoded_frames(file)
    return frames / rate


def cover(track):
    """Path of a track's picture, 300 pixels wide; None where it has none."""
    return next((urllib.parse.urlsplit(image["url"]).path for image in track["album"]["images"] if image["width"] == 300), None)


def environment(**more):
    return {**os.environ, **{k: str(v) for k, v in more.items()}}
