"""What RFC 9113 and RFC 7541 ask of a server, one condition a row."""

import struct

from .frames import *  # the vocabulary of the rows
from .frames import Peer  # noqa: F401
from .table import Table

table = Table()
row = table.row

BIG = 2**31 - 1

# The library h2 ends the connection, as it must, but with PROTOCOL_ERROR where the standard has a more telling code; its
# public interface has no say in it.
GENERIC = ("GOAWAY 1 came", "the connection ends; h2 says PROTOCOL_ERROR for it, and lets nobody choose")


def u32(value):
    return struct.pack(">I", value)


def literal(name, value):
    """A field line of RFC 7541 6.2.2, without indexing, name and value without Huffman."""
    return b"\x00" + string(name) + string(value)


def block(peer, *more):
    """A request head of literals only, which may hold what no encoder would write."""
    lines = [b"\x82\x87", literal(b":authority", peer.authority.encode()), b"\x04" + string(peer.target.encode())]
    return b"".join(lines) + b"".join(literal(name, value) for name, value in more)


def string(text):
    """A string behind its length, without Huffman (RFC 7541 5.1, 5.2)."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, out = len(text) - 127, b"\x7f"
    while rest >= 128:
        out, rest = out + bytes([rest % 128 + 128]), rest // 128
    return out + bytes([rest]) + text


def head(payload, flags=END_HEADERS | END_STREAM, stream=1):
    return frame(HEADERS, flags, stream, payload)


def with_field(name, value):
    return lambda p: p.send(head(block(p, (name, value))))


def fields(*names):
    """A request of these pseudo-header and other fields, `:path` and `:authority` filled in."""

    def act(p):
        filled = {":method": "GET", ":scheme": "https", ":authority": p.authority, ":path": p.target}
        p.request(1, fields=[(n, filled[n]) if isinstance(n, str) else n for n in names])

    return act


GOOD = (":method", ":scheme", ":authority", ":path")

# --- RFC 9113 3.4: the preface -------------------------------------------------------------------------------------
row("9113 3.4", "a preface of another protocol", lambda p: None, ended, preface=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", first=None)
row("9113 3.4", "the preface with one byte changed", lambda p: None, ended, preface=PREFACE.replace(b"SM", b"SX"), first=None)
row("9113 3.4", "a PING before SETTINGS", lambda p: p.send(frame(PING, 0, 0, bytes(8)) + bytes(64)), ended, first=None)


def first_frames(p):
    got = p.next_frame()
    assert type(got).__name__ == "SettingsFrame" and "ACK" not in got.flags, f"{got} came first"


row("9113 3.4", "only the preface", lambda p: (p.send(PREFACE + settings()), first_frames(p)), as_told, preface=None, first=None)


def at_once(p):
    p.send(PREFACE + settings())
    p.request(1, [("range", "bytes=0-9")])
    p.send(frame(SETTINGS, ACK, 0))


row("9113 3.4", "a request right behind SETTINGS, before any of the server's frames", at_once, status(1, 206), preface=None, first=None)

# --- 4.1, 4.2, 5.5: frames -----------------------------------------------------------------------------------------
row("9113 4.1", "a frame of unknown type on the connection", lambda p: p.send(frame(0x16, 0, 0, b"x" * 8)), goes_on(1))
row("9113 4.1", "a frame of unknown type on an idle stream", lambda p: p.send(frame(0xFA, 0xFF, 1, b"x" * 8)), goes_on(3))
row("9113 4.1", "undefined flags", lambda p: p.send(frame(PING, 0xF6, 0, b"undefine")), ponged(b"undefine"))
row("9113 4.1", "the reserved bit of the stream set", lambda p: p.send(frame(PING, 0, 0x8000_0000, b"reserved")), ponged(b"reserved"))
row("9113 4.2", "DATA longer than SETTINGS_MAX_FRAME_SIZE", lambda p: (p.request(1, end=False), p.send(frame(DATA, 0, 1, bytes(16385)))), reset(1, FRAME_SIZE_ERROR))
row("9113 4.2", "HEADERS longer than SETTINGS_MAX_FRAME_SIZE", lambda p: p.send(head(bytes(16385))), goaway(FRAME_SIZE_ERROR))
row("9113 4.2", "an unknown frame longer than SETTINGS_MAX_FRAME_SIZE", lambda p: p.send(frame(0x16, 0, 0, bytes(16385))), goaway(FRAME_SIZE_ERROR))

# --- 4.3, 6.2, 6.10: field blocks ----------------------------------------------------------------------------------
row("9113 4.3", "a field block that does not decode", lambda p: p.send(head(b"\xff\xff\xff\xff\xff\xff\xff")), goaway(COMPRESSION_ERROR), known=GENERIC)


def in_pieces(p):
    whole = p.block_of(("range", "bytes=0-9"))
    p.send(frame(HEADERS, END_STREAM, 1, whole[:5]) + frame(CONTINUATION, 0, 1, whole[5:9]) + frame(CONTINUATION, END_HEADERS, 1, whole[9:]))


def begun(p):
    p.send(frame(HEADERS, END_STREAM, 1, p.block_of()[:5]))


row("9113 6.10", "a field block in three frames", in_pieces, status(1, 206))
row("9113 6.10", "PING between HEADERS and CONTINUATION", lambda p: (begun(p), p.send(frame(PING, 0, 0, bytes(8)))), goaway(PROTOCOL_ERROR))
row("9113 6.10", "DATA between HEADERS and CONTINUATION", lambda p: (begun(p), p.send(frame(DATA, 0, 1, b"x"))), goaway(PROTOCOL_ERROR))
row("9113 6.10", "an unknown frame between HEADERS and CONTINUATION", lambda p: (begun(p), p.send(frame(0x16, 0, 0, b"x"))), goaway(PROTOCOL_ERROR))
row("9113 6.10", "CONTINUATION of another stream", lambda p: (begun(p), p.send(frame(CONTINUATION, END_HEADERS, 3, b"\x82"))), goaway(PROTOCOL_ERROR))
row("9113 6.10", "HEADERS of another stream before CONTINUATION", lambda p: (begun(p), p.send(head(b"\x82", stream=3))), goaway(PROTOCOL_ERROR))
row("9113 6.10", "CONTINUATION with nothing before it", lambda p: p.send(frame(CONTINUATION, END_HEADERS, 1, b"\x82")), goaway(PROTOCOL_ERROR))
row("9113 6.10", "CONTINUATION behind END_HEADERS", lambda p: (p.request(1, end=False), p.send(frame(CONTINUATION, END_HEADERS, 1, b"\x82"))), goaway(PROTOCOL_ERROR))
row("9113 6.10", "CONTINUATION on stream 0", lambda p: p.send(frame(CONTINUATION, END_HEADERS, 0, b"\x82")), goaway(PROTOCOL_ERROR))
row("9113 6.2", "HEADERS on stream 0", lambda p: p.send(head(b"\x82", stream=0)), goaway(PROTOCOL_ERROR))
row("9113 6.2", "padding longer than HEADERS", lambda p: p.send(head(b"\xff" + p.block_of(), END_HEADERS | END_STREAM | PADDED)), goaway(PROTOCOL_ERROR))
row("9113 6.2", "padded HEADERS with priority", lambda p: p.send(head(b"\x05" + u32(0) + b"\x0f" + p.block_of(("range", "bytes=0-9")) + bytes(5), END_HEADERS | END_STREAM | PADDED | PRIORITY_FLAG)), status(1, 206))

# --- 5.1: stream states --------------------------------------------------------------------------------------------


def answered(p, stream=1):
    """A whole exchange, so that the stream is closed."""
    p.request(stream, [("range", "bytes=0-9")])
    _, is_ended = p.body_frames(stream)
    assert is_ended, "no answer"


def half_closed(p):
    """Its request is over, its answer waits for a window that stays shut."""
    p.send(settings((INITIAL_WINDOW_SIZE, 0)))
    p.request(1)
    p.status_of(p.wait_for("HeadersFrame", 1))


row("9113 5.1", "DATA on an idle stream", lambda p: p.send(frame(DATA, END_STREAM, 1, b"x")), goaway(PROTOCOL_ERROR, STREAM_CLOSED))
row("9113 5.1", "RST_STREAM on an idle stream", lambda p: p.send(frame(RST_STREAM, 0, 1, u32(CANCEL))), goaway(PROTOCOL_ERROR))
row("9113 5.1", "WINDOW_UPDATE on an idle stream", lambda p: p.send(frame(WINDOW_UPDATE, 0, 1, u32(1))), goaway(PROTOCOL_ERROR))
row("9113 5.1", "PRIORITY on an idle stream", lambda p: p.send(frame(PRIORITY, 0, 5, u32(0) + b"\x01")), goes_on(1))
row("9113 5.1", "DATA on a half-closed stream", lambda p: (half_closed(p), p.send(frame(DATA, END_STREAM, 1, b"x"))), reset(1, STREAM_CLOSED), known=GENERIC)
row("9113 5.1", "HEADERS on a half-closed stream", lambda p: (half_closed(p), p.request(1)), reset(1, STREAM_CLOSED), known=GENERIC)
row("9113 5.1", "WINDOW_UPDATE on a half-closed stream", lambda p: (half_closed(p), p.send(frame(WINDOW_UPDATE, 0, 1, u32(1)))), lambda p: None if p.body_frames(1, quiet=2)[0] else "no DATA came")
row("9113 5.1", "DATA on a closed stream", lambda p: (answered(p), p.send(frame(DATA, END_STREAM, 1, b"x"))), reset(1, STREAM_CLOSED))
row("9113 5.1", "HEADERS on a closed stream", lambda p: (answered(p), p.request(1)), reset(1, STREAM_CLOSED, PROTOCOL_ERROR))
row("9113 5.1", "WINDOW_UPDATE on a closed stream", lambda p: (answered(p), p.send(frame(WINDOW_UPDATE, 0, 1, u32(1)))), goes_on(3))
row("9113 5.1", "RST_STREAM on a closed stream", lambda p: (answered(p), p.send(frame(RST_STREAM, 0, 1, u32(CANCEL)))), goes_on(3))
row("9113 5.1", "HEADERS on a stream that the client has reset", lambda p: (half_closed(p), p.send(frame(RST_STREAM, 0, 1, u32(CANCEL))), p.request(1)), reset(1, STREAM_CLOSED, PROTOCOL_ERROR))
row("9113 5.1.1", "HEADERS on an even stream", lambda p: p.request(2), goaway(PROTOCOL_ERROR))
row("9113 5.1.1", "HEADERS on a lower stream than before", lambda p: (answered(p, 5), p.request(3)), goaway(PROTOCOL_ERROR, STREAM_CLOSED))


def too_many(p):
    """One stream more than SETTINGS_MAX_CONCURRENT_STREAMS, all waiting for a window."""
    p.send(settings((INITIAL_WINDOW_SIZE, 0)))
    for n in range(p.server_settings[MAX_CONCURRENT_STREAMS] + 1):
        p.request(1 + 2 * n)
    p.send(frame(PING, 0, 0, bytes(8)))


def refused(p):
    """Only the one too many is refused, as one that may be tried again."""
    last = 1 + 2 * p.server_settings[MAX_CONCURRENT_STREAMS]
    got = p.wait_for("RstStreamFrame")
    return None if (got.stream_id, got.error_code) in ((last, REFUSED_STREAM), (last, PROTOCOL_ERROR)) else f"{got} came"


row("9113 5.1.2", "one stream more than allowed", too_many, refused)

# --- 5.3, 6.3: priority, of the past ---------------------------------------------------------------------------------
row("9113 5.3.2", "PRIORITY in which a stream waits for itself", lambda p: p.send(frame(PRIORITY, 0, 3, u32(3) + b"\x01")), lambda p: priority_is_harmless(p))
row("9113 6.3", "PRIORITY on stream 0", lambda p: p.send(frame(PRIORITY, 0, 0, u32(1) + b"\x01")), goaway(PROTOCOL_ERROR))
row("9113 6.3", "PRIORITY of 4 bytes", lambda p: (half_closed(p), p.send(frame(PRIORITY, 0, 1, u32(0)))), reset(1, FRAME_SIZE_ERROR), known=GENERIC)


def priority_is_harmless(p):
    """RFC 9113 leaves the signal out; RFC 7540 5.3.1 asked for a reset of that stream. The connection goes on."""
    p.request(5, [("range", "bytes=0-9")])
    for got in p.frames():
        if type(got).__name__ == "GoAwayFrame":
            return f"GOAWAY {got.error_code} came"
        if type(got).__name__ == "HeadersFrame" and got.stream_id == 5:
            return None
    return "no answer"


# --- 6.1: DATA -----------------------------------------------------------------------------------------------------
row("9113 6.1", "DATA on stream 0", lambda p: p.send(frame(DATA, 0, 0, b"x")), goaway(PROTOCOL_ERROR))
row("9113 6.1", "padding longer than DATA", lambda p: (p.request(1, end=False, method="POST"), p.send(frame(DATA, END_STREAM | PADDED, 1, b"\x06abc"))), goaway(PROTOCOL_ERROR))
row("9113 6.1", "padded DATA", lambda p: (p.request(1, end=False), p.send(frame(DATA, END_STREAM | PADDED, 1, b"\x03" + bytes(3)))), goes_on(3))

# --- 6.4: RST_STREAM -----------------------------------------------------------------------------------------------
row("9113 6.4", "RST_STREAM on stream 0", lambda p: p.send(frame(RST_STREAM, 0, 0, u32(CANCEL))), goaway(PROTOCOL_ERROR))
row("9113 6.4", "RST_STREAM of 3 bytes", lambda p: (half_closed(p), p.send(frame(RST_STREAM, 0, 1, b"abc"))), goaway(FRAME_SIZE_ERROR), known=GENERIC)
row("9113 6.4", "RST_STREAM with an unknown code (7)", lambda p: (half_closed(p), p.send(frame(RST_STREAM, 0, 1, u32(0xDEAD)))), lambda p: quiet_then_on(p))


def quiet_then_on(p):
    """Nothing more comes of a stream that was reset, and others go on."""
    p.send(settings((INITIAL_WINDOW_SIZE, 65535)))
    p.request(3, [("range", "bytes=0-9")])
    for got in p.frames():
        if type(got).__name__ == "DataFrame" and got.stream_id == 1:
            return "DATA of the reset stream came"
        if type(got).__name__ == "DataFrame" and got.stream_id == 3:
            return None
    return told(p)


# --- 6.5: SETTINGS -------------------------------------------------------------------------------------------------
row("9113 6.5", "SETTINGS ACK with a payload", lambda p: p.send(frame(SETTINGS, ACK, 0, bytes(6))), goaway(FRAME_SIZE_ERROR), known=GENERIC)
row("9113 6.5", "SETTINGS on a stream", lambda p: p.send(frame(SETTINGS, 0, 1)), goaway(PROTOCOL_ERROR))
row("9113 6.5", "SETTINGS of 5 bytes", lambda p: p.send(frame(SETTINGS, 0, 0, bytes(5))), goaway(FRAME_SIZE_ERROR), known=GENERIC)
row("9113 6.5.2", "SETTINGS_ENABLE_PUSH = 2", lambda p: p.send(settings((ENABLE_PUSH, 2))), goaway(PROTOCOL_ERROR))
row("9113 6.5.2", "SETTINGS_INITIAL_WINDOW_SIZE above 2^31 - 1", lambda p: p.send(settings((INITIAL_WINDOW_SIZE, 2**31))), goaway(FLOW_CONTROL_ERROR), known=GENERIC)
row("9113 6.5.2", "SETTINGS_MAX_FRAME_SIZE below 16,384", lambda p: p.send(settings((MAX_FRAME_SIZE, 16383))), goaway(PROTOCOL_ERROR))
row("9113 6.5.2", "SETTINGS_MAX_FRAME_SIZE above 2^24 - 1", lambda p: p.send(settings((MAX_FRAME_SIZE, 2**24))), goaway(PROTOCOL_ERROR))
row("9113 6.5.2", "an unknown setting", lambda p: p.send(settings((0xFACE, 7))), acknowledged())
row("9113 6.5.3", "two SETTINGS frames", lambda p: p.send(settings((MAX_CONCURRENT_STREAMS, 5)) + settings((MAX_CONCURRENT_STREAMS, 7))), acknowledged(2))
row("9113 6.5.3", "one SETTINGS frame with the same setting twice: the last counts", lambda p: (p.send(settings((INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 5))), p.request(1)), lambda p: exactly(p, 1, 5))

# --- 6.6: PUSH_PROMISE ---------------------------------------------------------------------------------------------
row("9113 6.6", "PUSH_PROMISE from a client", lambda p: p.send(frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + p.block_of())), goaway(PROTOCOL_ERROR))

# --- 6.7: PING -----------------------------------------------------------------------------------------------------
row("9113 6.7", "PING", lambda p: p.send(frame(PING, 0, 0, b"needle!!")), ponged(b"needle!!"))
row("9113 6.7", "PING ACK that nobody asked for", lambda p: p.send(frame(PING, ACK, 0, b"needle!!")), goes_on(1))
row("9113 6.7", "PING on a stream", lambda p: p.send(frame(PING, 0, 1, bytes(8))), goaway(PROTOCOL_ERROR))
row("9113 6.7", "PING of 6 bytes", lambda p: p.send(frame(PING, 0, 0, bytes(6))), goaway(FRAME_SIZE_ERROR), known=GENERIC)

# --- 6.8: GOAWAY ---------------------------------------------------------------------------------------------------
row("9113 6.8", "GOAWAY on a stream", lambda p: p.send(frame(GOAWAY, 0, 1, u32(0) + u32(0))), goaway(PROTOCOL_ERROR))
row("9113 6.8", "GOAWAY behind a request: the answer still comes", lambda p: (p.request(1, [("range", "bytes=0-9")]), p.send(frame(GOAWAY, 0, 0, u32(0) + u32(0)))), status(1, 206))

# --- 5.2, 6.9: flow control ----------------------------------------------------------------------------------------


def exactly(p, stream, count):
    """So many bytes of the body come, and then silence."""
    lengths, _ = p.body_frames(stream, quiet=QUIET_S)
    return None if sum(lengths) == count else f"{sum(lengths)} bytes came"


def window(p, size):
    p.send(settings((INITIAL_WINDOW_SIZE, size)))


def update(p, stream, by):
    p.send(frame(WINDOW_UPDATE, 0, stream, u32(by)))


def took(p, count):
    why = exactly(p, 1, count)
    assert why is None, why


row("9113 6.9", "WINDOW_UPDATE of 0 on the connection", lambda p: update(p, 0, 0), goaway(PROTOCOL_ERROR))
row("9113 6.9", "WINDOW_UPDATE of 0 on a stream", lambda p: (half_closed(p), update(p, 1, 0)), reset(1, PROTOCOL_ERROR))
row("9113 6.9", "WINDOW_UPDATE of 3 bytes", lambda p: p.send(frame(WINDOW_UPDATE, 0, 0, b"abc")), goaway(FRAME_SIZE_ERROR), known=GENERIC)
row("9113 6.9.1", "the connection's window above 2^31 - 1", lambda p: (update(p, 0, BIG), update(p, 0, BIG)), goaway(FLOW_CONTROL_ERROR))
row("9113 6.9.1", "a stream's window above 2^31 - 1", lambda p: (half_closed(p), update(p, 1, BIG), update(p, 1, BIG)), reset(1, FLOW_CONTROL_ERROR))
row("9113 6.9.1", "a window of one byte", lambda p: (window(p, 1), p.request(1)), lambda p: exactly(p, 1, 1))
row("9113 6.9.1", "the connection's window of 65,535 bytes", lambda p: (window(p, 10**6), p.request(1)), lambda p: exactly(p, 1, 65535))
row("9113 6.9.2", "SETTINGS_INITIAL_WINDOW_SIZE raised in the middle of a stream", lambda p: (window(p, 10), p.request(1), took(p, 10), window(p, 30)), lambda p: exactly(p, 1, 20))
row("9113 6.9.2", "SETTINGS_INITIAL_WINDOW_SIZE lowered: a window of -90 takes 100 to be 10", lambda p: (window(p, 100), p.request(1), took(p, 100), window(p, 10), update(p, 1, 100)), lambda p: exactly(p, 1, 10))
row("9113 6.9.2", "SETTINGS that takes a stream's window above 2^31 - 1", lambda p: (half_closed(p), update(p, 1, BIG - 1), window(p, BIG)), goaway(FLOW_CONTROL_ERROR))


def flood(p):
    """More DATA than the stream's window, on a stream that may bring a body."""
    p.request(1, end=False, method="POST")
    for _ in range(40):
        p.send(frame(DATA, 0, 1, bytes(16384)))


