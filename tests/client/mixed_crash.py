"""As jobs_crash.py, with jobs of all five APIs at once, and images that are fetched: servers that are killed at random moments lose
none of them.

    python tests/client/mixed_crash.py target/debug/mogr --kills 30
"""

import argparse
import base64
import collections
import hashlib
import hmac
import http.client
import json
import pathlib
import random
import re
import threading
import time

import harness
import pictures
from jobs_crash import ACCESS_KEY, SECRET_KEY, Node, places
from origin import Origin

CLIENTS = 4
WIDTHS = range(20, 60, 4)
PATIENCE_SECONDS = 120
CI_HOST = "photos-1250000000.ci.ap-chongqing.myqcloud.com"

parser = argparse.ArgumentParser()
parser.add_argument("mogr")
parser.add_argument("--kills", type=int, default=20)
parser.add_argument("--seed", type=int, default=1)


def configuration(folder):
    return f"""{places(folder)}
[dlcs]
thumbs = [40]
[dlcs.customers.2]
key = "{ACCESS_KEY}"
bucket = "out"
[altizure]
bucket = "out"
pipeline = "imageView2/2/w/40"
[jobs]
lease = "2s"
max_attempts = 1000
"""


def sha1(secret, text):
    return hmac.new(secret.encode(), text.encode(), hashlib.sha1)


class Door:
    """One API: how a job is submitted, and whether it has ended well."""

    def __init__(self, nodes):
        self.nodes = nodes

    def call(self, method, path, body=None, headers=None, seconds=10):
        """`None` where the server was killed before it answered."""
        node = self.nodes[0]
        try:
            return harness.request(node.api, method, path, headers or {}, body, seconds=seconds)
        except (OSError, http.client.HTTPException):
            return None

    def surely(self, method, path, body=None, headers=None):
        return harness.wait_until(path, lambda: self.call(method, path, body, headers))


class Pfop(Door):
    def submit(self, number, width):
        entry = base64.urlsafe_b64encode(f"out:pfop/{number}.jpg".encode()).decode()
        body = f"bucket=photos&key=card.jpg&fops=imageView2%2F2%2Fw%2F{width}%7Csaveas%2F{entry}"
        digest = base64.urlsafe_b64encode(sha1(SECRET_KEY, f"/pfop\n{body}").digest()).decode()
        headers = {"Authorization": f"QBox {ACCESS_KEY}:{digest}", "Content-Type": "application/x-www-form-urlencoded"}
        answer = self.call("POST", "/pfop", body, headers)
        return json.loads(answer.body)["persistentId"] if answer and answer.status == 200 else None

    def ended(self, identity):
        code = json.loads(self.surely("GET", f"/status/get/prefop?id={identity}").body)["code"]
        return None if code in (1, 2) else code == 0


class Tencent(Door):
    def signed(self, method, path, body=""):
        times = f"{int(time.time()) - 60};{int(time.time()) + 3600}"
        digest = hashlib.sha1(f"{method.lower()}\n{path}\n\nhost={CI_HOST}\n".encode()).hexdigest()
        signature = sha1(sha1(SECRET_KEY, times).hexdigest(), f"sha1\n{times}\n{digest}\n").hexdigest()
        authorization = (
            f"q-sign-algorithm=sha1&q-ak={ACCESS_KEY}&q-sign-time={times}&q-key-time={times}"
            f"&q-header-list=host&q-url-param-list=&q-signature={signature}"
        )
        return self.call(method, path, body, {"Host": CI_HOST, "Authorization": authorization})

    def prepare(self):
        harness.wait_until("the bucket", lambda: (answer := self.signed("POST", "/picbucket")) and answer.status == 200)

    def submit(self, number, width):
        job = (
            "<Request><Tag>PicProcess</Tag><Input><Object>card.jpg</Object></Input><Operation><PicProcess><ProcessRule>"
            f"imageView2/2/w/{width}</ProcessRule></PicProcess><Output><Region>r</Region><Bucket>out-1250000000</Bucket>"
            f"<Object>tencent/{number}.jpg</Object></Output></Operation></Request>"
        )
        answer = self.signed("POST", "/pic_jobs", job)
        return re.search(rb"<JobId>(.*?)</JobId>", answer.body)[1].decode() if answer and answer.status == 200 else None

    def ended(self, identity):
        answer = harness.wait_until("the job", lambda: self.signed("GET", f"/pic_jobs/{identity}"))
        state = re.search(rb"<State>(.*?)</State>", answer.body)[1]
        return None if state in (b"Submitted", b"Running") else state == b"Success"


class Blitline(Door):
    def submit(self, number, width):
        save = {"image_identifier": "one", "s3_destination": {"bucket": "out", "key": f"blitline/{number}.jpg"}}
        function = {"name": "resize_to_fit", "params": {"width": width}, "save": save}
        source = {"name": "s3", "bucket": "photos", "key": "card.jpg"}
        job = {"application_id": ACCESS_KEY, "v": 1.22, "src": source, "functions": [function]}
        answer = self.call("POST", "/job", json.dumps(job), {"Content-Type": "application/json"})
        return json.loads(answer.body)["results"]["job_id"] if answer and answer.status == 200 else None

    def ended(self, identity):
        document = json.loads(self.surely("GET", f"/poll?job_id={identity}").body)
        return "errors" not in document.get("results", document) if document["is_complete"] else None


