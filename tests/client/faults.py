"""Delivery while everything around it fails: origins that stall, reset, lie about lengths and answer 500, a store for results that
is full and then read-only, clients that leave, and a clock that jumps. Under load, nothing wrong may be served, no request may
outlive its deadline, and what does not depend on the broken parts goes on.

    python tests/client/faults.py target/debug/mogr --seconds 60

The store's disk is mounted where that is allowed (`unshare -rm`), and the clock jumps where `faketime` is installed; what cannot be
done is said.
"""

import argparse
import collections
import contextlib
import http.client
import pathlib
import random
import socket
import struct
import subprocess
import threading
import time

import harness
import origin
import pictures
from PIL import Image

LIMIT_SECONDS = 4
# A request that takes longer is stuck: machines are slow, but not by so much.
STUCK_SECONDS = 30
CLIENTS = 16
WIDTHS = range(40, 100, 5)
KEYS = ("noise.jpg", "hole.png")
FAKETIME = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

parser = argparse.ArgumentParser()
parser.add_argument("mogr")
parser.add_argument("--seconds", type=float, default=8)
parser.add_argument("--seed", type=int, default=1)


class Flaky(origin.Handler):
    """Below /flaky/, each request for an object has another ending."""

    def do_GET(self):
        if not self.path.startswith("/flaky/"):
            return super().do_GET()
        key = self.path.removeprefix("/flaky/").partition("?")[0]
        body = self.server.objects.get(key)
        if body is None:
            return self.missing(key)
        endings = self.whole, self.whole, self.error, self.reset, self.halve, self.promise, self.less, self.halt, self.drip
        random.choice(endings)(body)

    do_HEAD = do_GET

    def head(self, length):
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def send(self, body):
        if self.command != "HEAD":
            self.wfile.write(body)

    def whole(self, body):
        self.answer(200, body, {})

    def error(self, _body):
        self.send_error(random.choice((500, 502, 503, 429)))

    def reset(self, _body=b""):
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def halve(self, body):
        """Breaks off in the middle."""
        self.head(len(body))
        self.send(body[: len(body) // 2])
        self.wfile.flush()
        self.reset()

    def promise(self, body):
        """Announces more than it has."""
        self.head(len(body) + 1000)
        self.send(body)
        self.close_connection = True

    def less(self, body):
        """Announces less than it has, so that half of it is read as all."""
        self.head(len(body) // 2)
        self.send(body)
        self.close_connection = True

    def halt(self, body):
        self.head(len(body))
        self.send(body[:100])
        self.wfile.flush()
        self.server.closing.wait(STUCK_SECONDS)

    def drip(self, body):
        self.head(len(body))
        for at in range(0, len(body), 64):
            self.send(body[at : at + 64])
            if self.server.closing.wait(0.05):
                return

    def finish(self):
        with contextlib.suppress(OSError, ValueError):
            super().finish()


def configuration(folder, port, tier):
    return f"""
[cache]
memory_bytes = "64KiB"
source_memory_bytes = "64KiB"
store = "{tier.as_uri()}"
stale_if_error = "0s"
fresh = "0s"
[limits]
time = "{LIMIT_SECONDS}s"
[fetch]
allow = ["127.0.0.0/8"]
timeout = "2s"
[buckets.near]
url = "{(folder / 'near').as_uri()}"
domains = ["near.example.com"]
[buckets.far]
url = "http://127.0.0.1:{port}/photos/"
domains = ["far.example.com"]
[buckets.flaky]
url = "http://127.0.0.1:{port}/flaky/"
domains = ["flaky.example.com"]
"""


def noise():
    """A JPEG of some 100 KB, so that it comes in pieces."""
    small = Image.frombytes("RGB", (60, 40), random.randbytes(60 * 40 * 3))
    return pictures.encode(small.resize((900, 600)), "JPEG", quality=95)


@contextlib.contextmanager
def small_disk(path):
    """A disk of 1 MiB at `path`, where one may be mounted; says whether it is."""
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], stderr=subprocess.DEVNULL)
    try:
        yield mounted.returncode == 0
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", path], check=False)


class Clock:
    """The server's wall clock, which jumps where that can be had."""

    def __init__(self, folder):
        self.file = folder / "clock"
        self.set("+0d")

    def set(self, offset):
        self.file.write_text(offset)

    def environment(self):
        if not FAKETIME:
            return None
        return harness.local_environment() | {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


class Load:
    """Clients at work: what they were answered, and what was wrong with it."""

    def __init__(self, server, right, seed):
        self.server, self.right = server, right
        self.statuses = collections.defaultdict(collections.Counter)
        self.wrong, self.stuck, self.slowest = [], [], 0
        self.lock, self.over = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(random.Random(seed * 1000 + n),)) for n in range(CLIENTS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def client(self, rng):
        while not self.over.is_set():
            bucket = rng.choice(("near", "near", "far", "flaky", "flaky"))
            what = (rng.choice(KEYS), rng.choice(WIDTHS))
            if rng.random() < 0.1:
                self.leave(bucket, what, rng)
            else:
                self.ask(bucket, what)

    def ask(self, bucket, what):
        started = time.monotonic()
        try:
            answer = harness.request(self.server.delivery, "GET", target(*what), {"Host": f"{bucket}.example.com"}, seconds=STUCK_SECONDS)
        except (TimeoutError, OSError, http.client.HTTPException) as error:
            with self.lock:
                self.stuck.append((bucket, what, repr(error)))
            return
        with self.lock:
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.statuses[bucket][answer.status] += 1
            if answer.status == 200 and answer.body != self.right[what]:
                self.wrong.append((bucket, what, len(answer.body)))

    def leave(self, bucket, what, rng):
        """Asks, and is gone before the answer."""
        host, port = self.server.delivery.split(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(f"GET {target(*what)} HTTP/1.1\r\nHost: {bucket}.example.com\r\n\r\n".encode())
            time.sleep(rng.random() / 20)


def target(key, width):
    return f"/{key}?imageView2/2/w/{width}"


def nothing_wrong(checks, arguments):
    random.seed(arguments.seed)
    objects = {"noise.jpg": noise(), "hole.png": pictures.png_with_hole()}
    with harness.folder() as name:
        folder = pathlib.Path(name)
        (folder / "near").mkdir()
        for key, body in objects.items():
            (folder / "near" / key).write_bytes(body)
        clock = Clock(folder)
        with small_disk(folder / "tier") as is_small, origin.Origin(objects) as server_of_sources:
            server_of_sources.RequestHandlerClass = Flaky
            config = configuration(folder, server_of_sources.server_address[1], folder / "tier")
            with harness.Mogr(arguments.mogr, folder, config, env=clock.environment()) as server:
                right = {(key, width): server.get(target(key, width), "near.example.com").body for key in KEYS for width in WIDTHS}
                with Load(server, right, arguments.seed) as load:
                    disturb(folder / "tier", is_small, clock, arguments.seconds)
                report(checks, load, server.popen)
                if FAKETIME:
                    days = {line[14:24] for line in server.log.read_text().splitlines() if line.startswith('{"timestamp"')}
                    checks.that("the clock jumped", len(days) >= 2, days)
                after(checks, server, right)


def disturb(tier, is_small, clock, seconds):
    """A quarter of the time each: a store that works, that is full, that may only be read; and jumps of the clock."""
    for stage in ("", "full", "read-only", "jumps"):
        if stage == "full" and is_small:
            with contextlib.suppress(OSError), (tier / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(bytes(4096))
        if stage == "read-only" and is_small:
            subprocess.run(["mount", "-o", "remount,ro", tier], check=False)
        if stage == "jumps":
            for offset in ("+3d", "-3d", "+0d"):
                clock.set(offset)
                time.sleep(seconds / 16)
        time.sleep(seconds / 4 if stage != "jumps" else seconds / 16)
    for what, is_done in (("a small disk for the store", is_small), ("a clock that jumps", bool(FAKETIME))):
        if not is_done:
            print(f"  not done: {what}")


def report(checks, load, process):
    for bucket, statuses in sorted(load.statuses.items()):
        print(f"  {bucket}: {dict(sorted(statuses.items()))}")
    print(f"  slowest answer: {load.slowest:.1f} s")
    checks.equal("nothing wrong is served", load.wrong, [])
    checks.equal("no request is stuck", load.stuck, [])
    checks.that("the server lives", process.poll() is None)
    for bucket in ("near", "far"):
        others = set(load.statuses[bucket]) - {200, 503, 504}
        checks.equal(f"bucket {bucket}, whose sources are fine, answers or says that there is too much to do", others, set())
        checks.that(f"bucket {bucket} is answered", load.statuses[bucket][200] > 0, load.statuses[bucket])
    flaky = load.statuses["flaky"]
    checks.that("bucket flaky is answered with pictures and with failures", flaky[200] > 0 and len(flaky) > 1, flaky)


def after(checks, server, right):
    for what, body in right.items():
        checks.equal(f"afterwards {target(*what)}", server.get(target(*what), "near.example.com").body == body, True)


def main():
    arguments = parser.parse_args()
    checks = harness.Checks()
    checks.group("delivery among failures", nothing_wrong, arguments)
    checks.finish()


if __name__ == "__main__":
    main()