row("9113 6.9.1", "DATA beyond the windows that we gave", flood, lambda p: stopped(p))


def stopped(p):
    """The refusal of the POST may be told first; then the sender is stopped."""
    for got in p.frames():
        if type(got).__name__ in ("RstStreamFrame", "GoAwayFrame"):
            return None if got.error_code in (FLOW_CONTROL_ERROR, NO_ERROR, CANCEL) else f"{got} came"
    return told(p)




def largest(p, limit):
    p.send(frame(WINDOW_UPDATE, 0, 0, u32(10**6)))
    p.send(settings((INITIAL_WINDOW_SIZE, 10**6), (MAX_FRAME_SIZE, limit)))
    p.request(1)
    lengths, is_ended = p.body_frames(1)
    assert is_ended and max(lengths) <= limit, f"frames of up to {max(lengths)} bytes came"


row("9113 4.2", "SETTINGS_MAX_FRAME_SIZE = 16,384: no longer frame comes", lambda p: largest(p, 16384), as_told)
row("9113 4.2", "SETTINGS_MAX_FRAME_SIZE = 32,768: no longer frame comes", lambda p: largest(p, 32768), as_told)

# --- 8: requests ---------------------------------------------------------------------------------------------------
row("9113 8.1", "trailers without END_STREAM", lambda p: (p.request(1, end=False, method="POST"), p.send(frame(HEADERS, END_HEADERS, 1, p.encoder.encode([("x-trailer", "1")])))), malformed())
row("9113 8.1", "trailers with a pseudo-header field", lambda p: (p.request(1, end=False, method="POST"), p.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, p.encoder.encode([(":method", "GET")])))), malformed())
row("9113 8.1", "trailers behind a body", lambda p: (p.request(1, end=False), p.send(frame(DATA, 0, 1, b"x")), p.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, p.encoder.encode([("x-trailer", "1")])))), goes_on(3))
row("9113 8.1.1", "content-length: 5 and no body", lambda p: p.request(1, [("content-length", "5")]), malformed())
row("9113 8.1.1", "content-length: 5 and 3 bytes", lambda p: (p.request(1, [("content-length", "5")], end=False, method="POST"), p.send(frame(DATA, END_STREAM, 1, b"abc"))), malformed())
row("9113 8.1.1", "content-length: 2 and 3 bytes", lambda p: (p.request(1, [("content-length", "2")], end=False, method="POST"), p.send(frame(DATA, END_STREAM, 1, b"abc"))), malformed())
row("9113 8.1.1", "content-length that is no number", lambda p: p.request(1, [("content-length", "abc")]), malformed())
row("9113 8.2.1", "a field name with a capital", with_field(b"X-Capital", b"1"), malformed())
row("9113 8.2.1", "a field name with a space", with_field(b"x space", b"1"), malformed())
row("9113 8.2.1", "a field name with a colon in the middle", with_field(b"x:colon", b"1"), malformed())
row("9113 8.2.1", "an empty field name", with_field(b"", b"1"), malformed())
row("9113 8.2.1", "NUL in a value", with_field(b"x-value", b"a\x00b"), malformed())
row("9113 8.2.1", "CR LF in a value", with_field(b"x-value", b"a\r\nb: c"), malformed())
row("9113 8.2.2", "connection", with_field(b"connection", b"keep-alive"), malformed())
row("9113 8.2.2", "keep-alive", with_field(b"keep-alive", b"5"), malformed())
row("9113 8.2.2", "proxy-connection", with_field(b"proxy-connection", b"close"), malformed())
row("9113 8.2.2", "transfer-encoding", with_field(b"transfer-encoding", b"chunked"), malformed())
row("9113 8.2.2", "upgrade", with_field(b"upgrade", b"websocket"), malformed())
row("9113 8.2.2", "te: gzip", with_field(b"te", b"gzip"), malformed())
row("9113 8.2.2", "te: trailers", lambda p: p.request(1, [("te", "trailers"), ("range", "bytes=0-9")]), status(1, 206))
row("9113 8.2.3", "a cookie in two fields", lambda p: p.request(1, [("cookie", "a=1"), ("cookie", "b=2"), ("range", "bytes=0-9")]), status(1, 206))
row("9113 8.3", "an unknown pseudo-header field", fields(*GOOD, (":needle", "drop")), malformed())
row("9113 8.3", "the pseudo-header field of an answer", fields(*GOOD, (":status", "200")), malformed())
row("9113 8.3", "a pseudo-header field behind another field", fields(":method", ":scheme", ":authority", ("x-field", "1"), ":path"), malformed())
for name in GOOD:
    row("9113 8.3", f"{name} twice", fields(*GOOD, name), malformed())
