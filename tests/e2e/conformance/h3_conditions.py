"""What RFC 9114, 9204 and 9218 ask of a server, one condition a row."""

from .datagrams import *  # the vocabulary of the rows
from .datagrams import Peer  # noqa: F401
from .table import Table

table = Table()
row = table.row

# Why a row is not met. These h3 decides, and shows us nothing of it.
FIELDS = "h3 reads field sections, and lets this pass unseen"
CODE = "the request is refused; h3 says H3_MESSAGE_ERROR for it, and lets nobody choose"
# These our own part below h3 could look at.
UNSEEN = "h3 does not look at it; our adapter below it could"

# A type that greases: 0x1f * N + 0x21 (RFC 9114 7.2.8).
GREASE = 0x1F * 77 + 0x21


def control(data):
    return lambda p: p.send(2, data)


def on_request(*pieces, end=True):
    """These bytes on the first request stream."""
    return lambda p: p.send(0, b"".join(pieces), end)


def uni(stream, data, end=False):
    return lambda p: p.send(stream, data, end)


def fields(*wanted):
    """A request of these fields; names alone stand for the good pseudo-header fields."""

    def act(p):
        good = dict(p.head())
        p.request(fields=[(name, good[name]) if isinstance(name, bytes) else name for name in wanted])

    return act


GOOD = (b":method", b":scheme", b":authority", b":path")


def with_field(name, value):
    return fields(*GOOD, (name, value))


def good_head(p, *more, method=b"GET"):
    return frame(HEADERS, section(*p.head(*more, method=method)))


# --- RFC 9114 6.2: unidirectional streams ---------------------------------------------------------------------------
row("9114 6.2.1", "a control stream that begins with MAX_PUSH_ID", lambda p: None, closes(MISSING_SETTINGS), control=frame(MAX_PUSH_ID, b"\x01"))
row("9114 6.2.1", "a control stream that begins with a frame of unknown type", lambda p: None, closes(MISSING_SETTINGS), control=frame(GREASE, b"x") + settings())
row("9114 6.2.1", "a second control stream", uni(6, varint(CONTROL) + settings()), closes(STREAM_CREATION))
row("9114 6.2.1", "the control stream ended", lambda p: p.send(2, b"", True), closes(CLOSED_CRITICAL))
row("9114 6.2.1", "the control stream reset", lambda p: (p.rest(0.1), p.quic.reset_stream(2, 0x10C), p.flush()), closes(CLOSED_CRITICAL))
row("9114 6.2.1", "SETTINGS in one byte at a time", lambda p: [(p.send(2, bytes([b])), p.rest(0.01)) for b in b"\x00" + settings((0x1, 0))], goes_on(0), control=None)
row("9114 6.2", "a request before the control stream", lambda p: p.request(more=[(b"range", b"bytes=0-9")]), status(206), control=None)
row("9114 6.2.2", "a push stream from a client", uni(6, varint(PUSH) + b"\x00"), closes(STREAM_CREATION))
row("9114 6.2.3", "a stream of reserved type", uni(6, varint(GREASE) + bytes(64)), goes_on())
row("9114 6.2", "a stream of unknown type", uni(6, varint(0x4242) + bytes(64)), goes_on())
row("9114 6.2", "a stream that ends before its type", uni(6, b"", True), goes_on())
row("9114 6.2", "a stream of unknown type, reset", lambda p: abandoned(p, 6), goes_on())
row("9204 4.2", "a second encoder stream", lambda p: (p.send(6, varint(ENCODER)), p.send(10, varint(ENCODER))), closes(STREAM_CREATION))
row("9204 4.2", "a second decoder stream", lambda p: (p.send(6, varint(DECODER)), p.send(10, varint(DECODER))), closes(STREAM_CREATION))
row("9204 4.2", "the encoder stream ended", lambda p: p.send(6, varint(ENCODER), True), closes(CLOSED_CRITICAL))
row("9204 4.2", "the decoder stream ended", lambda p: p.send(6, varint(DECODER), True), closes(CLOSED_CRITICAL))

