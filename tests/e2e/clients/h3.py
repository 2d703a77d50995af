"""HTTP/3 over QUIC by aioquic, wrapped so that plain code can call it."""

import asyncio
import threading
import time

from aioquic.asyncio import QuicConnectionProtocol
from aioquic.asyncio.client import connect
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamReset

LIMIT_S = 20


class Reset(Exception):
    """The server reset the stream or closed the connection."""


class Exchange:
    def __init__(self):
        self.status, self.fields, self.body = None, [], b""
        self.done = asyncio.get_running_loop().create_future()

    def finish(self, error=None):
        if self.done.done():
            return
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result((self.status, self.fields, self.body))


class Http3(H3Connection):
    """aioquic counts body bytes against Content-Length even where there is no body: after HEAD, and with 304."""

    bodiless = frozenset()

    def _check_content_length(self, stream):
        if stream.stream_id not in self.bodiless:
            super()._check_content_length(stream)


class Protocol(QuicConnectionProtocol):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.h3 = Http3(self._quic)
        self.exchanges = {}
        # What a slow listener takes for each datagram.
        self.pace_s = 0

    def datagram_received(self, data, addr):
        if self.pace_s:
            time.sleep(self.pace_s)
        super().datagram_received(data, addr)

    def quic_event_received(self, event):
        if isinstance(event, StreamReset) and event.stream_id in self.exchanges:
            exchange = self.exchanges.pop(event.stream_id)
            exchange.finish(Reset(f"stream reset with {event.error_code} after {len(exchange.body)} bytes"))
        if isinstance(event, ConnectionTerminated):
            for exchange in self.exchanges.values():
                exchange.finish(Reset(f"connection ended: {event.error_code} {event.reason_phrase}"))
            self.exchanges.clear()
        for happened in self.h3.handle_event(event):
            exchange = self.exchanges.get(happened.stream_id)
            if exchange is None:
                continue
            if isinstance(happened, HeadersReceived):
                pairs = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in happened.headers]
                exchange.status = exchange.status or int(dict(pairs)[":status"])
                exchange.fields += [(n, v) for n, v in pairs if not n.startswith(":")]
            elif isinstance(happened, DataReceived):
                exchange.body += happened.data
            if getattr(happened, "stream_ended", False):
                self.exchanges.pop(happened.stream_id).finish()

    async def ask(self, method, authority, target, fields):
        stream = self._quic.get_next_available_stream_id()
        exchange = self.exchanges[stream] = Exchange()
        if method == "HEAD" or any(n.lower().startswith("if-") for n, _ in fields):
            self.h3.bodiless |= {stream}
        pseudo = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", target)]
        pairs = pseudo + [(n.lower(), v) for n, v in fields]
        encoded = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in pairs]
        self.h3.send_headers(stream, encoded, end_stream=True)
        self.transmit()
        return await asyncio.wait_for(exchange.done, LIMIT_S)


class Connection:
    """One QUIC connection that lives on a loop in a thread of its own."""

    def __init__(self, port, ca, host="localhost"):
        self.authority = f"{host}:{port}"
        self.loop = asyncio.new_event_loop()
        self.ready, self.over = threading.Event(), None
        self.protocol = self.error = None
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=host)
        configuration.load_verify_locations(cafile=str(ca))
        self.thread = threading.Thread(target=self.live, args=(port, configuration), daemon=True)
        self.thread.start()
        self.ready.wait(LIMIT_S)
        if self.error or not self.protocol:
            raise Reset(f"no HTTP/3 connection: {self.error or 'no answer'}")

    def live(self, port, configuration):
        async def run():
            self.over = asyncio.Event()
            try:
                async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Protocol) as protocol:
                    self.protocol = protocol
                    self.ready.set()
                    await self.over.wait()
            except Exception as error:  # told by the constructor, in the other thread
                self.error = repr(error)
            finally:
                self.ready.set()

        self.loop.run_until_complete(run())

    def request(self, method, target, fields):
        asked = self.protocol.ask(method, self.authority, target, fields)
        return asyncio.run_coroutine_threadsafe(asked, self.loop).result(LIMIT_S + 5)

    def close(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(5)