for name in (":method", ":scheme", ":path"):
    row("9113 8.3.1", f"no {name}", fields(*(n for n in GOOD if n != name)), malformed())
row("9113 8.3.1", "an empty :path", fields(":method", ":scheme", ":authority", (":path", "")), malformed())
row("9113 8.3.1", ":path without a slash", fields(":method", ":scheme", ":authority", (":path", "tracks")), malformed())
row("9113 8.3.1", ":authority and Host that differ", fields(*GOOD, ("host", "elsewhere.example")), malformed())
row("9113 8.3.1", "neither :authority nor Host", fields(":method", ":scheme", ":path"), malformed())
row("9113 8.3.1", ":authority with user information", fields(":method", ":scheme", (":authority", "me@localhost"), ":path"), malformed())
row("9113 8.3.1", "OPTIONS of *", lambda p: p.request(1, method="OPTIONS", target="*"), status(1, 200, 204, 400, 404))
row("9113 8.5", "CONNECT with :scheme and :path", lambda p: p.request(1, method="CONNECT"), lambda p: connect_is_refused(p))
row("9113 8.5", "CONNECT", fields((":method", "CONNECT"), ":authority"), lambda p: connect_is_refused(p))


def connect_is_refused(p):
    for got in p.frames():
        kind = type(got).__name__
        if kind == "RstStreamFrame":
            return None
        if kind == "HeadersFrame":
            came = p.status_of(got)
            return None if came >= 400 else f"status {came} came"
    return told(p)


