"""Jobs as the official Qiniu SDK for Python submits them: PersistentFop, its status, and uploads that ask for processing.

    python tests/client/qiniu_pfop.py target/debug/mogr
"""

import http.server
import json
import pathlib
import queue
import sys
import threading

import harness
import pictures
import requests
from qiniu import Auth, PersistentFop, build_op, op_save, put_data, set_default, urlsafe_base64_encode
from qiniu.zone import Zone

ACCESS_KEY, SECRET_KEY = "AK_sdk", "SK_sdk"


def configuration(folder):
    return f"""
[keys.{ACCESS_KEY}]
secret = "{SECRET_KEY}"

[buckets.photos]
url = "{(folder / 'photos').as_uri()}"

[buckets.thumbs]
url = "{(folder / 'thumbs').as_uri()}"
domains = ["thumbs.example.com"]
private = true

[fetch]
allow = ["127.0.0.0/8"]
"""


class Receiver:
    """Takes what is POSTed, and keeps it."""

    def __init__(self):
        self.received = queue.Queue()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.put((self.path, self.headers, body))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/done"


class Client:
    def __init__(self, mogr, receiver):
        self.mogr, self.receiver = mogr, receiver
        self.auth = Auth(ACCESS_KEY, SECRET_KEY)
        api = f"http://{mogr.api}"
        set_default(default_zone=Zone(up_host=api, up_host_backup=api, scheme="http"), default_api_host=api)

    def ended(self, fop, identity):
        def document():
            found, info = fop.get_status(identity)
            assert info.status_code == 200, info
            return found if found["code"] not in (1, 2) else None

        return harness.wait_until(f"job {identity}", document)

    def notified(self):
        return self.receiver.received.get(timeout=harness.START_SECONDS)


def a_job_of_the_sdk(checks, client):
    fop = PersistentFop(client.auth, "photos", notify_url=client.receiver.url)
    saved = op_save(build_op("imageView2", "2", w=60), "thumbs", "card-60.jpg")
    answer, info = fop.execute("card.jpg", [saved, "imageInfo"], 1)
    checks.equal("the job is accepted", info.status_code, 200)
    document = client.ended(fop, answer["persistentId"])
    first, second = document["items"]
    checks.equal("it succeeded", (document["code"], first["key"], first["returnOld"]), (0, "card-60.jpg", 0))
    checks.equal("facts are told", (second["result"]["width"], second["result"]["format"]), (pictures.WIDTH, "jpeg"))

    path, headers, body = client.notified()
    checks.equal("its owner is told the same document", json.loads(body), document)
    genuine = client.auth.verify_callback(headers["Authorization"], client.receiver.url, body.decode(), headers["Content-Type"])
    checks.that("the SDK knows who told it", genuine)

    host = "thumbs.example.com"
    url = client.auth.private_download_url(f"http://{host}/card-60.jpg")
    stored = requests.get(url.replace(host, client.mogr.delivery), headers={"Host": host}, timeout=60)
    checks.equal("the result is a private download", stored.status_code, 200)
    checks.equal("of that width", pictures.open_bytes(stored.content).size[0], 60)

    again, _ = PersistentFop(client.auth, "photos").execute("card.jpg", [saved])
    checks.equal("without force it is not made again", client.ended(fop, again["persistentId"])["items"][0]["returnOld"], 1)


def refusals(checks, client):
    fop = PersistentFop(client.auth, "photos")
    for what, key, fops, status in [
        ("a missing source", "nowhere.jpg", ["imageInfo"], 612),
        ("a command that is none", "card.jpg", ["imageView2/2/w/x"], 400),
    ]:
        answer, info = fop.execute(key, fops)
        checks.equal(what, (answer, info.status_code), (None, status))
    answer, info = PersistentFop(client.auth, "elsewhere").execute("card.jpg", ["imageInfo"])
    checks.equal("an unknown bucket", (answer, info.status_code), (None, 631))
    answer, info = PersistentFop(Auth(ACCESS_KEY, "wrong"), "photos").execute("card.jpg", ["imageInfo"])
    checks.equal("another secret", (answer, info.status_code), (None, 401))
    answer, info = fop.get_status("z0.000000000000000000000000")
    checks.equal("an unknown job", (answer, info.status_code), (None, 612))


def an_upload_that_asks_for_processing(checks, client):
    entry = urlsafe_base64_encode("thumbs:up/40.png")
    policy = {
        "persistentOps": f"imageView2/2/w/40/format/png|saveas/{entry}",
        "persistentNotifyUrl": client.receiver.url,
        "persistentPipeline": "uploads",
        "returnBody": '{"key":$(key),"job":$(persistentId),"width":$(imageInfo.width)}',
    }
    token = client.auth.upload_token("photos", "up.jpg", 3600, policy)
    answer, info = put_data(token, "up.jpg", pictures.jpeg())
    checks.equal("the file is stored", (info.status_code, answer and answer["width"]), (200, pictures.WIDTH))
    document = client.ended(PersistentFop(client.auth, "photos"), answer["job"])
    item = document["items"][0]
    checks.equal("its job succeeded", (document["code"], document["pipeline"], item["key"]), (0, "0.uploads", "up/40.png"))
    _, _, body = client.notified()
    checks.equal("its owner is told", json.loads(body)["id"], answer["job"])


def main(binary):
    checks, receiver = harness.Checks(), Receiver()
    with harness.folder() as folder:
        folder = pathlib.Path(folder)
        for name in ["photos", "thumbs"]:
            (folder / name).mkdir()
        (folder / "photos" / "card.jpg").write_bytes(pictures.jpeg())
        with harness.Mogr(binary, folder, configuration(folder)) as mogr:
            client = Client(mogr, receiver)
            checks.group("jobs", a_job_of_the_sdk, client)
            checks.group("refusals", refusals, client)
            checks.group("uploads", an_upload_that_asks_for_processing, client)
    checks.finish()


if __name__ == "__main__":
    main(sys.argv[1])