# --- 7.2.4: SETTINGS -----------------------------------------------------------------------------------------------
row("9114 7.2.4", "the same setting twice", lambda p: None, closes(SETTINGS_ERROR), control=settings((0x6, 9000), (0x6, 9000)))
for number, name in ((2, "ENABLE_PUSH"), (3, "MAX_CONCURRENT_STREAMS"), (4, "INITIAL_WINDOW_SIZE"), (5, "MAX_FRAME_SIZE")):
    row("9114 7.2.4.1", f"HTTP/2's SETTINGS_{name}", lambda p: None, closes(SETTINGS_ERROR), control=settings((number, 1)))
row("9114 7.2.4", "unknown settings", lambda p: None, goes_on(0), control=settings((GREASE, 5), (0x4242, 1 << 40)))
row("9114 7.2.4", "a setting without its value", lambda p: None, closes(FRAME, SETTINGS_ERROR), control=frame(SETTINGS, b"\x06"))
row("9114 7.2.4", "SETTINGS twice", control(settings()), closes(FRAME_UNEXPECTED))
row("9114 7.2.4", "SETTINGS on a request stream", on_request(settings()), closes(FRAME_UNEXPECTED))

# --- 7.2: frames where they do not belong ----------------------------------------------------------------------------
row("9114 7.2.1", "DATA on the control stream", control(frame(DATA, b"x")), closes(FRAME_UNEXPECTED))
row("9114 7.2.2", "HEADERS on the control stream", control(frame(HEADERS, section((b"a", b"b")))), closes(FRAME_UNEXPECTED))
row("9114 7.2.5", "PUSH_PROMISE on the control stream", control(frame(PUSH_PROMISE, b"\x00\x00\x00")), closes(FRAME_UNEXPECTED))
row("9114 7.2.5", "PUSH_PROMISE on a request stream", on_request(frame(PUSH_PROMISE, b"\x00\x00\x00")), closes(FRAME_UNEXPECTED))
row("9114 7.2.6", "GOAWAY on a request stream", on_request(frame(GOAWAY, b"\x00")), closes(FRAME_UNEXPECTED))
row("9114 7.2.7", "MAX_PUSH_ID on a request stream", on_request(frame(MAX_PUSH_ID, b"\x00")), closes(FRAME_UNEXPECTED))
row("9114 7.2.3", "CANCEL_PUSH on a request stream", on_request(frame(CANCEL_PUSH, b"\x00")), closes(FRAME_UNEXPECTED))
for kind in (0x2, 0x6, 0x8, 0x9):
    row("9114 7.2.8", f"HTTP/2's frame type {kind} on the control stream", control(frame(kind, bytes(8))), closes(FRAME_UNEXPECTED))
    row("9114 7.2.8", f"HTTP/2's frame type {kind} on a request stream", on_request(frame(kind, bytes(8))), closes(FRAME_UNEXPECTED))
row("9114 9", "frames of unknown type on the control stream", control(frame(GREASE, bytes(100)) + frame(0x4242)), goes_on())
row("9114 9", "a frame of unknown type before HEADERS", lambda p: p.send(0, frame(GREASE, bytes(100)) + good_head(p, (b"range", b"bytes=0-9")), True), status(206))
row("9114 9", "a frame of unknown type behind HEADERS", lambda p: p.send(0, good_head(p, (b"range", b"bytes=0-9")) + frame(GREASE, bytes(100)), True), status(206))

