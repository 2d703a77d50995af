#!/usr/bin/env python3
"""Writes the seeds: small inputs of the right shape, from which the fuzzer starts.

Nothing here is recorded from anywhere. Run it in this folder after a change of a target's input form.
"""

import pathlib
import struct

HERE = pathlib.Path(__file__).parent


def write(target, name, data):
    folder = HERE / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


# --- range: eight bytes of length, then fields one a line -------------------------------------


def fields(name, length, *lines):
    write("range", name, struct.pack("<Q", length) + "\n".join(lines).encode())


fields("probe", 300000, "bytes=0-1")
fields("open", 300000, "bytes=150000-")
fields("suffix", 300000, "bytes=-500")
fields("two", 300000, "bytes=0-1,10-11")
fields("merge", 300000, "bytes=50-59,0-9,55-70,-20")
fields("spaced", 100, "BYTES=, 0-1 ,\t4-5,")
fields("huge", 2**64 - 1, "bytes=18446744073709551614-99999999999999999999")
fields("huge-parts", 2**64 - 1, "bytes=0-0,2-4,14-,-22")
fields("reversed", 100, "bytes=5-2")
fields("empty-object", 0, "bytes=-5")
fields("nine", 100, "bytes=" + ",".join(f"{i * 2}-{i * 2}" for i in range(9)))
fields("content-range", 100, "bytes 0-99/200")
fields("content-range-star", 100, "bytes */200")
fields("if-range", 100, "bytes=0-1", '"v1"')
fields("if-range-date", 100, "bytes=0-1", "Sun, 06 Nov 1994 08:49:37 GMT")
fields("if-match", 100, "bytes=0-1", "-", '"x", "v1"')
fields("if-none-match", 100, "-", "-", "-", 'W/"v1"')
fields("dates", 100, "-", "-", "-", "-", "Sun Nov  6 08:49:37 1994", "Sunday, 06-Nov-94 08:49:37 GMT")

# --- signed_url: the signed text, what is appended, an edit, one a line ------------------------

BASE = "/tracks/0123456789ABCDEFGHIJKL/r1/160.ogg?exp=1760003600&kid=k"
RICH = (
    "&nbf=1760000000&uid=u.7_x-y&pid=ABCDEFGHIJKLMNOPQRSTUV&head=600000&dur=213000"
    "&next=L3RyYWNrcy8wMTIzNDU2Nzg5QUJDREVGR0hJSktNL3IxLzE2MC5vZ2c&nhead=610000&ip=MjAzLjAuMTEzLjAvMjQ"
)


def url(name, *lines):
    write("signed_url", name, "\n".join(lines).encode())


url("plain", BASE)
url("appended", BASE, "&CMCD=bl%3D21300&_=1", "\x05\x01x")
url("claim-after", BASE, "&%65xp=1")
url("claim-after-case", BASE, "&x=1&KID=1;sig[]=2")
url("rich", BASE + RICH, "&a=b", "\x20\x02%2e")
url("ip6", BASE + "&ip=MjAwMTpkYjg6Oi81Ng")
url("duplicate", BASE + "&dur=1&dur=1")
url("dots", "/a/../b?exp=1760003600&kid=k")
url("edit", "/a?exp=1760003600&kid=k", "", "\x03\x01%61")
url("far-end", "/a?exp=253402300799&kid=k")

# --- cmcd: the text of a CMCD-Request field ----------------------------------------------------


def cmcd(name, text):
    write("cmcd", name, text.encode())


cmcd("version-1", 'bl=21300,dl=18500,mtp=48100,nor="..%2Fb%2F160.ogg",nrr="0-524287",su')
cmcd("version-2", 'br=(160;v 320);q=1,nor=("../b/160.ogg";r="0-524287" "c.ogg"),sid="x\\"y",v=2,ts=@1700000000')
cmcd("one-item", 'nor="/t/b/160.ogg";r="7-"')
cmcd("suffix", 'nrr="-500",nor="../b/160.ogg"')
cmcd("signed", 'nor="../c/160.ogg?exp=1760000600&kid=k&sig=0123456789012345678901234567890123456789012"')
cmcd("elsewhere", 'nor="//evil.example/t/b/160.ogg"')
cmcd("dots", 'nor="../../../../t/b/./../b/160.ogg"')
cmcd("twice", 'nor="a",nor=("b" "c" "d" "e" "f")')

