"""A QUIC client on aioquic that can be made to break the rules: any frame in a packet, any bytes on a stream.

aioquic is asked for packets and given packets; the socket, the clock and the mischief are here.
"""

import socket
import time

import pylsqpack
from aioquic.buffer import encode_uint_var
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)

from .table import named

# Seconds in which an answer must come, on a machine that does other things too.
LIMIT_S = 8
QUIET_S = 0.4

# HTTP/3 frames and stream types (RFC 9114 7.2, 6.2; RFC 9204 4.2).
DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0x0, 0x1, 0x3, 0x4, 0x5, 0x7, 0xD
PRIORITY_UPDATE = 0xF0700
CONTROL, PUSH, ENCODER, DECODER = range(4)
# HTTP/3 and QPACK errors (RFC 9114 8.1, RFC 9204 6).
NO_ERROR, GENERAL_PROTOCOL_ERROR, INTERNAL, STREAM_CREATION, CLOSED_CRITICAL, FRAME_UNEXPECTED, FRAME, EXCESSIVE_LOAD = range(0x100, 0x108)
ID, SETTINGS_ERROR, MISSING_SETTINGS, REQUEST_REJECTED, REQUEST_CANCELLED, REQUEST_INCOMPLETE, MESSAGE = range(0x108, 0x10F)
DECOMPRESSION, ENCODER_STREAM, DECODER_STREAM = range(0x200, 0x203)
# QUIC errors (RFC 9000 20.1).
CONNECTION_REFUSED, FLOW_CONTROL, STREAM_LIMIT, STREAM_STATE, FINAL_SIZE, FRAME_ENCODING, TRANSPORT_PARAMETER = range(2, 9)
CONNECTION_ID_LIMIT, PROTOCOL_VIOLATION, INVALID_TOKEN, APPLICATION, CRYPTO_BUFFER, KEY_UPDATE = range(9, 15)
NO_APPLICATION_PROTOCOL = 0x100 + 120

varint = encode_uint_var


def frame(kind, payload=b""):
    return varint(kind) + varint(len(payload)) + payload


def settings(*pairs):
    return frame(SETTINGS, b"".join(varint(name) + varint(value) for name, value in pairs))


def section(*fields):
    """A field section of literals with literal names, without Huffman (RFC 9204 4.5.6); holds what no encoder would."""
    return b"\x00\x00" + b"".join(prefixed(3, 0x20, name) + prefixed(7, 0x00, value) for name, value in fields)


def prefixed(bits, first, text):
    """A string behind a length of so many bits (RFC 9204 4.1.2)."""
    most = (1 << bits) - 1
    if len(text) < most:
        return bytes([first | len(text)]) + text
    rest, out = len(text) - most, bytes([first | most])
    while rest >= 128:
        out, rest = out + bytes([rest % 128 + 128]), rest // 128
    return out + bytes([rest]) + text


class Stream:
    """What came on one stream."""

    def __init__(self):
        self.data, self.is_ended, self.reset, self.stopped = b"", False, None, None