# --- RFC 7541: HPACK -----------------------------------------------------------------------------------------------


def compressed(payload):
    """These bytes in place of a field block's end."""
    return lambda p: p.send(head(block(p) + payload))


row("7541 2.3.3", "an index beyond both tables", compressed(b"\xfe"), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 6.1", "index 0", compressed(b"\x80"), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 2.3.3", "a literal whose name has an index beyond both tables", compressed(b"\x7e\x01x"), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 4.2", "a table size update behind a field", compressed(b"\x20"), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 6.3", "a table size update above SETTINGS_HEADER_TABLE_SIZE", lambda p: p.send(head(b"\x3f\xe2\x1f" + block(p))), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 6.3", "table size updates to 0 and back", lambda p: p.send(head(b"\x20\x3f\xe1\x1f" + block(p, (b"range", b"bytes=0-9")))), status(1, 206))
row("7541 5.1", "an integer that never ends", compressed(b"\x7f" + b"\xff" * 12), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 5.2", "a string longer than its block", compressed(b"\x00\x01x\x7e"), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 5.2", "a Huffman string padded with 8 bits", compressed(b"\x00\x01x\x82\x1f\xff"), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 5.2", "a Huffman string padded with zeros", compressed(b"\x00\x01x\x81\x18"), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 5.2", "a Huffman string with the EOS symbol", compressed(b"\x00\x01x\x84\xff\xff\xff\xff"), goaway(COMPRESSION_ERROR), known=GENERIC)
row("7541 6.2.1", "a field of the dynamic table, used by the next request", lambda p: (answered(p), p.request(3, [("range", "bytes=0-9")])), status(3, 206))
row("9113 10.5.1", "a field section above SETTINGS_MAX_HEADER_LIST_SIZE", lambda p: p.request(1, [(f"x-{n}", "y" * 4000) for n in range(12)]), lambda p: too_large(p))


def too_large(p):
    """431, or the stream or connection refused: nothing of it reaches the handler."""
    for got in p.frames():
        kind = type(got).__name__
        if kind in ("GoAwayFrame", "RstStreamFrame"):
            return None
        if kind == "HeadersFrame":
            came = p.status_of(got)
            return None if came == 431 else f"status {came} came"
    return told(p)
