"""HTTP/1.1 over a raw socket: what is sent is exactly what a test says."""

import socket
import ssl

LIMIT_S = 20


class Broken(Exception):
    """The connection ended before the answer was complete."""


class Connection:
    """One connection that is kept open between requests, plain or TLS."""

    def __init__(self, port, host="localhost", ca=None, alpn="http/1.1"):
        raw = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        self.host = f"{host}:{port}"
        self.socket = raw
        self.buffer = b""
        if ca:
            context = ssl.create_default_context(cafile=str(ca))
            context.set_alpn_protocols([alpn])
            self.socket = context.wrap_socket(raw, server_hostname=host)

    def close(self):
        self.socket.close()

    def request(self, method, target, fields):
        """Sends one request; gives (status, [(name, value)], body)."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}", *(f"{n}: {v}" for n, v in fields)]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))
        return self.answer(method)

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Broken(f"the connection closed after {len(self.buffer)} bytes")
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def line(self):
        while b"\r\n" not in self.buffer:
            self.more()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def head(self):
        status = int(self.line().split(" ", 2)[1])
        fields = []
        while line := self.line():
            name, value = line.split(":", 1)
            fields.append((name.lower(), value.strip()))
        return status, fields

    def answer(self, method="GET"):
        status, fields = self.head()
        return status, fields, self.body(method, status, fields)

    def body(self, method, status, fields):
        known = dict(fields)
        if method == "HEAD" or status in (204, 304):
            return b""
        if known.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.line().split(";")[0], 16):
                body += self.take(size)
                self.line()
            self.line()
            return body
        return self.take(int(known.get("content-length", "0")))
