"""An HTTP/2 client that sends any bytes it is told to, in frames or not, and looks at the frames that come back."""

import socket
import ssl
import struct
import time

import hpack
from hyperframe.frame import Frame

from .table import named

# Frame types (RFC 9113 6).
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
# Flags.
ACK = END_STREAM = 0x1
END_HEADERS, PADDED, PRIORITY_FLAG = 0x4, 0x8, 0x20
# Settings.
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 3, 4, 5
# Error codes (RFC 9113 7).
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR = range(7)
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(7, 12)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Seconds in which an answer must come, on a machine that does other things too.
LIMIT_S = 8
# Seconds of silence that show that nothing comes.
QUIET_S = 0.4


def frame(kind, flags, stream, payload=b""):
    """Any frame, right or wrong."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", name, value) for name, value in pairs))


class Peer:
    """One connection. `preface` and `first` are what it begins with; None for nothing."""

    def __init__(self, port, ca, target, preface=PREFACE, first=settings()):
        context = ssl.create_default_context(cafile=str(ca))
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self.authority, self.target = f"localhost:{port}", target
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer, self.is_over = b"", False
        self.block, self.data_frames = b"", []
        self.send((preface or b"") + (first or b""))
        if preface and first:
            # Its SETTINGS and the acknowledgement of ours come first; ours of its goes out.
            self.server_settings = self.next_frame().settings
            self.send(frame(SETTINGS, ACK, 0))

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (ConnectionError, ssl.SSLError):
            # It has closed already: what it said before is read all the same.
            pass

    # --- requests ------------------------------------------------------------------------------------------------

    def pseudo(self, method="GET", target=None):
        return [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", target or self.target)]

    def request(self, stream, more=(), end=True, fields=None, method="GET", target=None):
        """HEADERS with a good request, or with these fields."""
        fields = self.pseudo(method, target) + list(more) if fields is None else fields
        block = self.encoder.encode(fields)
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block))

    def block_of(self, *more):
        return self.encoder.encode(self.pseudo() + list(more))

    # --- what comes ----------------------------------------------------------------------------------------------

    def next_frame(self, limit=LIMIT_S):
        """The next frame, or None after the end or the limit."""
        end = time.monotonic() + limit
        while True:
            if len(self.buffer) >= 9:
                head, length = Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) >= 9 + length:
                    head.parse_body(memoryview(self.buffer[9:9 + length]))
                    self.buffer = self.buffer[9 + length:]
                    return head
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                return None
            except (ConnectionError, ssl.SSLError):
                data = b""
            if not data:
                self.is_over = True
                return None
            self.buffer += data

    def frames(self, limit=LIMIT_S):
        """Frames until the end or the limit."""
        end = time.monotonic() + limit
        while (got := self.next_frame(max(0, end - time.monotonic()))) is not None:
            yield got

    def status_of(self, got):
        """The status of a HEADERS frame; reading each once, in order, keeps the decoder in step."""
        return int(dict(self.decoder.decode(got.data, raw=True))[b":status"])

    def body_frames(self, stream, limit=LIMIT_S, quiet=None):
        """Lengths of DATA frames of a stream until its end, or until a silence of `quiet` seconds."""
        lengths, ended = [], False
        end = time.monotonic() + limit
        while not ended and time.monotonic() < end:
            got = self.next_frame(quiet if quiet is not None else end - time.monotonic())
            if got is None:
                break
            kind = type(got).__name__
            if kind == "DataFrame" and got.stream_id == stream:
                lengths.append(len(got.data))
                ended = "END_STREAM" in got.flags
            elif kind == "HeadersFrame":
                self.status_of(got)
            elif kind in ("RstStreamFrame", "GoAwayFrame"):
                raise AssertionError(f"{kind} with {got.error_code}")
        return lengths, ended

    def wait_for(self, kind, stream=None):
        """Reads until a frame of this kind comes."""
        for got in self.frames():
            if type(got).__name__ == kind and stream in (None, got.stream_id):
                return got
        raise AssertionError(f"no {kind} came")


def told(peer):
    return "the connection closed" if peer.is_over else "nothing came"


def codes(names):
    return " or ".join(str(name) for name in names)


def goaway(*wanted):
    """GOAWAY with one of these codes."""

    @named(f"GOAWAY {codes(wanted)}")
    def judge(peer):
        seen = None
        for got in peer.frames():
            kind = type(got).__name__
            if kind == "GoAwayFrame":
                return None if got.error_code in wanted else f"GOAWAY {got.error_code} came"
            if kind == "RstStreamFrame":
                return f"RST_STREAM {got.error_code} came"
            if kind == "HeadersFrame":
                # A good request before the bad frame may be answered first.
                seen = f"status {peer.status_of(got)} came"
        return seen or told(peer)

    return judge


@named("the end of the connection")
def ended(peer):
    """RFC 9113 3.4: GOAWAY may be left out where the peer does not speak HTTP/2."""
    for got in peer.frames():
        if type(got).__name__ == "HeadersFrame":
            return f"status {peer.status_of(got)} came"
    return None if peer.is_over else "it stayed open"


def reset(stream, *wanted):
    """RST_STREAM with one of these codes, or GOAWAY: a stream error may be treated as one of the connection (5.4.2)."""

    @named(f"RST_STREAM {codes(wanted)}")
    def judge(peer):
        seen = None
        for got in peer.frames():
            kind = type(got).__name__
            if kind == "GoAwayFrame":
                return None if got.error_code in wanted else f"GOAWAY {got.error_code} came"
            if kind == "RstStreamFrame" and got.stream_id == stream:
                return None if got.error_code in wanted else f"RST_STREAM {got.error_code} came"
            if kind == "HeadersFrame":
                status = peer.status_of(got)
                seen = f"status {status} came" if got.stream_id == stream else seen
        return seen or told(peer)

    return judge


def malformed(stream=1):
    """RFC 9113 8.1.1: a stream error PROTOCOL_ERROR, before which a 4xx may be sent."""

    @named("RST_STREAM 1 or 400")
    def judge(peer):
        for got in peer.frames():
            kind = type(got).__name__
            if kind == "GoAwayFrame":
                return None if got.error_code == PROTOCOL_ERROR else f"GOAWAY {got.error_code} came"
            if kind == "RstStreamFrame" and got.stream_id == stream:
                return None if got.error_code == PROTOCOL_ERROR else f"RST_STREAM {got.error_code} came"
            if kind == "HeadersFrame" and got.stream_id == stream:
                status = peer.status_of(got)
                return None if 400 <= status < 500 else f"status {status} came"
        return told(peer)

    return judge


def status(stream, *wanted):
    @named(f"status {codes(wanted)}")
    def judge(peer):
        for got in peer.frames():
            kind = type(got).__name__
            if kind in ("GoAwayFrame", "RstStreamFrame"):
                return f"{kind} {got.error_code} came"
            if kind == "HeadersFrame":
                came = peer.status_of(got)
                if got.stream_id == stream:
                    return None if came in wanted else f"status {came} came"
        return told(peer)

    return judge


def goes_on(stream):
    """The connection lives: a request on this new stream is answered."""

    @named("nothing, and the next request is answered")
    def judge(peer):
        peer.request(stream, [("range", "bytes=0-99")])
        return status(stream, 206)(peer)

    return judge


def acknowledged(times=1):
    @named("SETTINGS ACK")
    def judge(peer):
        # The first acknowledges what the connection began with.
        count = 0
        for got in peer.frames():
            kind = type(got).__name__
            if kind == "GoAwayFrame":
                return f"GOAWAY {got.error_code} came"
            if kind == "SettingsFrame" and "ACK" in got.flags:
                count += 1
                if count == 1 + times:
                    return None
        return f"{count - 1} came"

    return judge


def ponged(data):
    @named("PING ACK with the same bytes")
    def judge(peer):
        got = peer.wait_for("PingFrame")
        return None if "ACK" in got.flags and got.opaque_data == data else f"{got} came"

    return judge


@named("what is asked for")
def as_told(_):
    """The act itself has looked."""
