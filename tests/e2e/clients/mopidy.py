"""Mopidy with its Subsonic backend: a whole player without a screen, steered by JSON-RPC. It plays into a sink that
throws sound away, as fast as it is decoded."""

import json
import pathlib
import sys
import time
import urllib.request

from harness import Failure, environment, expect

# Debian's Python has GStreamer; the backend lies beside the virtual environment (see xtask/src/tools.rs).
PYTHON = "/usr/bin/python3"
BACKEND = pathlib.Path(sys.prefix).parent / "subidy"
START_S = 40
PLAY_S = 60

CONFIG = """
[core]
cache_dir = {folder}/cache
config_dir = {folder}/config
data_dir = {folder}/data
restore_state = false
[audio]
output = fakesink sync=false
mixer = software
[file]
enabled = false
[stream]
enabled = false
[m3u]
enabled = false
[softwaremixer]
enabled = true
[http]
enabled = true
hostname = 127.0.0.1
port = {port}
zeroconf =
[subidy]
enabled = true
url = {base}
username = {user}
password = {password}
api_version = 1.16.1
"""


class Mopidy:
    """A running Mopidy."""

    def __init__(self, world, server_class, port, base, user, password):
        folder = world.scratch / "mopidy"
        folder.mkdir(exist_ok=True)
        config = folder / "mopidy.conf"
        config.write_text(CONFIG.format(folder=folder, port=port, base=base, user=user, password=password))
        config.chmod(0o600)
        self.port = port
        self.server = server_class([PYTHON, "-m", "mopidy", "--config", config], world.scratch / "mopidy.log",
                                   env=environment(PYTHONPATH=BACKEND, PYTHONNOUSERSITE=1, XDG_RUNTIME_DIR=folder))
        world.servers.append(self.server)
        self.server.wait_for(port, START_S)

    def call(self, method, **params):
        said = {"jsonrpc": "2.0", "id": 1, "method": f"core.{method}", "params": params}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/mopidy/rpc", json.dumps(said).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer = json.loads(answer.read())
        if "error" in answer:
            raise Failure(f"{method}: {answer['error']}")
        return answer["result"]

    def play_to_the_end(self, uri):
        """Until Mopidy has heard the end of it."""
        self.call("tracklist.clear")
        added = self.call("tracklist.add", uris=[uri])
        expect(len(added) == 1, f"Mopidy does not know {uri}: {self.server.tail()}")
        self.call("tracklist.set_consume", value=True)
        self.call("playback.play", tlid=added[0]["tlid"])
        end = time.monotonic() + PLAY_S
        while time.monotonic() < end:
            # With `consume` a track leaves the list when it was played to its end, and only then.
            if self.call("playback.get_state") == "stopped" and self.call("tracklist.get_length") == 0:
                return added[0]["track"]
            time.sleep(0.2)
        raise Failure(f"{self.call('playback.get_state')} after {PLAY_S} s: {self.server.tail()}")
