"""Projects of images as generic clients send them: gql, which checks every document against the server's own schema, and oss2, the
vendor's client of OSS; for Node.js graphql-request (`altizure_node.js`), and axios with ali-oss (`altizure_oss.js`).

    python tests/client/altizure_python.py target/debug/mogr target/clients/npm/node_modules [FOLDER]

With FOLDER, what a task stored is copied there to look at.
"""

import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import threading

import gql
import oss2
from gql.transport.exceptions import TransportQueryError
from gql.transport.requests import RequestsHTTPTransport

import harness
import pictures

ACCESS_KEY, SECRET_KEY = "AK_altizure", "SK_altizure"
SCRIPTS = pathlib.Path(__file__).parent
BEARER = "drive-token"


def picture(number):
    return pictures.encode(pictures.card(200 + number, 100), "JPEG", quality=90)


def sha1(data):
    return hashlib.sha1(data).hexdigest()


class Origin(http.server.BaseHTTPRequestHandler):
    """A drive that wants a token."""

    def do_GET(self):
        allowed = self.headers.get("authorization") == f"Bearer {BEARER}"
        body = picture(5) if allowed else b"no"
        self.send_response(200 if allowed else 403)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class User:
    """A user of the API, with a client that has fetched the schema."""

    def __init__(self, mogr):
        self.mogr, url = mogr, f"http://{mogr.api}/graphql"
        anybody = self.client(url, {"key": ACCESS_KEY})
        query = "mutation ($e: String!, $p: String!) { getUserToken(email: $e, password: $p) }"
        token = self.execute(anybody, query, e=ACCESS_KEY, p=SECRET_KEY)["getUserToken"]
        self.own = self.client(url, {"key": ACCESS_KEY, "altitoken": token})
        self.token = token

    @staticmethod
    def client(url, headers):
        return gql.Client(transport=RequestsHTTPTransport(url, headers=headers), fetch_schema_from_transport=True)

    @staticmethod
    def execute(client, query, **variables):
        request = gql.gql(query)
        request.variable_values = variables
        return client.execute(request)

    def ask(self, query, **variables):
        return self.execute(self.own, query, **variables)

    def put(self, url, data):
        address, _, target = url.removeprefix("http://").partition("/")
        return harness.request(address, "PUT", f"/{target}", {"Content-Type": "image/jpeg"}, data).status

    def register(self, pid, name, data, checksum=None, kind="JPEG"):
        query = """mutation ($pid: ID!, $name: String!, $type: IMAGE_TYPE, $sum: String) {
            uploadImageS3(pid: $pid, bucket: Local, filename: $name, type: $type, checksum: $sum) { url image { id } } }"""
        told = self.ask(query, pid=pid, name=name, type=kind, sum=checksum or sha1(data))["uploadImageS3"]
        return told["url"], told["image"]["id"]

    def image(self, pid, image):
        query = "query ($pid: ID!, $id: ID!) { project(id: $pid) { image(id: $id) { state error } } }"
        return self.ask(query, pid=pid, id=image)["project"]["image"]

    def settled(self, pid, image):
        final = lambda: (found := self.image(pid, image))["state"] in ("Ready", "Invalid") and found
        return harness.wait_until(f"image {image}", final)

    def start(self, pid, call):
        query = "mutation ($id: ID!) { %s(id: $id, options: {taskType: Native}) { error { code message } task { id state } } }"
        return self.ask(query % call, id=pid)[call]

    def task_state(self, pid):
        return self.ask("query ($id: ID!) { project(id: $id) { taskState } }", id=pid)["project"]["taskState"]


