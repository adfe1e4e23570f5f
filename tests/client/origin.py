"""An HTTP origin: objects with ETag, Range and HEAD under /photos/, and paths that behave badly."""

import email.utils
import hashlib
import http.server
import re
import threading
import time
import urllib.parse


SLOW_SECONDS = 0.3


class Origin(http.server.ThreadingHTTPServer):
    """Serves `objects`, key to bytes, on a free port while its `with` block lasts."""

    daemon_threads = True

    def __init__(self, objects):
        self.objects, self.requests, self.closing = objects, [], threading.Event()
        self.modified = email.utils.formatdate(time.time() - 3600, usegmt=True)
        super().__init__(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """A client that hangs up is what some tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.requests.append((self.command, self.path))
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        folder, _, key = path.removeprefix("/").partition("/")
        answers = {"photos": self.object, "slow": self.slow, "hang": self.hang, "stall": self.stall, "fail": self.fail}
        answers.get(folder, self.missing)(key)

    do_HEAD = do_GET

    def object(self, key):
        body = self.server.objects.get(key)
        if body is None:
            return self.missing(key)
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not span:
            return self.answer(200, body, {})
        start, end = int(span[1]), min(int(span[2] or len(body)), len(body) - 1)
        self.answer(206, body[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(body)}"}, body)

    def answer(self, status, body, headers, whole=None):
        self.send_response(status)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.md5(whole or body).hexdigest()}"')
        self.send_header("Last-Modified", self.server.modified)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def slow(self, key):
        """An object, after a while."""
        self.server.closing.wait(SLOW_SECONDS)
        self.object(key)

    def hang(self, _key):
        """Takes the request and never answers."""
        self.server.closing.wait(60)

    def stall(self, _key):
        """Promises a picture and stops after its first bytes."""
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", "100000")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"\xff\xd8\xff\xe0")
            self.wfile.flush()
            self.server.closing.wait(60)

    def fail(self, _key):
        self.send_error(500)

    def missing(self, _key):
        self.send_error(404)

    def log_message(self, *_):
        pass