class Peer:
    """One connection over sockets of ours. `control` is what its control stream begins with; None for no such stream."""

    def __init__(self, port, ca, target, control=settings(), alpn="h3", prepare=None, is_awaited=True, **configured):
        self.authority, self.target, self.to = f"localhost:{port}".encode(), target.encode(), ("127.0.0.1", port)
        configuration = QuicConfiguration(is_client=True, alpn_protocols=[alpn], server_name="localhost", **configured)
        configuration.load_verify_locations(cafile=str(ca))
        self.quic = QuicConnection(configuration=configuration)
        self.streams, self.ended, self.is_ready = {}, None, False
        self.sent_bytes, self.came_bytes, self.came = 0, 0, []
        self.planted = []
        self.quic._write_ping_frame = self.write_planted
        self.socket = None
        self.move()
        if prepare:
            prepare(self)
        self.quic.connect(self.to, time.monotonic())
        if is_awaited:
            self.pump(lambda: self.is_ready)
            assert self.is_ready, f"no handshake: {self.ended}"
        if control is not None:
            self.send(2, varint(CONTROL) + control)

    def close(self):
        if self.ended is None:
            self.quic.close()
            self.flush()
        self.socket.close()

    def move(self):
        """Goes on from another port."""
        if self.socket:
            self.socket.close()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect(self.to)

    # --- sending -------------------------------------------------------------------------------------------------

    def write_planted(self, builder, uids=(), comment=""):
        """In place of aioquic's PING: whatever frames were planted."""
        planted, self.planted = self.planted or [(0x01, b"")], []
        for kind, payload in planted:
            builder.start_frame(kind, capacity=len(payload) + 8).push_bytes(payload)

    def plant(self, kind, payload=b""):
        """A QUIC frame of any type in the next packet."""
        self.planted.append((kind, payload))
        self.quic.send_ping(0)
        self.flush()

    def send(self, stream, data, end=False):
        self.quic.send_stream_data(stream, data, end)
        self.flush()

    def flush(self):
        for data, _ in self.quic.datagrams_to_send(time.monotonic()):
            self.sent_bytes += len(data)
            try:
                self.socket.send(data)
            except ConnectionRefusedError:
                pass

    def head(self, *more, method=b"GET"):
        """A good request as fields."""
        return [(b":method", method), (b":scheme", b"https"), (b":authority", self.authority), (b":path", self.target), *more]

    def request(self, stream=0, more=(), end=True, fields=None, method=b"GET"):
        """HEADERS with a good request, or with these fields."""
        fields = self.head(*more, method=method) if fields is None else fields
        self.send(stream, frame(HEADERS, section(*fields)), end)

    # --- receiving -----------------------------------------------------------------------------------------------

    def pump(self, until, limit=LIMIT_S, is_reading=True):
        """Lets time and packets pass until this holds, the connection ends, or the limit."""
        end = time.monotonic() + limit
        while not until() and self.ended is None and time.monotonic() < end:
            self.flush()
            timer = self.quic.get_timer() or end
            self.socket.settimeout(max(0.001, min(end, timer) - time.monotonic()))
            try:
                data = self.socket.recv(65536)
                self.came_bytes += len(data)
                self.came.append(data)
                if is_reading:
                    self.quic.receive_datagram(data, self.to, time.monotonic())
            except TimeoutError:
                if (due := self.quic.get_timer()) is not None and due <= time.monotonic():
                    self.quic.handle_timer(time.monotonic())
            except ConnectionRefusedError:
                pass
            while (event := self.quic.next_event()) is not None:
                self.take(event)
        self.flush()
        return until()

    def take(self, event):
        if isinstance(event, HandshakeCompleted):
            self.is_ready = True
        elif isinstance(event, ConnectionTerminated):
            self.ended = event
        elif isinstance(event, StreamDataReceived):
            stream = self.stream(event.stream_id)
            stream.data += event.data
            stream.is_ended |= event.end_stream
        elif isinstance(event, StreamReset):
            self.stream(event.stream_id).reset = event.error_code
        elif isinstance(event, StopSendingReceived):
            self.stream(event.stream_id).stopped = event.error_code

    def stream(self, number):
        return self.streams.setdefault(number, Stream())

    def rest(self, seconds=QUIET_S):
        """Time passes."""
        self.pump(lambda: False, seconds)

    # --- HTTP/3 --------------------------------------------------------------------------------------------------

    def frames(self, number):
        """Whole frames of a stream: (type, payload). Of a unidirectional one, behind its type."""
        data, at, out = self.stream(number).data, 0, []
        if number % 4 == 3:
            _, at = pull(data, 0)
        while at < len(data):
            try:
                kind, start = pull(data, at)
                length, start = pull(data, start)
            except IndexError:
                break
            if start + length > len(data):
                break
            out.append((kind, data[start:start + length]))
            at = start + length
        return out

    def status(self, number=0):
        """The status on a request stream, once it came."""
        for kind, payload in self.frames(number):
            if kind == HEADERS:
                # The server was told of no dynamic table, so each section decodes by itself.
                _, fields = pylsqpack.Decoder(0, 0).feed_header(number, payload)
                return int(dict(fields)[b":status"])
        return None

    def body(self, number=0):
        return b"".join(payload for kind, payload in self.frames(number) if kind == DATA)

    def answered(self, number=0, more=((b"range", b"bytes=0-9"),)):
        """A whole exchange."""
        self.request(number, more)
        stream = self.stream(number)
        assert self.pump(lambda: stream.is_ended), f"no answer: {self.ended or stream.reset}"
        return self.status(number)


def pull(data, at):
    """A variable-length integer and where it ends."""
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at:at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


def codes(names):
    return " or ".join(hex(name) for name in names)


def came(peer, number=0):
    """What came, in words."""
    if peer.ended is not None:
        return f"the connection ended with {peer.ended.error_code:#x} {peer.ended.reason_phrase!r}"
    stream = peer.stream(number)
    told = [f"{word} {value:#x}" for word, value in [("RESET_STREAM", stream.reset), ("STOP_SENDING", stream.stopped)] if value is not None]
    status = peer.status(number)
    return ", ".join(told + ([f"status {status}"] if status else [])) + " came" if told or status else "nothing came"


def closes(*wanted):
    """CONNECTION_CLOSE with one of these codes."""

    @named(f"CONNECTION_CLOSE {codes(wanted)}")
    def judge(peer):
        peer.pump(lambda: False, 3)
        is_met = peer.ended is not None and peer.ended.error_code in wanted
        return None if is_met else came(peer)

    return judge


def resets(*wanted, stream=0):
    """RESET_STREAM or STOP_SENDING with one of these codes; or the connection's end, as an error of a stream may be (RFC 9114 8)."""

    @named(f"RESET_STREAM {codes(wanted)}")
    def judge(peer):
        on = peer.stream(stream)
        peer.pump(lambda: on.reset is not None or on.stopped in wanted or on.is_ended, 3)
        is_met = on.reset in wanted or on.stopped in wanted or (peer.ended is not None and peer.ended.error_code in wanted)
        return None if is_met else came(peer, stream)

    return judge


def malformed(stream=0):
    """H3_MESSAGE_ERROR, or a 4xx before it (RFC 9114 4.1.2)."""

    @named(f"RESET_STREAM {MESSAGE:#x} or 400")
    def judge(peer):
        on = peer.stream(stream)
        peer.pump(lambda: on.reset is not None or on.stopped == MESSAGE or peer.status(stream), 3)
        status = peer.status(stream)
        is_met = (status is not None and 400 <= status < 500) or MESSAGE in (on.reset, on.stopped) or (
            peer.ended is not None and peer.ended.error_code == MESSAGE)
        return None if is_met else came(peer, stream)

    return judge


def status(*wanted, stream=0):
    @named(f"status {' or '.join(map(str, wanted))}")
    def judge(peer):
        peer.pump(lambda: peer.status(stream) or peer.stream(stream).reset is not None, LIMIT_S)
        return None if peer.status(stream) in wanted else came(peer, stream)

    return judge


def goes_on(stream=4):
    """The connection lives: a request on this new stream is answered."""

    @named("nothing, and the next request is answered")
    def judge(peer):
        peer.rest(0.1)
        if peer.ended is not None:
            return came(peer)
        peer.request(stream, [(b"range", b"bytes=0-9")])
        return status(206, stream=stream)(peer)

    return judge


@named("what is asked for")
def as_told(_):
    """The act itself has looked."""
