"""Disks that fill up lose nothing: a small disk is put under each part of the server's files in turn and filled again and again
while clients submit jobs and upload; what was accepted is compared with what was stored and told once there is room.

    unshare -rm python tests/client/full_disk.py target/debug/mogr --rounds 3

It mounts disks in memory, for which it must be root, or seem to be in a namespace of its own.
"""

import argparse
import base64
import collections
import hashlib
import hmac
import json
import os
import pathlib
import random
import re
import subprocess
import threading
import time
import urllib.parse

import harness
import jobs_crash
import pictures

ACCESS_KEY, SECRET_KEY = jobs_crash.ACCESS_KEY, jobs_crash.SECRET_KEY
WIDTHS = range(40, 120, 8)
BOUNDARY = "----full-disk"
# The longest pause of a job that waits for room is a minute.
PATIENCE_SECONDS = 100
FULL_SECONDS = (1.0, 4.0)
# What is left of the disk while it is full.
LEFT_BYTES = (0, 64 << 10)

parser = argparse.ArgumentParser()
parser.add_argument("mogr")
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--only", help="one of the disks")

# What lies on the small disk: where it is mounted below the test's folder, and how large it is.
DISKS = {
    "database": ("database", "8m"),
    "spool": ("data/spool", "8m"),
    "data_dir": ("data", "12m"),
    "bucket": ("out", "16m"),
    "facts": ("out/.mogr", "2m"),
}


class Disk:
    """A disk in memory, as long as the `with` block."""

    def __init__(self, path, size):
        self.path, self.size = path, size
        self.ballast = path / "ballast"

    def __enter__(self):
        self.path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.path], check=True)
        return self

    def __exit__(self, kind, error, trace):
        subprocess.run(["umount", "--lazy", self.path], check=False)

    def fill(self, left):
        with self.ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(64 << 10))
            except OSError:
                pass
            file.truncate(max(0, file.tell() - left))

    def free(self):
        self.ballast.unlink(missing_ok=True)


def signature(data):
    return f"{ACCESS_KEY}:{b64(hmac.new(SECRET_KEY.encode(), data, hashlib.sha1).digest())}"


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).decode()