# --- ogg: one byte of slicing, then the object -------------------------------------------------


def page(flags, granule, serial, sequence, packets, ends=True):
    """Packets of less than 255 bytes each; without `ends` the last one goes on in the next page."""
    lacing = [len(packet) for packet in packets]
    body = b"".join(packets)
    if not ends:
        lacing[-1] = 255
        body += bytes(255 - len(packets[-1]))
    head = b"OggS\0" + bytes([flags]) + struct.pack("<qIII", granule, serial, sequence, 0)
    return head + bytes([len(lacing)]) + bytes(lacing) + body


VORBIS = b"\x01vorbis" + struct.pack("<IBIIII", 0, 2, 44100, 0, 160000, 0) + b"\xb8\x01"
OPUS = b"OpusHead" + struct.pack("<BBHIHB", 1, 2, 312, 48000, 0, 0)


def vorbis(last_flags=4, pages=3):
    parts = [page(2, 0, 7, 0, [VORBIS]), page(0, 0, 7, 1, [b"\x03vorbis", b"\x05vorbis"])]
    for number in range(pages):
        flags = last_flags if number == pages - 1 else 0
        parts.append(page(flags, 22050 * (number + 1), 7, 2 + number, [b"\0" * 20, b"\0" * 30]))
    return b"".join(parts)


def ogg(name, data, slicing=0):
    write("ogg", name, bytes([slicing]) + data)


ogg("vorbis", vorbis())
ogg("vorbis-in-slices", vorbis(), 3)
ogg("vorbis-long", b"".join([vorbis(0, 1), *(page(0, 44100 * 8 * n, 7, 3 + n, [b"\0" * 9]) for n in range(1, 6)), page(4, 44100 * 50, 7, 9, [b"\0"])]))
ogg("vorbis-no-end", vorbis(0))
ogg("vorbis-cut", vorbis()[:-11])
ogg("opus", page(2, 0, 9, 0, [OPUS]) + page(0, 0, 9, 1, [b"OpusTags"]) + page(0, 48000, 9, 2, [b"\xfc" * 50]) + page(4, 96312, 9, 3, [b"\xfc" * 50]))
ogg("continued", page(2, 0, 7, 0, [VORBIS]) + page(0, 0, 7, 1, [b"\x03vorbis", b"\x05vorbis"]) + page(0, -1, 7, 2, [b"\0" * 9], ends=False) + page(1 | 4, 44100, 7, 3, [b"\0" * 5]))
ogg("two-streams", page(2, 0, 5, 0, [b"fishead\0"]) + vorbis())

# --- mp4: one byte that is not used, then the object -------------------------------------------


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full(kind, *parts, version=0):
    return box(kind, struct.pack(">I", version << 24), *parts)


def words(*values):
    return struct.pack(f">{len(values)}I", *values)


