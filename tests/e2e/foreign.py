"""An origin that nobody here wrote, as far as the edge can tell: Python's own HTTP server with ranges.

It serves the objects of the case table, and can be told to die in the middle of a body.
"""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Origin:
    """Objects by path: {path: (bytes, fields)}; `dying` paths send half of what they promise."""

    def __init__(self, objects):
        self.objects, self.dying, self.asked = objects, set(), []
        # Cleared: it takes requests and answers nothing, as behind a broken link.
        self.answering = threading.Event()
        self.answering.set()
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.answer(send_body=False)

            def do_GET(self):
                self.answer(send_body=True)

            # RFC 9110 13.1: enough of the preconditions for objects that an edge passes through.

            def tags(self, name):
                return re.findall(r'(?:W/)?"[^"]*"|\*', self.headers.get(name, ""))

            def if_match_holds(self, fields):
                tags, own = self.tags("If-Match"), fields.get("ETag", "")
                return not tags or tags == ["*"] or (own.startswith('"') and own in tags)

            def if_none_match_hits(self, fields):
                tags, own = self.tags("If-None-Match"), fields.get("ETag", "")
                bare = [t.removeprefix("W/") for t in tags]
                return tags == ["*"] or (own != "" and own.removeprefix("W/") in bare)

            def if_range_holds(self, fields):
                wanted = self.headers.get("If-Range")
                if wanted is None:
                    return True
                own = fields.get("ETag", "")
                return (own.startswith('"') and wanted == own) or wanted == fields.get("Last-Modified", "-")

            def answer(self, send_body):
                origin.asked.append((self.command, self.path, {name.title(): value for name, value in self.headers.items()}))
                origin.answering.wait(60)
                found = origin.objects.get(self.path)
                if found is None:
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                data, fields = found
                ranged = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                if not self.if_range_holds(fields):
                    ranged = None
                bodiless = True
                if not self.if_match_holds(fields):
                    self.send_response(412)
                    fields, data = {}, b""
                elif self.if_none_match_hits(fields):
                    self.send_response(304)
                    fields = {n: v for n, v in fields.items() if n != "Content-Type"}
                elif ranged and int(ranged.group(1)) >= len(data):
                    self.send_response(416)
                    fields = {**fields, "Content-Range": f"bytes */{len(data)}"}
                    data = b""
                elif ranged:
                    first = int(ranged.group(1))
                    last = min(int(ranged.group(2) or len(data)), len(data) - 1)
                    self.send_response(206)
                    fields = {**fields, "Content-Range": f"bytes {first}-{last}/{len(data)}"}
                    data = data[first:last + 1]
                    bodiless = False
                else:
                    self.send_response(200)
                    bodiless = False
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0" if bodiless else str(len(data)))
                self.send_header("Accept-Ranges", "bytes")
                self.end_headers()
                if not send_body or bodiless:
                    return
                if self.path in origin.dying:
                    self.wfile.write(data[:len(data) // 2])
                    self.wfile.flush()
                    self.close_connection = True
                    return
                try:
                    self.wfile.write(data)
                except ConnectionError:
                    # Whoever asked has left; a fill ends at its block.
                    self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.base = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