class Clients:
    """Two threads that submit jobs and two that upload, until they are stopped."""

    def __init__(self, mogr, receiver, seed):
        self.mogr, self.receiver, self.seed = mogr, receiver, seed
        self.jobs, self.uploads, self.refused = {}, {}, {}
        self.answers = collections.Counter()
        self.numbers, self.lock, self.stopped = iter(range(10**9)), threading.Lock(), threading.Event()
        work = [self.submit, self.submit, self.upload, self.upload]
        self.threads = [threading.Thread(target=self.run, args=(function, seed)) for seed, function in enumerate(work)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def run(self, function, seed):
        chance = random.Random(1000 * self.seed + seed)
        while not self.stopped.is_set():
            with self.lock:
                number = next(self.numbers)
            try:
                answer = function(number, chance)
            except OSError as error:  # The connection broke: whether it was accepted is not known.
                self.answers[type(error).__name__] += 1
                continue
            self.answers[answer.status] += 1
            # Not faster than a small disk bears.
            time.sleep(0.03 if answer.status == 200 else 0.1)

    def submit(self, number, chance):
        width = chance.choice(WIDTHS)
        key = f"jobs/{number}-{width}.jpg"
        fops = f"imageView2/2/w/{width}|saveas/{b64(f'out:{key}')}"
        fields = {"bucket": "photos", "key": "card.jpg", "fops": fops, "notifyURL": self.receiver.url}
        body = urllib.parse.urlencode(fields)
        headers = {
            "Authorization": f"QBox {signature(f'/pfop{chr(10)}{body}'.encode())}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        answer = harness.request(self.mogr.api, "POST", "/pfop", headers, body)
        if answer.status == 200:
            self.jobs[json.loads(answer.body)["persistentId"]] = (key, width)
        return answer

    def upload(self, number, chance):
        key, content = f"files/{number}", chance.randbytes(chance.choice([100, 20_000, 300_000]))
        policy = b64(json.dumps({"scope": f"out:{key}", "deadline": int(time.time()) + 3600, "endUser": key}))
        fields = {"token": f"{signature(policy.encode())}:{policy}", "key": key}
        parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n' for name in fields]
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
        body = "".join([*parts, head]).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        answer = harness.request(self.mogr.api, "POST", "/", headers, body)
        if answer.status == 200:
            self.uploads[key] = content
        else:
            self.refused[key] = answer
        return answer


def told(mogr, clients):
    """Waits until the owner of every accepted job was told, as long as anything happens."""
    seen, since = -1, time.monotonic()
    while untold := set(clients.jobs) - set(clients.receiver.told):
        if len(clients.receiver.told) > seen:
            seen, since = len(clients.receiver.told), time.monotonic()
        if time.monotonic() - since > PATIENCE_SECONDS or mogr.popen.poll() is not None:
            break
        time.sleep(0.1)
    return [(identity, jobs_crash.status(mogr, identity)) for identity in sorted(untold)]


def stat(mogr, key):
    target = f"/stat/{b64(f'out:{key}')}"
    answer = harness.request(mogr.api, "GET", target, {"Authorization": f"QBox {signature(f'{target}{chr(10)}'.encode())}"})
    return answer.status, json.loads(answer.body)


def log_of(mogr):
    return mogr.log.read_text(errors="replace")


def compare(checks, mogr, clients, out):
    checks.equal("jobs whose owner was not told", told(mogr, clients), [])
    expected = {width: mogr.get(f"/photos/card.jpg?imageView2/2/w/{width}").body for width in WIDTHS}
    wrong = []
    for identity, (key, width) in clients.jobs.items():
        document = jobs_crash.status(mogr, identity)
        messages = clients.receiver.told.get(identity, [])
        is_stored = (out / key).exists() and (out / key).read_bytes() == expected[width]
        if document["code"] != 0 or not is_stored or any(message["code"] != 0 for message in messages):
            wrong.append((identity, document))
    checks.equal("jobs without their result", wrong, [])
    lost = [key for key, content in clients.uploads.items() if not (out / key).exists() or (out / key).read_bytes() != content]
    checks.equal("uploads that were accepted and are not there", lost, [])
    bare = [key for key in clients.uploads if key not in lost and stat(mogr, key)[1].get("endUser") != key]
    checks.equal("uploads without what was told of them", bare, [])
    there = [(key, answer) for key, answer in clients.refused.items() if (out / key).exists()]
    checks.equal("uploads that were refused and are there", there, [])
    vague = [answer for answer in clients.refused.values() if answer.status != 507 or b'"error"' not in answer.body]
    checks.equal("refusals that do not say what is the matter", vague, [])
    checks.equal("what is half written", [str(path) for path in out.rglob("*#*")], [])
    harness.wait_until("an empty spool", lambda: not any((out.parent / "data" / "spool").glob("*")))
    log = log_of(mogr)
    checks.equal("panics", re.findall(r".*panicked.*", log), [])
    checks.that("the disk was full", re.search("is full|disk is full|No space left", log))


def check_disk(checks, arguments, name):
    path, size = DISKS[name]
    chance = random.Random(f"{arguments.seed} {name}")
    with harness.folder() as folder:
        folder = pathlib.Path(folder)
        for part in ["photos", "out", "data/spool", "database"]:
            (folder / part).mkdir(parents=True)
        (folder / "photos" / "card.jpg").write_bytes(pictures.jpeg())
        # Where the database is not to fill up with the rest, it lies elsewhere.
        database = folder / ("data" if name == "data_dir" else "database") / "mogr.db"
        config = f"""
database = "sqlite:{database}"
{jobs_crash.places(folder)}
[jobs]
lease = "3s"
workers = 2
"""
        receiver = jobs_crash.Receiver()
        with Disk(folder / path, size) as disk, harness.Mogr(arguments.mogr, folder, config) as mogr:
            with Clients(mogr, receiver, arguments.seed) as clients:
                for _ in range(arguments.rounds):
                    time.sleep(chance.uniform(0.2, 1.0))
                    disk.fill(chance.randrange(*LEFT_BYTES))
                    time.sleep(chance.uniform(*FULL_SECONDS))
                    disk.free()
                time.sleep(0.5)
            failed = checks.failed
            compare(checks, mogr, clients, folder / "out")
            counts = dict(sorted(clients.answers.items(), key=str))
            print(f"  {len(clients.jobs)} jobs, {len(clients.uploads)} uploads; answers {counts}")
            if checks.failed > failed:
                lines = [line[:300] for line in log_of(mogr).splitlines() if '"INFO"' not in line]
                print("\n".join(lines[:20] + lines[-20:]))
    checks.that("the server went on to the end", mogr.popen.returncode in (0, -15), mogr.popen.returncode)


def main():
    arguments = parser.parse_args()
    checks = harness.Checks()
    for name in [arguments.only] if arguments.only else DISKS:
        checks.group(f"a full disk under {name}", check_disk, arguments, name)
    checks.finish()


if __name__ == "__main__":
    main()