def moov(offsets, sizes, long_offsets=False, edits=b"", fixed=0, smpb=b""):
    samples = len(sizes)
    stbl = box(
        b"stbl",
        full(b"stsd", words(1), box(b"mp4a", bytes(28))),
        full(b"stts", words(1, samples, 1024)),
        full(b"stsc", words(2, 1, samples // len(offsets), 1, len(offsets), samples - samples // len(offsets) * (len(offsets) - 1), 1)),
        full(b"stsz", words(fixed, samples), b"" if fixed else words(*sizes)),
        full(b"co64", words(len(offsets)), struct.pack(f">{len(offsets)}Q", *offsets)) if long_offsets else full(b"stco", words(len(offsets), *offsets)),
    )
    mdia = box(b"mdia", full(b"mdhd", words(0, 0, 44100, samples * 1024, 0)), full(b"hdlr", words(0), b"soun", bytes(13)), box(b"minf", full(b"smhd", words(0)), stbl))
    return box(b"moov", full(b"mvhd", words(0, 0, 1000, samples * 23), bytes(80)), box(b"trak", full(b"tkhd", bytes(80)), edits, mdia), smpb)


def m4a(sizes, chunks=2, front=True, **how):
    ftyp = box(b"ftyp", b"M4A ", words(0), b"M4A ")
    per_chunk = len(sizes) // chunks
    data = bytes(sum(sizes))

    def offsets(start):
        return [start + sum(sizes[: per_chunk * chunk]) for chunk in range(chunks)]

    if not front:
        return ftyp + box(b"mdat", data) + moov(offsets(len(ftyp) + 8), sizes, **how)
    size = len(moov(offsets(0), sizes, **how))
    return ftyp + moov(offsets(len(ftyp) + size + 8), sizes, **how) + box(b"mdat", data)


def mp4(name, data):
    write("mp4", name, b"\0" + data)


SIZES = [10, 12, 9, 11, 10, 8]
EDITS = box(b"edts", full(b"elst", words(1, 100, 1024, 0x10000)))
SMPB = b" 00000000 00000400 00000100 0000000000001300" + b" 00000000" * 8
ITUN = box(b"udta", full(b"meta", box(b"ilst", box(b"----", full(b"mean", b"com.apple.iTunes"), full(b"name", b"iTunSMPB"), box(b"data", words(1, 0), SMPB)))))
mp4("front", m4a(SIZES))
mp4("behind", m4a(SIZES, front=False))
mp4("long-offsets", m4a(SIZES, long_offsets=True))
mp4("edits", m4a(SIZES, edits=EDITS))
mp4("itunes-gapless", m4a(SIZES, smpb=ITUN))
mp4("fixed-size", m4a([10] * 6, fixed=10))
mp4("many", m4a([1] * 200, chunks=4))
mp4("cut", m4a(SIZES)[:-20])
mp4("no-moov", box(b"ftyp", b"M4A ", words(0)) + box(b"mdat", bytes(20)))
mp4("to-the-end", box(b"ftyp", b"M4A ", words(0)) + words(0) + b"mdat" + bytes(9))
mp4("long-box", box(b"ftyp", b"M4A ", words(0)) + words(1) + b"free" + struct.pack(">Q", 16) + m4a(SIZES)[20:])


# --- feed: the bytes of a feed -----------------------------------------------------------------

ITEM = (b"<item><title>One &amp; only</title><guid>1</guid><enclosure url='https://a.example/1.mp3' length='9' type='audio/mpeg'/>"
        b"<pubDate>Tue, 03 Jun 2003 09:39:21 GMT</pubDate><itunes:duration>1:02:03</itunes:duration></item>")
HEAD = b"<?xml version='1.0'?><rss xmlns:itunes='http://www.itunes.com/dtds/podcast-1.0.dtd'><channel><title>T</title>"
write("feed", "rss", HEAD + b"<description><![CDATA[<p>x<br>y</p>]]></description>" + ITEM + b"</channel></rss>")
write("feed", "latin", b"<?xml version='1.0' encoding='ISO-8859-1'?><rss><channel><title>\xe4\x80</title></channel></rss>")
write("feed", "utf16", "<rss><channel><title>\u00e4</title></channel></rss>".encode("utf-16"))
write("feed", "laughs", b"<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><rss><channel><title>&b;</title></channel></rss>")
write("feed", "atom", b"<feed xmlns='http://www.w3.org/2005/Atom'><title>T</title><entry><id>1</id><title>E</title>"
      b"<link rel='enclosure' href='https://a.example/1.ogg'/><updated>2003-12-13T18:30:02Z</updated></entry></feed>")
