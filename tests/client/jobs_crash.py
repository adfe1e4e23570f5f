"""Servers that are killed at random moments lose no job: kill -9 while clients submit, then compare what was accepted with
what was stored and what was told.

    python tests/client/jobs_crash.py target/debug/mogr --kills 200
    python tests/client/jobs_crash.py target/debug/mogr --kills 50 --nodes 2 --database postgres://…
"""

import argparse
import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import random
import signal
import socketserver
import subprocess
import threading
import time
import urllib.parse

import harness
import pictures

ACCESS_KEY, SECRET_KEY = "AK_crash", "SK_crash"
WIDTHS = range(20, 60, 4)
CLIENTS = 4
# How long nothing at all may happen in the end; a lease that passes is part of it.
PATIENCE_SECONDS = 60
# Clients wait while so many jobs have not been told of: what a loaded machine does in the end shall not take long.
MOST_OPEN = 300

parser = argparse.ArgumentParser()
parser.add_argument("mogr")
parser.add_argument("--kills", type=int, default=20)
parser.add_argument("--nodes", type=int, default=1)
parser.add_argument("--database")
parser.add_argument("--seed", type=int, default=1)


def places(folder):
    """A key, buckets to take from and to store into, and who may be told."""
    return f"""
[keys.{ACCESS_KEY}]
secret = "{SECRET_KEY}"
[buckets.photos]
url = "{(folder / 'photos').as_uri()}"
[buckets.out]
url = "{(folder / 'out').as_uri()}"
[fetch]
allow = ["127.0.0.0/8"]
"""


class Receiver:
    """Takes notifications, and refuses one in ten at first."""

    def __init__(self):
        self.told, self.lock = {}, threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                refuse = receiver.take(json.loads(body))
                self.send_response(503 if refuse else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/done"

    def take(self, document):
        with self.lock:
            documents = self.told.setdefault(document["id"], [])
            documents.append(document)
            return len(documents) == 1 and len(self.told) % 10 == 0


class Node:
    """One server, which is killed and started again on its own ports."""

    def __init__(self, binary, folder, config):
        self.binary, self.folder, self.config = binary, folder, config
        self.delivery, self.api = (f"127.0.0.1:{harness.free_port()}" for _ in range(2))
        self.popen = None

    def start(self):
        path = self.folder / "mogr.toml"
        path.write_text(f'listen = "{self.delivery}"\napi_listen = "{self.api}"\ndata_dir = "{self.folder}/data"\n{self.config}')
        command = [self.binary, "serve", "--config", path, "--styles", self.folder / "styles.toml"]
        log = (self.folder / "mogr.log").open("ab")
        self.popen = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=harness.local_environment())
        harness.wait_until("mogr", self.is_well, self.popen)

    def is_well(self):
        try:
            return harness.request(self.api, "GET", "/healthz").status == 200
        except OSError:
            return False

    def kill(self):
        self.popen.send_signal(signal.SIGKILL)
        self.popen.wait()