# --- 4.1: the order on a request stream ------------------------------------------------------------------------------
row("9114 4.1", "DATA before HEADERS", on_request(frame(DATA, b"x")), closes(FRAME_UNEXPECTED))
TRAILERS = frame(HEADERS, section((b"x-trailer", b"1")))
row("9114 4.1", "DATA behind trailers", lambda p: p.send(0, good_head(p, method=b"POST") + frame(DATA, b"x") + TRAILERS + frame(DATA, b"x"), True), lambda p: none_of_it_helps(p))
row("9114 4.1", "HEADERS behind trailers", lambda p: p.send(0, good_head(p, method=b"POST") + frame(DATA, b"x") + TRAILERS + TRAILERS, True), lambda p: none_of_it_helps(p))
row("9114 4.1", "trailers behind a body", lambda p: p.send(0, good_head(p) + frame(DATA, b"x") + TRAILERS, True), goes_on())
row("9114 4.1", "a stream that ends at once", on_request(), resets(REQUEST_INCOMPLETE))
row("9114 4.1", "a stream of unknown frames only", on_request(frame(GREASE)), resets(REQUEST_INCOMPLETE))
row("9114 7.1", "a stream that ends in the middle of HEADERS", lambda p: p.send(0, good_head(p)[:20], True), closes(FRAME))
row("9114 7.1", "a frame on the control stream with more than its fields", control(frame(MAX_PUSH_ID, b"\x01\x02")), closes(FRAME))
row("9114 4.1.1", "a request reset in the middle of its head", lambda p: (p.send(0, good_head(p)[:20]), p.rest(0.1), p.quic.reset_stream(0, REQUEST_CANCELLED), p.flush()), goes_on())
row("9114 4.1.1", "the answer stopped", lambda p: stopped(p), resets(REQUEST_CANCELLED, NO_ERROR, 0x0))
row("9114 4.1", "a head in one byte at a time", lambda p: [(p.send(0, bytes([b])), p.rest(0.002)) for b in good_head(p, (b"range", b"bytes=0-9"))], status(206))


def none_of_it_helps(p):
    """H3_FRAME_UNEXPECTED; or, since the answer needs nothing of the body, the answer and the rest unread (4.1)."""
    p.pump(lambda: p.status() or p.stream(0).reset is not None, 3)
    if p.ended is not None:
        return None if p.ended.error_code == FRAME_UNEXPECTED else came(p)
    return None if p.status() and p.status() >= 400 else came(p)


def abandoned(p, stream):
    """Begun and reset; unless the server has stopped it, which aioquic answers with a reset by itself."""
    p.send(stream, varint(GREASE))
    p.rest(0.1)
    if p.stream(stream).stopped is None:
        p.quic.reset_stream(stream, 1)
        p.flush()


def stopped(p):
    """A long answer is asked for, and no longer wanted after its first bytes."""
    p.request()
    p.pump(lambda: p.status())
    p.quic.stop_stream(0, REQUEST_CANCELLED)
    p.flush()


# --- 5.2, 7.2.3, 7.2.7: GOAWAY and pushes ----------------------------------------------------------------------------
row("9114 7.2.7", "MAX_PUSH_ID that goes down", control(frame(MAX_PUSH_ID, b"\x08") + frame(MAX_PUSH_ID, b"\x04")), closes(ID))
row("9114 7.2.7", "MAX_PUSH_ID that goes up", control(frame(MAX_PUSH_ID, b"\x04") + frame(MAX_PUSH_ID, b"\x08")), goes_on())
row("9114 7.2.3", "CANCEL_PUSH of a push that was never promised", control(frame(CANCEL_PUSH, b"\x02")), closes(ID))
row("9114 5.2", "GOAWAY with an id that goes up", control(frame(GOAWAY, b"\x02") + frame(GOAWAY, b"\x08")), closes(ID))
row("9114 5.2", "GOAWAY behind a request: the answer still comes", lambda p: (p.request(more=[(b"range", b"bytes=0-9")]), p.send(2, frame(GOAWAY, b"\x00"))), status(206))

