"""How many instructions our server executes for one request, by protocol and size, counted by callgrind.

Run by `cargo xtask perf`. Prints `COUNT NAME INSTRUCTIONS` for each, per request of a connection that is warm, in the
build that the tests use. A count does not depend on how busy the machine is, so a gate can hold it to a few per cent.
"""

import argparse
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

import harness  # noqa: E402
from check_protocols import LoneEdge  # noqa: E402
from clients import h1, h2c, h3  # noqa: E402

# A machine that emulates every instruction takes its time.
harness.START_S = 120
PATH = "/music/counted.ogg"
SIZES = {"64KiB": 64 * 1024, "512KiB": 512 * 1024}
# Requests of one count, and counts of which the median is taken.
REQUESTS = 8
ROUNDS = 3


class Counted(harness.World):
    """Starts programs under callgrind."""

    def start(self, *args, name="server"):
        # valgrind 3.19 knows AVX2 and not AVX-512; what it says of the processor is what the program then uses, so that
        # counts are the same on machines that have more.
        # One worker: which of several takes a task would be chance.
        command = [
            "env", "TOKIO_WORKER_THREADS=1", "valgrind", "--tool=callgrind", f"--callgrind-out-file={self.scratch}/counts", "--separate-threads=no",
            "--fair-sched=yes", self.binary, *args,
        ]
        server = harness.Server(command, self.scratch / f"{name}.log")
        self.servers.append(server)
        return server


def control(server, what):
    subprocess.run(["callgrind_control", what, str(server.process.pid)], check=True, capture_output=True, timeout=60)


def count(scratch, server, act):
    """Instructions of the whole process while `act` runs."""
    control(server, "--zero")
    for old in scratch.glob("counts.*"):
        old.unlink()
    act()
    control(server, "--dump")
    files = list(scratch.glob("counts.*"))
    harness.expect(len(files) == 1, f"{len(files)} dumps instead of one: {[f.name for f in files]}")
    totals = re.search(r"^totals: (\d+)$", files[0].read_text(), re.M)
    harness.expect(totals, f"no totals in {files[0]}")
    return int(totals.group(1))


def fill(edge, target, size):
    """Everything into the cache. Emulated, the edge may be too slow for its own patience with an origin."""
    for _ in range(20):
        connection = h1.Connection(edge.port)
        try:
            status, fields, body = connection.request("GET", target, [])
            if status == 200 and len(body) == size and "hit" in dict(fields).get("cache-status", ""):
                return
        except (h1.Broken, OSError):
            pass
        finally:
            connection.close()
    raise harness.Failure("the object does not come into the cache")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, type=pathlib.Path)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    args = parser.parse_args()
    shutil.rmtree(args.scratch, ignore_errors=True)
    args.scratch.mkdir(parents=True)
    world = Counted(args.binary.resolve(), args.scratch.resolve(), None)
    data = random.Random(1).randbytes(1 << 20)
    fields = {"ETag": '"counted"', "Content-Type": "audio/ogg", "Cache-Control": "max-age=86400"}
    try:
        edge = LoneEdge(world, "instructions", {PATH: (data, fields)})
        target = edge.sign(PATH)
        fill(edge, target, len(data))
        connections = {
            "h1": h1.Connection(edge.tls_port, ca=edge.ca),
            "h2": h2c.Connection(edge.tls_port, edge.ca),
            "h3": h3.Connection(edge.tls_port, edge.ca),
        }
        for name, connection in connections.items():
            for size_name, size in SIZES.items():
                wanted = [("Range", f"bytes=0-{size - 1}")]

                def ask(times):
                    for _ in range(times):
                        status, _, body = connection.request("GET", target, wanted)
                        harness.expect(status == 206 and body == data[:size], f"{name}: {status}, {len(body)} bytes")

                ask(2)
                counts = [count(world.scratch, edge.server, lambda: ask(REQUESTS)) // REQUESTS for _ in range(ROUNDS)]
                print(f"COUNT {name}-{size_name} {int(statistics.median(counts))}", flush=True)
                print(f"    of {counts}", flush=True)
            connection.close()
        edge.close()
    finally:
        world.close()



main()
