"""A tiny TCP proxy that writes down the HTTP/1.1 requests that pass, to count what players ask for."""

import re
import socket
import threading


class Tap:
    """Listens on a port of its own and passes everything on to `port`; `requests` are (line, Range)."""

    def __init__(self, port):
        self.to = port
        self.requests = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            threading.Thread(target=self.pump, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, False), daemon=True).start()

    def pump(self, source, target, listening):
        buffer = b""
        try:
            while data := source.recv(65536):
                if listening:
                    buffer = self.note(buffer + data)
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def note(self, buffer):
        while b"\r\n\r\n" in buffer:
            head, buffer = buffer.split(b"\r\n\r\n", 1)
            text = head.decode("latin-1")
            found = re.search(r"^range:\s*(.*)$", text, re.I | re.M)
            self.requests.append((text.split("\r\n")[0], found.group(1).strip() if found else None))
        return buffer