def uploads(checks, user, origin, pid, folder, out):
    told = user.ask('{ getGeoIPInfo { nearestBuckets { bucket cloud } } __type(name: "BucketS3") { enumValues { name } } }')
    nearest = next(it["bucket"] for it in told["getGeoIPInfo"]["nearestBuckets"] if it["cloud"].lower() == "s3")
    checks.that("the nearest bucket is in the enum", nearest in [it["name"] for it in told["__type"]["enumValues"]], told)
    ids = []
    for name, data, kind in [("a.jpg", picture(1), "JPEG"), ("b.jpg", picture(2), "JPEG"), ("c.png", pictures.encode(pictures.card(), "PNG"), "PNG")]:
        url, image = user.register(pid, name, data, kind=kind)
        user.ask("mutation ($id: ID!) { startImageUpload(id: $id) { id state } }", id=image)
        checks.equal(f"{name} is taken", user.put(url, data), 200)
        ids.append(image)
    ids.append(by_oss(checks, user, pid, picture(4)))
    query = """mutation ($pid: ID!, $url: String!, $token: String) {
        uploadImageURL(pid: $pid, url: $url, filename: "e.jpg", token: $token) { id state } }"""
    ids.append(user.ask(query, pid=pid, url=origin, token=BEARER)["uploadImageURL"]["id"])
    for image in ids:
        checks.equal(f"{image} is Ready", user.settled(pid, image), {"state": "Ready", "error": []})
    total = user.ask("query ($id: ID!) { project(id: $id) { allImages { totalCount } } }", id=pid)
    checks.equal("all are listed", total["project"]["allImages"]["totalCount"], 5)
    has = "mutation ($pid: ID!, $sum: String!) { hasImage(pid: $pid, checksum: $sum) { id } }"
    checks.equal("what was sent is known", user.ask(has, pid=pid, sum=sha1(picture(1)))["hasImage"], {"id": ids[0]})
    checks.equal("what was not is not", user.ask(has, pid=pid, sum=sha1(b"x"))["hasImage"], None)
    refused = user.ask(query, pid=pid, url=origin, token="wrong")["uploadImageURL"]["id"]
    checks.equal("a drive that refuses", user.settled(pid, refused)["state"], "Invalid")


def by_oss(checks, user, pid, data):
    sts = user.ask("""mutation ($pid: ID!) { uploadImageOSS(pid: $pid, bucket: Local, filename: "") {
        sts { id secret token bucket endpoint expire } } }""", pid=pid)["uploadImageOSS"]["sts"]
    count = user.ask("query ($id: ID!) { project(id: $id) { numImage } }", id=pid)["project"]["numImage"]
    checks.equal("credentials are for no image", count, 3)
    image = user.ask("""mutation ($pid: ID!, $sum: String) { uploadImageOSS(pid: $pid, bucket: Local, filename: "d.jpg",
        type: JPEG, checksum: $sum) { image { id filename } } }""", pid=pid, sum=sha1(data))["uploadImageOSS"]["image"]
    user.ask("mutation ($id: ID!) { startImageUpload(id: $id) { id } }", id=image["id"])
    bucket = oss2.Bucket(oss2.StsAuth(sts["id"], sts["secret"], sts["token"]), sts["endpoint"], sts["bucket"])
    checks.equal("oss2 puts an object", bucket.put_object(f"{pid}/{image['filename']}", data).status, 200)
    for key in ["elsewhere/a.jpg", "5f1c2e8b38b9f324e8a1b2c3/a.jpg", f"{pid}/unregistered.jpg"]:
        try:
            bucket.put_object(key, data)
            checks.that(f"{key} is refused", False, "it was taken")
        except oss2.exceptions.ServerError as error:
            checks.that(f"{key} is refused", error.status in (403, 404), error.status)
    user.ask("mutation ($id: ID!) { doneImageUpload(id: $id) { state } }", id=image["id"])
    return image["id"]


def promises(checks, user, pid):
    data = picture(7)
    url, image = user.register(pid, "g.jpg", data)
    user.put(url, picture(8))
    found = user.settled(pid, image)
    checks.that("other bytes than promised", found["state"] == "Invalid" and found["error"], found)
    url, again = user.register(pid, "g.jpg", data)
    checks.equal("registered again it is the same image", again, image)
    user.put(url, data)
    checks.equal("and Ready", user.settled(pid, image)["state"], "Ready")
    try:
        user.ask("{ my { nothing } }")
        checks.that("documents are checked by the schema", False, "it was sent")
    except Exception as error:
        checks.that("documents are checked by the schema", not isinstance(error, TransportQueryError), error)


