"""HTTP/2 over TLS, framed by the Python package h2."""

import socket
import ssl

import h2.config
import h2.connection
import h2.events

LIMIT_S = 20


class Reset(Exception):
    """The server reset the stream or closed the connection."""


class Connection:
    """One connection; requests one after the other."""

    def __init__(self, port, ca, host="localhost"):
        context = ssl.create_default_context(cafile=str(ca))
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        self.socket = context.wrap_socket(raw, server_hostname=host)
        if self.socket.selected_alpn_protocol() != "h2":
            raise Reset(f"ALPN chose {self.socket.selected_alpn_protocol()}")
        self.authority = f"{host}:{port}"
        # Values such as ` bytes=0-1` are sent as the table has them.
        config = h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        self.flush()

    def close(self):
        self.socket.close()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def request(self, method, target, fields):
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self.authority), (":path", target)]
        self.h2.send_headers(stream, pseudo + [(n.lower(), v) for n, v in fields], end_stream=True)
        self.flush()
        status, got, body = None, [], b""
        while True:
            data = self.socket.recv(65536)
            if not data:
                raise Reset(f"the connection closed after {len(body)} bytes")
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.ConnectionTerminated):
                    raise Reset(f"GOAWAY {event.error_code}")
                if getattr(event, "stream_id", None) != stream:
                    continue
                if isinstance(event, h2.events.ResponseReceived):
                    got = [(n, v) for n, v in event.headers if not n.startswith(":")]
                    status = int(dict(event.headers)[":status"])
                elif isinstance(event, h2.events.DataReceived):
                    body += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                elif isinstance(event, h2.events.StreamReset):
                    raise Reset(f"stream reset with {event.error_code} after {len(body)} bytes")
                elif isinstance(event, h2.events.StreamEnded):
                    self.flush()
                    return status, got, body
            self.flush()