# --- RFC 9218: priorities --------------------------------------------------------------------------------------------
row("9218 7.2", "PRIORITY_UPDATE of a request to come", control(frame(PRIORITY_UPDATE, b"\x00u=1")), goes_on(0))
row("9218 7.2", "PRIORITY_UPDATE on a request stream", on_request(frame(PRIORITY_UPDATE, b"\x00u=1")), closes(FRAME_UNEXPECTED), known=("RESET_STREAM 0x10d came", UNSEEN))
row("9218 7.2", "PRIORITY_UPDATE of a stream that is no request", control(frame(PRIORITY_UPDATE, b"\x02u=1")), closes(ID))
row("9218 7.2", "PRIORITY_UPDATE of a request beyond the limit", control(frame(PRIORITY_UPDATE, varint(4 * 100_000) + b"u=1")), closes(ID))
row("9218 4", "a priority that does not parse", with_field(b"priority", b"u=banana;;"), status(200))

# --- 4.2, 4.3: fields ------------------------------------------------------------------------------------------------
row("9114 4.2", "a field name with a capital", with_field(b"X-Capital", b"1"), malformed())
row("9114 4.2", "a field name with a space", with_field(b"x space", b"1"), malformed())
row("9114 4.2", "an empty field name", with_field(b"", b"1"), malformed())
row("9114 10.3", "NUL in a value", with_field(b"x-value", b"a\x00b"), malformed())
row("9114 10.3", "CR LF in a value", with_field(b"x-value", b"a\r\nb: c"), malformed())
for name, value in ((b"connection", b"keep-alive"), (b"keep-alive", b"5"), (b"proxy-connection", b"close"), (b"transfer-encoding", b"chunked"), (b"upgrade", b"websocket"), (b"te", b"gzip")):
    row("9114 4.2", f"{name.decode()}: {value.decode()}", with_field(name, value), malformed())
row("9114 4.2", "te: trailers", lambda p: p.request(more=[(b"te", b"trailers"), (b"range", b"bytes=0-9")]), status(206))
row("9114 4.2.1", "a cookie in two fields", lambda p: p.request(more=[(b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"range", b"bytes=0-9")]), status(206))
row("9114 4.2.2", "a field section above SETTINGS_MAX_FIELD_SECTION_SIZE", lambda p: p.request(more=[(b"x-%d" % n, b"y" * 4000) for n in range(8)]), lambda p: too_large(p))
row("9114 4.3", "an unknown pseudo-header field", fields(*GOOD, (b":needle", b"drop")), malformed())
row("9114 4.3", "the pseudo-header field of an answer", fields(*GOOD, (b":status", b"200")), malformed(), known=("status 200 came", FIELDS))
row("9114 4.3", "a pseudo-header field behind another field", fields(b":method", b":scheme", b":authority", (b"x-field", b"1"), b":path"), malformed(), known=("status 200 came", FIELDS))
for name in GOOD:
    row("9114 4.3.1", f"{name.decode()} twice", fields(*GOOD, name), malformed(), known=("status 200 came", FIELDS))
for name in (b":method", b":scheme", b":path"):
    row("9114 4.3.1", f"no {name.decode()}", fields(*(n for n in GOOD if n != name)), malformed())