def tasks(checks, user, pid, folder, out):
    data = picture(9)
    url, image = user.register(pid, "h.jpg", data)
    user.ask("mutation ($id: ID!) { startImageUpload(id: $id) { id } }", id=image)
    checks.equal("it will start by itself", user.start(pid, "preStartReconstruction"), {"error": None, "task": None})
    checks.equal("and has not", user.task_state(pid), None)
    user.put(url, data)
    harness.wait_until("the task", lambda: user.task_state(pid) == "Done")
    results = sorted((folder / "photos" / pid / "results").glob("*/*"))
    checks.equal("each Ready image has a result", len(results), 7)
    for result in results:
        checks.equal(f"{result.name} has the size", max(pictures.open_bytes(result.read_bytes()).size), 64)
    if out:
        (pathlib.Path(out) / "altizure_result.jpg").write_bytes(results[0].read_bytes())
    empty = user.ask('mutation { createProject(name: "empty") { id } }')["createProject"]["id"]
    refused = user.start(empty, "startReconstructionWithError")
    checks.that("an empty project has no task", refused["task"] is None and refused["error"]["code"] == 2, refused)


def node(modules, script, *arguments):
    """What a script of this folder says in the end."""
    command = ["node", SCRIPTS / script, *arguments]
    environment = {**harness.local_environment(), "NODE_PATH": os.path.abspath(modules)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"node ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def graphql_request(checks, user, mogr, modules, folder):
    file = folder / "node.jpg"
    file.write_bytes(picture(20))
    told = node(modules, "altizure_node.js", f"http://{mogr.api}/graphql", ACCESS_KEY, user.token, file)
    checks.equal("the upload", (told["put"], told["image"]["state"], told["known"]["id"]), (200, "Ready", told["image"]["id"]))
    checks.that("an error is one", "expected one of Local" in told["error"], told["error"])


def ali_oss(checks, user, mogr, modules, folder):
    pictures_of = {way: picture(30 + number) for number, way in enumerate(["host", "path", "nowhere"])}
    for way, data in pictures_of.items():
        (folder / f"oss_{way}.jpg").write_bytes(data)
    files = [folder / f"oss_{way}.jpg" for way in pictures_of]
    told = node(modules, "altizure_oss.js", mogr.api, ACCESS_KEY, user.token, *files)
    for way in pictures_of:
        checks.equal(f"a bucket by {way}", (told["put"][way], told["images"][way]["state"]), (200, "Ready"))
    checks.equal("an image is where its url says", told["downloaded"], sha1(pictures_of["host"]))
    for name, problem in {"denied": "403 AccessDenied: ", "parts": "501 NotImplemented: ", "got": "501 NotImplemented: "}.items():
        checks.that(f"{name} has an error of OSS", told[name].startswith(problem), told[name])


def main(binary, modules, out=None):
    checks = harness.Checks()
    with harness.folder() as folder:
        folder = pathlib.Path(folder)
        (folder / "photos").mkdir()
        config = f"""
[keys.{ACCESS_KEY}]
secret = "{SECRET_KEY}"
[buckets.photos]
url = "{(folder / 'photos').as_uri()}"
[altizure]
bucket = "photos"
pipeline = "imageView2/2/w/64/h/64"
[fetch]
allow = ["127.0.0.0/8"]
"""
        origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        drive = f"http://127.0.0.1:{origin.server_port}/drive/e.jpg"
        with harness.Mogr(binary, folder, config) as mogr:
            user = User(mogr)
            pid = user.ask('mutation { createProject(name: "spring", type: free) { id } }')["createProject"]["id"]
            checks.group("uploads", uploads, user, drive, pid, folder, out)
            checks.group("promises", promises, user, pid)
            checks.group("tasks", tasks, user, pid, folder, out)
            checks.group("graphql-request", graphql_request, user, mogr, modules, folder)
            checks.group("ali-oss", ali_oss, user, mogr, modules, folder)
        origin.shutdown()
    checks.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
