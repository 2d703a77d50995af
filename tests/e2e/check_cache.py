"""The cache as an operator meets it: what survives a kill, what is ready before it is asked for, what goes when told to."""

import random
import signal
import time

from check_protocols import LoneEdge
from harness import check, expect, free_port, get

BLOCK = 128 * 1024
FIELDS = {"Content-Type": "audio/ogg", "ETag": '"v1"', "Cache-Control": "public, max-age=31536000, immutable"}


def noise(seed, size):
    return random.Random(seed).randbytes(size)


def tracks(count, size, prefix="/tracks"):
    return {f"{prefix}/{number:022}/1/160.ogg": (noise(number, size), dict(FIELDS)) for number in range(count)}


def url(edge, path, *claims):
    _, out, _ = edge.world.needledrop("sign", path, "--data", edge.data, *claims)
    return f"http://127.0.0.1:{edge.port}" + out.decode().strip()


def status_of(headers):
    return headers.get("Cache-Status", "")


def upstream_bytes(edge, path):
    """How many bytes the origin was asked for under a path, by its Range fields."""
    total = 0
    for method, asked, fields in edge.origin.asked:
        if method == "GET" and asked == path:
            first, last = fields["Range"].removeprefix("bytes=").split("-")
            total += int(last) - int(first) + 1
    return total


@check
def a_killed_edge_starts_with_its_cache(world):
    objects = tracks(6, 1_500_000)
    edge = LoneEdge(world, "killed-edge", objects)
    try:
        urls = {path: url(edge, path) for path in objects}
        for path in objects:
            status, _, body = get(urls[path])
            expect(status == 200 and body == objects[path][0], f"{path}: {status}, {len(body)} bytes")
        # What has been sent may still be on its way into the store.
        time.sleep(1)
        edge.server.stop(signal.SIGKILL)
        edge.origin.asked.clear()
        took = edge.restart()
        hits = 0
        for path in objects:
            status, headers, body = get(urls[path])
            expect(status == 200 and body == objects[path][0], f"after the kill {path}: {status}, {len(body)} bytes")
            hits += "; hit" in status_of(headers)
        expect(hits == len(objects), f"{hits} of {len(objects)} were hits; upstream was asked {edge.origin.asked[:3]}")
        expect(not edge.origin.asked, f"upstream was asked {edge.origin.asked[:3]}")
        return f"up again in {took:.2f} s, {hits} of {hits} objects from the cache"
    finally:
        edge.close()


@check
def a_damaged_cache_file_is_never_served(world):
    objects = tracks(4, 1_000_000)
    edge = LoneEdge(world, "damaged-edge", objects)
    try:
        urls = {path: url(edge, path) for path in objects}
        for path in objects:
            get(urls[path])
        time.sleep(1)
        edge.server.stop(signal.SIGKILL)
        slabs = sorted((edge.data / "cache").glob("slab-*"))
        slab = max(slabs, key=lambda file: file.stat().st_size)
        dice = random.Random(1)
        with open(slab, "r+b") as file:
            # One byte in each of the first 40 blocks, where the objects are.
            for block in range(40):
                at = block * BLOCK + dice.randrange(BLOCK)
                file.seek(at)
                byte = file.read(1)
                file.seek(at)
                file.write(bytes([byte[0] ^ 0x40]))
        edge.restart()
        edge.origin.asked.clear()
        for path in objects:
            status, _, body = get(urls[path])
            expect(status == 200 and body == objects[path][0], f"{path}: {status}, {len(body)} bytes, wrong or short")
        expect(edge.origin.asked, "the damaged blocks were not fetched again")
    finally:
        edge.close()


@check
def the_next_head_is_there_before_it_is_asked_for(world):
    objects = tracks(2, 2_500_000)
    first, second = objects
    edge = LoneEdge(world, "prefetching-edge", objects)
    try:
        claims = ["--pid", "P" * 22, "--dur", "200000", "--head", "600000", "--next", second, "--nhead", "600000"]
        status, _, _ = get(url(edge, first, *claims), {"Range": "bytes=0-524287"})
        expect(status == 206, f"the first track: {status}")
        until = time.monotonic() + 5
        while time.monotonic() < until and upstream_bytes(edge, second) < 600_000:
            time.sleep(0.05)
        # The answer to the prefetch may still be on its way.
        time.sleep(0.5)
        fetched = upstream_bytes(edge, second)
        expect(600_000 <= fetched <= 5 * BLOCK, f"{fetched} bytes of the next track were fetched ahead")
        edge.origin.asked.clear()
        status, headers, body = get(url(edge, second), {"Range": "bytes=0-524287"})
        expect(status == 206 and body == objects[second][0][:524288], f"the next track: {status}")
        expect("; hit" in status_of(headers) and "detail=prefetched" in status_of(headers), status_of(headers))
        status, headers, _ = get(url(edge, second), {"Range": "bytes=0-1023"})
        expect("; hit" in status_of(headers), status_of(headers))
    finally:
        edge.close()


@check
def a_miss_with_the_origin_gone_fails_within_a_second(world):
    objects = tracks(2, 700_000)
    warm, cold = objects
    edge = LoneEdge(world, "orphan-edge", objects)
    try:
        get(url(edge, warm))
        time.sleep(0.5)
        edge.origin.answering.clear()
        status, _, body = get(url(edge, warm))
        expect(status == 200 and body == objects[warm][0], f"cached music: {status}")
        began = time.monotonic()
        status, headers, body = get(url(edge, cold))
        took = time.monotonic() - began
        expect(status == 504 and headers.get("Retry-After"), f"{status} {dict(headers)}")
        expect(took < 1, f"the refusal took {took:.2f} s")
        expect(headers["Content-Type"] == "application/problem+json", headers["Content-Type"])
        return f"504 after {took * 1000:.0f} ms"
    finally:
        edge.origin.answering.set()
        edge.close()


@check
def a_second_edge_on_the_same_folder_says_so_and_exits(world):
    edge = LoneEdge(world, "sharing-edge", {})
    try:
        second = world.start(
            "edge", "--data", edge.data, "--upstream", edge.origin.base, "--listen", f"127.0.0.1:{free_port()}",
            name="sharing-edge-2",
        )
        code = second.process.wait(20)
        expect(code not in (0, None), f"it ended with {code}")
        expect("in use by another edge" in second.tail(), second.tail())
    finally:
        edge.close()

