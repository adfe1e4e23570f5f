"""Uploads, jobs and objects as the official Qiniu SDK for Node.js asks for them (`qiniu_node.js`).

    python tests/client/qiniu_node.py target/debug/mogr target/clients/npm/node_modules
"""

import json
import os
import pathlib
import subprocess
import sys

import harness
import pictures

ACCESS_KEY, SECRET_KEY = "AK_node", "SK_node"
SCRIPT = pathlib.Path(__file__).with_name("qiniu_node.js")


def told_by_node(mogr, modules, file):
    command = ["node", SCRIPT, f"http://{mogr.api}", ACCESS_KEY, SECRET_KEY, file]
    environment = {**harness.local_environment(), "NODE_PATH": os.path.abspath(modules)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if ended.returncode != 0 or not ended.stdout:
        raise RuntimeError(f"node ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


def compare(checks, told, mogr):
    picture = pictures.jpeg()
    for name, key in [("form", "form.jpg"), ("v1", "v1.jpg"), ("v2", "v2.jpg"), ("asking", "asking.jpg")]:
        checks.equal(f"{name}: the file is accepted", (told[name]["status"], told[name]["body"].get("key")), (200, key))
        checks.equal(f"{name}: and served", mogr.get(f"/photos/{key}").body, picture)
    checks.equal("a key beyond ASCII", mogr.get(harness.quote("photos/猫.txt")).body, b"hello")
    checks.that("an upload's job is told", told["asking"]["body"].get("persistentId", "").startswith("z0."), told["asking"])
    checks.equal("another key than the token's", told["refused"]["status"], 403)
    document = told["prefop"]["body"]
    checks.equal("the job succeeded", (document["code"], document["items"][0]["key"]), (0, "small.jpg"))
    checks.equal("facts are told", document["items"][1]["result"]["width"], pictures.WIDTH)
    small = mogr.get("/photos/small.jpg").body
    checks.equal("its result has that width", pictures.open_bytes(small).size[0], 50)
    checks.equal("stat", (told["stat"]["status"], told["stat"]["body"].get("fsize")), (200, len(small)))
    for name in ["copy", "move", "delete"]:
        checks.equal(name, told[name]["status"], 200)
    checks.equal("list", [item["key"] for item in told["list"]["body"].get("items", [])], ["moved.jpg"])
    checks.equal("batch", (told["batch"]["status"], [line["code"] for line in told["batch"]["body"]]), (298, [200, 612]))
    checks.equal("what was deleted is gone", mogr.get("/photos/moved.jpg").status, 404)


def main(binary, modules):
    checks = harness.Checks()
    with harness.folder() as folder:
        folder = pathlib.Path(folder)
        (folder / "photos").mkdir()
        (folder / "card.jpg").write_bytes(pictures.jpeg())
        config = f"""
[keys.{ACCESS_KEY}]
secret = "{SECRET_KEY}"
[buckets.photos]
url = "{(folder / 'photos').as_uri()}"
"""
        with harness.Mogr(binary, folder, config) as mogr:
            told = told_by_node(mogr, modules, folder / "card.jpg")
            checks.group("the SDK for Node.js", compare, told, mogr)
    checks.finish()


if __name__ == "__main__":
    main(*sys.argv[1:])
