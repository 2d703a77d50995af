"""Programs that nobody here wrote play and seek: curl, ffmpeg, ffprobe."""

import json
import struct
import urllib.parse

from harness import check, decoded_frames, environment, expect, get, run, seconds_of, source_seconds
from tap import Tap


def curl(up, url, *more):
    """HTTP version, status, body."""
    file = up.world.scratch / "curl.out"
    _, out, _ = run(["curl", "-sS", "--cacert", up.ca, "-o", file, "-w", "%{http_version} %{http_code}", *more, url])
    version, status = out.decode().split()
    return version, int(status), file.read_bytes()


@check
def curl_plays_over_http1_and_http2(world):
    up = world.up()
    target = up.target(up.track("ogg")["id"])
    _, _, whole = get(up.base + target)
    for flag, version in [("--http1.1", "1.1"), ("--http2", "2")]:
        got = curl(up, up.tls_base + target, flag)
        expect(got == (version, 200, whole), f"{flag}: HTTP/{got[0]} {got[1]}, {len(got[2])} bytes")
        got = curl(up, up.tls_base + target, flag, "-r", "1000-200999")
        expect(got == (version, 206, whole[1000:201000]), f"{flag} range: HTTP/{got[0]} {got[1]}, {len(got[2])} bytes")
        got = curl(up, up.tls_base + target, flag, "-r", "-500")
        expect(got == (version, 206, whole[-500:]), f"{flag} suffix: {got[1]}, {len(got[2])} bytes")
    got = curl(up, up.base + target, "-r", "0-1")
    expect(got == ("1.1", 206, whole[:2]), f"plain: {got[:2]}")


@check
def ffprobe_reads_length_and_tags_by_url(world):
    up = world.up()
    for kind, codec in [("wav", "ogg"), ("opus", "m4a")]:
        url = up.base + up.target(up.track(kind)["id"], 160, codec)
        _, out, _ = run(["ffprobe", "-v", "error", "-show_entries", "format=duration:format_tags=title:stream_tags=title", "-of", "json", url])
        said = json.loads(out)
        off = abs(float(said["format"]["duration"]) - seconds_of(world.music() / f"{kind}.{kind}"))
        expect(off < 0.05, f"{kind}.{codec}: {off:.3f} s off")
        expect(f"Song in {kind}" in out.decode(), f"{kind}.{codec}: no title in {out.decode()}")


@check
def ffmpeg_decodes_a_whole_track_by_url(world):
    up = world.up()
    url = up.base + up.target(up.track("mp3")["id"], 96, "m4a")
    frames, rate = decoded_frames(url)
    off = abs(frames / rate - source_seconds(world, "mp3"))
    expect(off <= 1024 / rate, f"{off * 1000:.3f} ms off, more than an AAC frame")


@check
def a_seek_in_m4a_costs_ffmpeg_one_extra_request(world):
    up = world.up()
    track = up.track("flac")
    counts = []
    for second in (1, 7, 20, 33, 44):
        with Tap(up.port) as tap:
            url = f"http://127.0.0.1:{tap.port}" + up.target(track["id"], 160, "m4a")
            _, raw, _ = run(["ffmpeg", "-v", "error", "-nostdin", "-ss", str(second), "-i", url, "-t", "0.5", "-f", "s16le", "-ac", "1", "-"])
            expect(len(raw) > 20000, f"second {second}: {len(raw)} bytes of sound")
            counts.append(len(tap.requests))
            expect(len(tap.requests) <= 2, f"second {second} took {tap.requests}")
    return f"requests per start and seek: {counts}"


def ogg_pages(data):
    """(offset, granule) of the pages in some bytes of an Ogg stream that begin at a page."""
    at, pages = 0, []
    while data[at:at + 4] == b"OggS" and at + 27 <= len(data):
        granule = struct.unpack_from("<q", data, at + 6)[0]
        lacing = data[at + 27:at + 27 + data[at + 26]]
        pages.append((at, granule))
        at += 27 + len(lacing) + sum(lacing)
    return pages


def time_index(up, track, codec, kbps):
    """Where each second begins, as the origin's manifest beside the renditions tells it."""
    manifests = [m for m in (up.data / "vault").rglob("track.json") if track["id"] in m.parts]
    expect(len(manifests) == 1, f"manifests of {track['id']}: {manifests}")
    objects = json.loads(manifests[0].read_text())["objects"]
    return next(o["time_index"] for o in objects if o["rendition"] == {"codec": codec, "kbps": kbps})


@check
def the_time_index_leads_to_any_second_with_one_request(world):
    up = world.up()
    track = up.track("flac")
    index = time_index(up, track, "vorbis", 160)
    expect(len(index) >= 44, f"{len(index)} entries for 45 s")
    target = up.target(track["id"], 160, "ogg")
    _, _, whole = get(up.base + target)
    rate = 44100
    for second in range(0, 45, 4):
        status, _, body = get(up.base + target, {"Range": f"bytes={index[second]}-"})
        expect(status == 206 and body == whole[index[second]:], f"second {second}: {status}")
        pages = ogg_pages(body)
        expect(pages, f"second {second}: no page begins at byte {index[second]}")
        before = [g for o, g in ogg_pages(whole) if o < index[second] and g > 0]
        start = (before[-1] if before else 0) / rate
        expect(start <= second + 1e-6, f"second {second}: byte {index[second]} begins at {start:.3f} s")
        expect(second - start < 2.5, f"second {second}: byte {index[second]} begins already at {start:.3f} s")


@check
def ffmpeg_seeks_in_ogg_by_url(world):
    up = world.up()
    track = up.track("flac")
    counts = []
    for second in (7, 33):
        with Tap(up.port) as tap:
            url = f"http://127.0.0.1:{tap.port}" + up.target(track["id"], 160, "ogg")
            _, raw, _ = run(["ffmpeg", "-v", "error", "-nostdin", "-ss", str(second), "-i", url, "-t", "0.5", "-f", "s16le", "-ac", "1", "-"])
            expect(len(raw) > 20000, f"second {second}: {len(raw)} bytes of sound")
            counts.append(len(tap.requests))
    return f"requests by ffmpeg's own bisection: {counts}"


@check
def urls_survive_javascript_and_python_query_rewriting(world):
    up = world.up()
    url = up.base + up.target(up.track("ogg")["id"])
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.urlencode(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    rewritten = urllib.parse.urlunsplit(parts._replace(query=query))
    expect(get(rewritten, {"Range": "bytes=0-9"})[0] == 206, f"Python: {rewritten}")
    script = "const u = new URL(process.env.U); const q = new URLSearchParams(u.search); u.search = q.toString(); console.log(u.href)"
    _, out, _ = run(["node", "-e", script], env=environment(U=url))
    rewritten = out.decode().strip()
    expect(get(rewritten, {"Range": "bytes=0-9"})[0] == 206, f"JavaScript: {rewritten}")
    script = "const u = new URL(process.env.U); u.searchParams.append('CMCD', 'br=160,ot=a,sid=\"x y\"'); console.log(u.href)"
    _, out, _ = run(["node", "-e", script], env=environment(U=url))
    expect(get(out.decode().strip(), {"Range": "bytes=0-9"})[0] == 206, f"JavaScript with CMCD: {out.decode()}")