row("9114 4.3.1", "an empty :path", fields(b":method", b":scheme", b":authority", (b":path", b"")), malformed())
row("9114 4.3.1", ":path without a slash", fields(b":method", b":scheme", b":authority", (b":path", b"tracks")), malformed())
row("9114 4.3.1", "neither :authority nor Host", fields(b":method", b":scheme", b":path"), malformed())
row("9114 4.3.1", "Host in place of :authority", lambda p: p.request(fields=[f for f in p.head((b"host", p.authority), (b"range", b"bytes=0-9")) if f[0] != b":authority"]), status(206))
row("9114 4.3.1", ":authority and Host that differ", fields(*GOOD, (b"host", b"elsewhere.example")), malformed())
row("9114 4.3.1", ":authority with user information", fields(b":method", b":scheme", (b":authority", b"me@localhost"), b":path"), malformed())
row("9114 4.3", "trailers with a pseudo-header field", lambda p: p.send(0, good_head(p, method=b"POST") + frame(HEADERS, section((b":method", b"GET"))), True), malformed())
row("9114 4.1.2", "content-length: 5 and no body", lambda p: p.request(more=[(b"content-length", b"5")]), malformed())
row("9114 4.1.2", "content-length: 2 and 3 bytes", lambda p: p.send(0, good_head(p, (b"content-length", b"2"), method=b"POST") + frame(DATA, b"abc"), True), malformed())
row("9114 4.1.2", "content-length that is no number", lambda p: p.request(more=[(b"content-length", b"abc")]), malformed())
row("9114 4.4", "CONNECT", fields((b":method", b"CONNECT"), b":authority"), lambda p: refused(p))


def refused(p):
    p.pump(lambda: p.status() or p.stream(0).reset is not None, 3)
    return None if p.ended is None and (p.stream(0).reset is not None or (p.status() or 0) >= 400) else came(p)


def too_large(p):
    """431, or the request refused: nothing of it reaches the handler."""
    p.pump(lambda: p.status() or p.stream(0).reset is not None, 3)
    return None if p.status() == 431 or p.stream(0).reset is not None else came(p)


# --- RFC 9204: QPACK -------------------------------------------------------------------------------------------------


def encoded(payload):
    return on_request(frame(HEADERS, payload))


row("9204 3.1", "an index beyond the static table", encoded(b"\x00\x00\xff\x40"), closes(DECOMPRESSION))
row("9204 2.2.1", "a dynamic entry while the table has no room", encoded(b"\x02\x00\x80"), closes(DECOMPRESSION))
row("9204 4.5.1", "a Required Insert Count while the table has no room", encoded(b"\x05\x00\xd1"), closes(DECOMPRESSION), known=("RESET_STREAM 0x10e", CODE))
row("9204 2.2.1", "a dynamic entry below a Required Insert Count of 0", encoded(b"\x00\x00\x80"), closes(DECOMPRESSION))
row("9204 4.1.2", "a string longer than its section", encoded(b"\x00\x00\x23abc\x7fx"), closes(DECOMPRESSION))
row("9204 4.1.1", "an integer that never ends", encoded(b"\x00\x00\xff" + b"\xff" * 12), closes(DECOMPRESSION))
row("9204 4.1.2", "a Huffman string with the EOS symbol", encoded(b"\x00\x00\x21x\x84\xff\xff\xff\xff"), closes(DECOMPRESSION), known=("RESET_STREAM 0x10e", CODE))
row("9204 4.1.2", "a Huffman string padded with zeros", encoded(b"\x00\x00\x21x\x81\x18"), closes(DECOMPRESSION))
row("9204 4.3.1", "a table capacity above our setting", uni(6, varint(ENCODER) + b"\x3f\xff\xff\x7f"), closes(ENCODER_STREAM))
row("9204 3.2.2", "an insertion into a table of no room", uni(6, varint(ENCODER) + b"\xc1\x01a"), closes(ENCODER_STREAM))
row("9204 4.3.4", "a duplicate of an entry that never was", uni(6, varint(ENCODER) + b"\x05"), closes(ENCODER_STREAM))
row("9204 4.4.3", "Insert Count Increment of 0", uni(6, varint(DECODER) + b"\x00"), closes(DECODER_STREAM))
row("9204 4.4.3", "Insert Count Increment beyond what was inserted", uni(6, varint(DECODER) + b"\x05"), closes(DECODER_STREAM))
row("9204 4.4.1", "Section Acknowledgment of a stream without one", uni(6, varint(DECODER) + b"\x80"), closes(DECODER_STREAM))
row("9204 4.4.2", "Stream Cancellation of a stream without one", uni(6, varint(DECODER) + b"\x40"), goes_on())
