"""Real music in, six renditions out, all of it through the edge with signed URLs."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import time

from harness import Up, check, cover, decoded_frames, die_with_parent, environment, expect, get, run, seconds_of, source_seconds

SCRIPT = pathlib.Path(__file__).parent / "making.mjs"

KINDS = ["ogg", "flac", "mp3", "m4a", "opus", "wav"]
RENDITIONS = [(kbps, codec) for codec in ("ogg", "m4a") for kbps in (96, 160, 320)]


def tags_of(path):
    _, out, _ = run(["ffprobe", "-v", "error", "-show_entries", "format_tags:stream_tags", "-of", "json", path])
    found = json.loads(out)
    tags = dict(found.get("format", {}).get("tags", {}))
    for stream in found.get("streams", []):
        tags.update(stream.get("tags", {}))
    return {name.lower(): value for name, value in tags.items()}


@check
def six_files_become_six_tracks_named_as_tagged(world):
    items = world.up().wait_ingested(6)
    names = sorted((t["name"], t["artists"][0]["name"]) for t in items)
    expect(names == sorted((f"Song in {k}", f"The {k} Band") for k in KINDS), f"listed: {names}")
    return f"{len(items)} tracks"


@check
def every_rendition_decodes_to_the_length_of_its_source(world):
    up, folder = world.up(), world.scratch / "renditions"
    folder.mkdir(exist_ok=True)
    worst = 0.0
    for kind in KINDS:
        length = source_seconds(world, kind)
        track = up.track(kind)
        for kbps, codec in RENDITIONS:
            granted = up.stream(track["id"], kbps, codec)
            status, headers, body = get(granted["urls"][0])
            expect(status == 200, f"{kind} {kbps}.{codec}: {status}")
            expect(len(body) == granted["rendition"]["bytes"], f"{kind} {kbps}.{codec}: {len(body)} bytes")
            file = folder / f"{kind}-{kbps}.{codec}"
            file.write_bytes(body)
            got, got_rate = decoded_frames(file)
            # Compared in seconds, since a rendition may have another rate; one frame is the limit. ffmpeg before 7
            # does not cut the last AAC frame (1024 samples) where the edit list says, so there the length that the
            # container states is held to one sample as well.
            off = abs(got / got_rate - length)
            one_frame = 1024 if codec == "m4a" else 1
            expect(off <= one_frame / got_rate + 1e-6, f"{kind} {kbps}.{codec} is {off * 1000:.3f} ms off")
            off = abs(seconds_of(file) - length)
            # ffprobe states microseconds.
            expect(off <= 1.0 / got_rate + 2e-6, f"{kind} {kbps}.{codec} states {off * 1000:.3f} ms more or less")
            worst = max(worst, off)
            tags = tags_of(file)
            expect(tags.get("title") == f"Song in {kind}", f"{kind} {kbps}.{codec}: title {tags.get('title')!r}")
            expect(tags.get("artist") == f"The {kind} Band", f"{kind} {kbps}.{codec}: artist {tags.get('artist')!r}")
    return f"36 renditions, at most {worst * 1e6:.0f} µs off"


@check
def heads_and_entity_tags_are_told(world):
    up = world.up()
    granted = up.stream(up.track("flac")["id"], 160, "m4a")
    head = granted["rendition"]["head_bytes"]
    expect(0 < head < granted["rendition"]["bytes"], f"head of {head} bytes")
    status, headers, body = get(granted["urls"][0], {"Range": f"bytes=0-{head - 1}"})
    expect(status == 206 and len(body) == head, f"{status}, {len(body)} bytes")
    file = world.scratch / "head.m4a"
    file.write_bytes(body)
    # The index stands in front, so the head alone plays its 30 seconds.
    _, raw, _ = run(["ffmpeg", "-v", "quiet", "-i", file, "-t", "29.9", "-f", "s16le", "-ac", "1", "-ar", "8000", "-"], check_exit=False)
    expect(len(raw) >= 2 * 8000 * 29.5, f"the head plays {len(raw) / 16000:.1f} s")
    expect(headers["ETag"].startswith('"'), f"ETag {headers['ETag']}")
    expect("no-store" not in headers["Cache-Control"], headers["Cache-Control"])
    status, _, _ = get(granted["urls"][0], {"If-None-Match": headers["ETag"]})
    expect(status == 304, f"If-None-Match gives {status}")


@check
def the_demo_record_plays_after_a_first_start_without_music(world):
    data = world.scratch / "demo"
    up = Up(world, data, name="demo")
    try:
        began = time.monotonic()
        while not up.tracks()["items"]:
            expect(time.monotonic() - began < 120, "no demo track after two minutes")
            time.sleep(0.3)
        first = up.tracks()["items"][0]
        status, _, body = get(up.stream(first["id"], 96, "ogg")["urls"][0])
        expect(status == 200 and body[:4] == b"OggS", f"{status} {body[:4]!r}")
        expect(first["album"]["name"] == "First Drop", f"album {first['album']}")
        status, headers, art = get(up.base + cover(first))
        expect(status == 200 and headers["Content-Type"] == "image/jpeg" and art[:2] == b"\xff\xd8", f"art: {status}")
        return f"first track after {time.monotonic() - began:.1f} s"
    finally:
        up.server.stop()
        shutil.rmtree(data / "cache", ignore_errors=True)


@check
def the_player_shows_how_far_the_music_is(world):
    """One command, and the page tells how far it is and which files are none, until everything can be heard."""
    folder, data = world.scratch / "taking-in", world.scratch / "taking-in-data"
    shutil.copytree(world.music(), folder, dirs_exist_ok=True)
    (folder / "no music.flac").write_bytes(b"fLaC" + bytes(200))
    # Eight minutes, so that a page has something to watch on any machine.
    run(["ffmpeg", "-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "sine=frequency=220:duration=480", folder / "long.flac"])
    shots = world.scratch / "making"
    shots.mkdir(exist_ok=True)
    env = environment(NODE_PATH=world.node_modules, MODULES=world.node_modules)
    page = subprocess.Popen(["node", SCRIPT, shots], env=env, stdout=subprocess.PIPE, stdin=subprocess.PIPE, preexec_fn=die_with_parent)
    expect(page.stdout.readline() == b"ready\n", "the browser did not start")
    up = Up(world, data, ["--music", folder], name="taking-in")
    try:
        page.stdin.write(f"http://localhost:{up.port}\n".encode())
        page.stdin.close()
        page.stdin = None  # what communicate() would close once more
        told, end = [], time.monotonic() + 200
        while not told or told[-1]["running"]:
            expect(time.monotonic() < end, f"it does not end: {told[-1:]}")
            told.append(up.call("GET", "/v1/ingest"))
            time.sleep(0.2)
        last = told[-1]
        expect((last["found"], last["due"], last["settled"], last["made"], last["failed"]) == (8, 8, 8, 7, 1), f"{last}")
        expect(last["failures"][0]["name"] == "no music.flac" and last["failures"][0]["reason"], f"{last['failures']}")
        expect(any(said["reading"] for said in told) and not last["reading"], "what is read is not told")
        done = [said["seconds_done"] for said in told]
        expect(done == sorted(done) and len(set(done)) > 3, f"the seconds do not grow: {done[:20]}")
        out, _ = page.communicate(timeout=100)
        said = json.loads(out.decode().strip().splitlines()[-1])
        expect(not said.get("failure"), said.get("failure"))
        expect(any("of 8 files" in words for words in said["headlines"]), f"{said['headlines']}")
        # Which of them a browser that takes its time still sees being read is not said.
        names = [file.name for file in folder.iterdir()]
        expect(any(name in words for words in said["reading"] for name in names), f"{said['reading']}")
        expect(len(said["values"]) >= 2 and said["values"] == sorted(said["values"]), f"the bar goes {said['values']}")
        expect("7 tracks added, 1 file left out" in said["headlines"][-1], f"{said['headlines']}")
        expect("no music.flac" in said["failures"], f"{said['failures']}")
        expect(said["cards"] > 0, "what was made is not on the page without a reload")
        expect(not said["errors"], f"console: {said['errors']}")
        return f"{len(said['headlines'])} headlines, {len(told)} answers"
    finally:
        up.server.stop()
        shutil.rmtree(data / "cache", ignore_errors=True)


@check
def ingest_goes_on_past_a_broken_file_and_costs_nothing_the_second_time(world):
    folder, data = world.scratch / "mixed", world.scratch / "mixed-data"
    folder.mkdir(exist_ok=True)
    shutil.copy(world.music() / "mp3.mp3", folder)
    (folder / "empty.flac").write_bytes(b"")
    (folder / "broken.flac").write_bytes((world.music() / "flac.flac").read_bytes()[:5000])
    (folder / "noise.ogg").write_bytes(hashlib.sha512(b"x").digest() * 50)
    code, _, err = world.needledrop("ingest", "--data", data, folder, check_exit=False, timeout=200)
    expect(code == 1, f"exit code {code}")
    for name in ["empty.flac", "noise.ogg"]:
        expect(name in err.decode(), f"{name} is not named: {err.decode()[-300:]}")
    began = time.monotonic()
    code, out, _ = world.needledrop("ingest", "--data", data, world.scratch / "mixed/mp3.mp3")
    took = time.monotonic() - began
    expect(code == 0 and b"unchanged" in out, f"exit {code}: {out[-200:]!r}")
    expect(took < 3, f"an unchanged file took {took:.1f} s")
    leftovers = [p for p in data.rglob("*") if "tmp" in p.relative_to(data).parts and p.is_file()]
    expect(not leftovers, f"left behind: {leftovers[:3]}")
    expect(seconds_of(folder / "mp3.mp3") > 0, "the source was touched")