class Clients:
    """Threads that submit jobs to whichever node answers, until they are stopped."""

    def __init__(self, nodes, receiver):
        self.nodes, self.receiver = nodes, receiver
        self.accepted, self.numbers, self.lock, self.stopped = {}, iter(range(10**9)), threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(seed,)) for seed in range(CLIENTS)]

    def run(self, seed):
        chance = random.Random(seed)
        while not self.stopped.is_set():
            if len(self.accepted) - len(self.receiver.told) > MOST_OPEN:
                time.sleep(0.02)
                continue
            with self.lock:
                number = next(self.numbers)
            width = chance.choice(WIDTHS)
            identity = self.submit(chance.choice(self.nodes), number, width)
            if identity is None:
                time.sleep(0.02)
            else:
                self.accepted[identity] = (number, width)

    def submit(self, node, number, width):
        entry = base64.urlsafe_b64encode(f"out:{key_of(number, width)}".encode()).decode()
        fops = f"imageView2/2/w/{width}|saveas/{entry}"
        fields = {"bucket": "photos", "key": "card.jpg", "fops": fops, "notifyURL": self.receiver.url}
        body = urllib.parse.urlencode(fields)
        digest = hmac.new(SECRET_KEY.encode(), f"/pfop\n{body}".encode(), hashlib.sha1).digest()
        headers = {
            "Authorization": f"QBox {ACCESS_KEY}:{base64.urlsafe_b64encode(digest).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        try:
            answer = harness.request(node.api, "POST", "/pfop", headers, body, seconds=10)
        except (OSError, harness.http.client.HTTPException):
            return None  # Killed before it answered: the job may be there or not.
        return json.loads(answer.body)["persistentId"] if answer.status == 200 else None


def key_of(number, width):
    return f"{number % 50}/{number}-{width}.jpg"


def status(node, identity):
    answer = harness.request(node.api, "GET", f"/status/get/prefop?id={identity}")
    return json.loads(answer.body)


def finished(node, clients, receiver, checks):
    """Waits until the owner of every accepted job was told, as long as anything happens."""
    seen, since = -1, time.monotonic()
    while untold := set(clients.accepted) - set(receiver.told):
        if len(receiver.told) > seen:
            seen, since = len(receiver.told), time.monotonic()
        if time.monotonic() - since > PATIENCE_SECONDS:
            break
        time.sleep(0.2)
    open_jobs = [identity for identity in clients.accepted if status(node, identity).get("code") in (1, 2)]
    checks.equal("accepted jobs whose owner was not told", sorted(untold), [])
    checks.equal("accepted jobs that have not ended", open_jobs, [])


def main():
    arguments = parser.parse_args()
    chance, checks, receiver = random.Random(arguments.seed), harness.Checks(), Receiver()
    with harness.folder() as folder:
        folder = pathlib.Path(folder)
        for name in ["photos", "out"]:
            (folder / name).mkdir()
        (folder / "photos" / "card.jpg").write_bytes(pictures.jpeg())
        database = f'database = "{arguments.database}"\n' if arguments.database else ""
        config = f"""{database}
{places(folder)}
[jobs]
lease = "2s"
# A job that is killed again and again is no fault of its own here.
max_attempts = 1000
"""
        nodes = []
        for index in range(arguments.nodes):
            (folder / f"node{index}").mkdir()
            nodes.append(Node(arguments.mogr, folder / f"node{index}", config))
        for node in nodes:
            node.start()
        clients = Clients(nodes, receiver)
        for thread in clients.threads:
            thread.start()
        try:
            for _ in range(arguments.kills):
                time.sleep(chance.uniform(0.02, 0.6))
                node = chance.choice(nodes)
                node.kill()
                node.start()
        finally:
            clients.stopped.set()
            for thread in clients.threads:
                thread.join()
        try:
            compare(checks, nodes[0], clients, receiver, folder / "out")
        finally:
            for node in nodes:
                node.kill()
            if checks.failed:
                print((folder / "node0" / "mogr.log").read_text(errors="replace")[-4000:])
    checks.finish()


def compare(checks, node, clients, receiver, out):
    checks.that(f"{len(clients.accepted)} jobs were accepted", len(clients.accepted) > 0)
    finished(node, clients, receiver, checks)
    expected = {width: harness.request(node.delivery, "GET", f"/photos/card.jpg?imageView2/2/w/{width}").body for width in WIDTHS}
    wrong, repeated = [], 0
    for identity, (number, width) in clients.accepted.items():
        document = status(node, identity)
        path = out / key_of(number, width)
        if document["code"] != 0 or not path.exists() or path.read_bytes() != expected[width]:
            wrong.append((identity, document))
        if any(told["code"] != 0 for told in receiver.told.get(identity, [])):
            wrong.append((identity, "told of a failure"))
        repeated += len(receiver.told.get(identity, [])) > 1
    checks.equal("jobs without their result", wrong, [])
    # Also results of jobs whose acceptance nobody heard of are whole. What is being written has another name, with a #.
    stored = list(out.rglob("*.jpg"))
    torn = [path.name for path in stored if path.read_bytes() != expected[int(path.stem.split("-")[1])]]
    checks.equal("torn objects", torn, [])
    print(f"  {len(stored)} objects, {len(receiver.told)} jobs told, {repeated} of them more than once")


if __name__ == "__main__":
    main()
