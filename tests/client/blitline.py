"""Jobs of Blitline clients: `simple_blitline_node` (`blitline.js`), and the wrappings of the others over plain HTTP. A listener
takes the postbacks.

    python tests/client/blitline.py target/debug/mogr target/clients/npm/node_modules [FOLDER_FOR_PICTURES]
"""

import http.server
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import urllib.parse

import harness
import pictures

KEY = "AK_blitline"
SCRIPT = pathlib.Path(__file__).with_name("blitline.js")
SECONDS = 60


class Listener:
    """Takes whatever is posted; the first answer may be a refusal."""

    def __init__(self, refusals=0):
        self.taken = queue.Queue()
        listener = self
        listener.refusals = refusals

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.taken.put((self.headers["Content-Type"], dict(self.headers), body))
                status = 503 if listener.refusals > 0 else 200
                listener.refusals -= 1
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/done"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        return self.taken.get(timeout=SECONDS)


def job(mogr, *functions, **fields):
    return {
        "application_id": KEY,
        "src": f"http://{mogr.delivery}/photos/card.jpg",
        "v": 1.22,
        "functions": list(functions),
        **fields,
    }


def saved(name, identifier, functions=(), **params):
    return {"name": name, "params": params, "save": {"image_identifier": identifier}, "functions": list(functions)}


def posted(mogr, body, media_type="application/json", target="/job"):
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    answer = harness.request(mogr.api, "POST", target, {"Content-Type": media_type}, body.encode())
    return answer.status, json.loads(answer.body)


def ended(mogr, results):
    """The body of `/listen`, as an object whatever the version."""
    answer = harness.request(mogr.api, "GET", f"/listen/{results['job_id']}")
    told = json.loads(answer.body)["results"]
    return json.loads(told) if isinstance(told, str) else told


def picture(mogr, image):
    """The picture behind a promised URL."""
    return mogr.get(urllib.parse.urlsplit(image["s3_url"]).path).body


def by_node(mogr, modules, folder, posts):
    file = folder / "jobs.json"
    file.write_text(json.dumps(posts), encoding="utf-8")
    environment = {**harness.local_environment(), "NODE_PATH": os.path.abspath(modules)}
    command = ["node", SCRIPT, mogr.api, file]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if run.returncode != 0 or not run.stdout:
        raise RuntimeError(f"node ended with {run.returncode}: {run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def client(checks, mogr, modules, folder, shown):
    tree = saved("resize_to_fit", "small", [saved("sepia_tone", "brown"), saved("crop_to_square", "square")], width=60)
    letters = saved("annotate", "letters", text="Blitline", color="#ffffff", dropshadow_color="#000000", point_size=20)
    bad = job(mogr, saved("no_op", "x"), application_id="nobody")
    told = by_node(mogr, modules, folder, [[job(mogr, tree), job(mogr, letters), bad], [job(mogr, saved("no_op", "ümläut"))]])
    first, second, third = told[0]["results"]
    checks.equal("images of the tree", [it["image_identifier"] for it in first["images"]], ["small", "brown", "square"])
    results = ended(mogr, first)
    checks.equal("the source is told of", results["original_meta"], {"width": pictures.WIDTH, "height": pictures.HEIGHT})
    sizes = {it["image_identifier"]: (it["meta"]["width"], it["meta"]["height"]) for it in results["images"]}
    checks.equal("sizes", sizes, {"small": (60, 40), "brown": (60, 40), "square": (40, 40)})
    for image in results["images"]:
        opened = pictures.open_bytes(picture(mogr, image))
        checks.equal(f"{image['image_identifier']} is behind its URL", opened.size, sizes[image["image_identifier"]])
    checks.equal("letters", ended(mogr, second)["images"][0]["image_identifier"], "letters")
    if shown:
        for image in results["images"] + ended(mogr, second)["images"]:
            (shown / f"{image['image_identifier']}.jpg").write_bytes(picture(mogr, image))
    checks.that("the bad job alone is refused", set(third) == {"error"}, third)
    # The client counts characters where it should count bytes: its request is cut off.
    checks.that("a request that is cut off is refused", "error" in json.dumps(told[1]), told[1])


def wrappings(checks, mogr):
    one = job(mogr, saved("resize", "a", width="50", height="50"))
    text = json.dumps(one)
    form = "application/x-www-form-urlencoded"
    without = {name: value for name, value in one.items() if name != "application_id"}
    answers = {
        "a": posted(mogr, urllib.parse.urlencode({"json": text}), form),
        "b": posted(mogr, {"json": [one]}),
        "c": posted(mogr, {"json": text}),
        "d": posted(mogr, {"json": one}),
        "e": posted(mogr, one),
        "f": posted(mogr, without, target=f"/job?application_id={KEY}"),
    }
    for name, (status, answer) in answers.items():
        results = answer["results"]
        checks.equal(f"{name}: an array for an array", isinstance(results, list), name == "b")
        results = results[0] if name == "b" else results
        checks.equal(f"{name}: status and members", (status, set(results)), (200, {"images", "job_id"}))
        meta = ended(mogr, results)["images"][0]["meta"]
        checks.equal(f"{name}: the same picture", meta, {"width": 50, "height": 50})


def versions(checks, mogr):
    for version, is_form in [(1.17, True), ("1.18", False), (1.19, False), (1.22, False)]:
        listener = Listener(refusals=1)
        broken = {"name": "blu3r", "save": {"image_identifier": "bad"}}
        fields = {"v": version, "postback_url": listener.url, "postback_headers": {"X-Mine": "yes"}, "retry_postback": True}
        _, answer = posted(mogr, job(mogr, saved("no_op", "good"), broken, **fields))
        told = [listener.next(), listener.next()]
        checks.equal(f"{version}: a refused postback comes again", told[0][2], told[1][2])
        media_type, headers, body = told[1]
        checks.equal(f"{version}: headers of the caller", headers.get("x-mine") or headers.get("X-Mine"), "yes")
        if is_form:
            results = json.loads(urllib.parse.parse_qs(body.decode())["results"][0])
        else:
            results = json.loads(body)["results"]
        checks.equal(f"{version}: a form", media_type.startswith("application/x-www-form-urlencoded"), is_form)
        checks.equal(f"{version}: its job", results["job_id"], answer["results"]["job_id"])
        hoisted = results.get("failed_image_identifiers")
        among = [it["failed_image_identifiers"] for it in results["images"] if "failed_image_identifiers" in it]
        checks.equal(f"{version}: failures stand in their place", hoisted or among[0], ["bad"])
        checks.equal(f"{version}: hoisted", hoisted is not None, version == 1.22)


def main(binary, modules, shown=None):
    checks = harness.Checks()
    with harness.folder() as folder:
        folder = pathlib.Path(folder)
        (folder / "photos").mkdir()
        (folder / "photos/card.jpg").write_bytes(pictures.jpeg())
        config = f"""
[keys.{KEY}]
secret = "SK"
[buckets.photos]
url = "{(folder / 'photos').as_uri()}"
[buckets.blitline]
url = "memory:"
[fetch]
allow = ["127.0.0.0/8"]
"""
        with harness.Mogr(binary, folder, config) as mogr:
            checks.group("simple_blitline_node", client, mogr, modules, folder, shown and pathlib.Path(shown))
            checks.group("the other wrappings", wrappings, mogr)
            checks.group("postbacks by version", versions, mogr)
    checks.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