class Dlcs(Door):
    authorization = "Basic " + base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode()

    def signed(self, method, path, document=None):
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        return self.call(method, path, json.dumps(document) if document is not None else None, headers)

    def prepare(self):
        harness.wait_until("the space", lambda: self.signed("PUT", "/customers/2/spaces/1", {"name": "one"}))

    def submit(self, number, width):
        members = [
            {"id": f"{number}-{part}", "space": 1, "origin": "s3://photos/card.jpg", "mediaType": "image/jpeg"} for part in range(2)
        ]
        answer = self.signed("POST", "/customers/2/queue", {"@type": "Collection", "member": members})
        return json.loads(answer.body)["@id"].split("/")[-1] if answer and answer.status == 201 else None

    def ended(self, identity):
        answer = harness.wait_until("the batch", lambda: self.signed("GET", f"/customers/2/queue/batches/{identity}"))
        batch = json.loads(answer.body)
        return (batch["completed"], batch["errors"]) == (2, 0) if "finished" in batch else None


class Altizure(Door):
    def ask(self, query, token=None):
        headers = {"Content-Type": "application/json", "key": ACCESS_KEY} | ({"altitoken": token} if token else {})
        answer = self.call("POST", "/graphql", json.dumps({"query": query}), headers)
        document = json.loads(answer.body) if answer and answer.status == 200 else {}
        return None if document.get("errors") else document.get("data")

    def prepare(self):
        login = f'mutation {{ getUserToken(email: "{ACCESS_KEY}", password: "{SECRET_KEY}", fresh: false) }}'
        self.token = harness.wait_until("a token", lambda: self.ask(login))["getUserToken"]

    def submit(self, number, width):
        """A project with one image, and the task over it."""
        made = self.ask(f'mutation {{ createProject(name: "p{number}") {{ id }} }}', self.token)
        if not made:
            return None
        project = made["createProject"]["id"]
        # Runs once the image has been looked at.
        options = f'mutation {{ preStartReconstruction(id: "{project}") {{ error {{ code }} }} }}'
        return project if self.send(project) and self.ask(options, self.token) else None

    def send(self, project):
        upload = self.ask(
            f'mutation {{ uploadImageS3(pid: "{project}", bucket: Local, filename: "card.jpg", type: JPEG) {{ url image {{ id }} }} }}',
            self.token,
        )
        if not upload:
            return False
        path = re.sub(r"^https?://[^/]*", "", upload["uploadImageS3"]["url"])
        put = self.call("PUT", path, pictures.jpeg(), {"Content-Type": "image/jpeg"})
        return put and put.status == 200

    def ended(self, identity):
        found = harness.wait_until("the project", lambda: self.ask(f'{{ project(id: "{identity}") {{ taskState }} }}', self.token))
        state = found["project"]["taskState"]
        return state == "Done" if state in ("Done", "Failed", "Stopped") else None


class AltizureUrl(Altizure):
    """The server fetches the image, which takes long enough that it is often killed meanwhile."""

    def send(self, project):
        return self.ask(f'mutation {{ uploadImageURL(pid: "{project}", url: "{self.url}") {{ id }} }}', self.token)


DOORS = (Pfop, Tencent, Blitline, Dlcs, Altizure, AltizureUrl)


class Clients:
    """Threads that submit by a door of their own choice, until they are stopped."""

    def __init__(self, doors):
        self.doors, self.accepted = doors, collections.defaultdict(list)
        self.numbers, self.lock, self.stopped = iter(range(10**9)), threading.Lock(), threading.Event()

        self.threads = [threading.Thread(target=self.run, args=(seed,)) for seed in range(CLIENTS)]

    def run(self, seed):
        chance = random.Random(seed)
        while not self.stopped.is_set():
            door = chance.choice(self.doors)
            with self.lock:
                number = next(self.numbers)
            identity = door.submit(number, chance.choice(WIDTHS))
            if identity is not None:
                with self.lock:
                    self.accepted[door].append(identity)
            time.sleep(0.05)


def compare(checks, clients):
    for door, identities in clients.accepted.items():
        left, bad, since = set(identities), [], time.monotonic()
        while left and time.monotonic() - since < PATIENCE_SECONDS:
            for identity in sorted(left):
                if (ended := door.ended(identity)) is not None:
                    left.discard(identity)
                    bad += [] if ended else [identity]
            time.sleep(0.1)
        name = type(door).__name__
        checks.that(f"{name}: {len(identities)} were accepted", identities)
        checks.equal(f"{name}: those that have not ended", sorted(left), [])
        checks.equal(f"{name}: those that ended badly", bad, [])


def main():
    arguments = parser.parse_args()
    chance, checks = random.Random(arguments.seed), harness.Checks()
    with harness.folder() as name, Origin({"card.jpg": pictures.jpeg()}) as origin:
        folder = pathlib.Path(name)
        AltizureUrl.url = f"http://127.0.0.1:{origin.server_port}/slow/card.jpg"
        for part in ("photos", "out", "node"):
            (folder / part).mkdir()
        (folder / "photos" / "card.jpg").write_bytes(pictures.jpeg())
        node = Node(arguments.mogr, folder / "node", configuration(folder))
        node.start()
        try:
            doors = [door([node]) for door in DOORS]
            for door in doors:
                if hasattr(door, "prepare"):
                    door.prepare()
            clients = Clients(doors)
            for thread in clients.threads:
                thread.start()
            for _ in range(arguments.kills):
                time.sleep(chance.uniform(0.05, 0.8))
                node.kill()
                node.start()
            clients.stopped.set()
            for thread in clients.threads:
                thread.join()
            compare(checks, clients)
            for path in (folder / "out").rglob("*.jpg"):
                if not path.read_bytes().endswith(b"\xff\xd9"):
                    checks.that(f"{path.relative_to(folder)} is whole", False)
        finally:
            node.kill()
            if checks.failed:
                print((folder / "node" / "mogr.log").read_text(errors="replace")[-4000:])
    checks.finish()


if __name__ == "__main__":
    main()
