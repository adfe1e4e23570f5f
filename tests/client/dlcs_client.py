"""Batches as the DLCS client for Python registers them, and what the server makes of them.

    python tests/client/dlcs_client.py target/debug/mogr [postgres://…]
"""

import pathlib
import sys
import types

import harness
import origin
import pictures

KEY, SECRET, CUSTOMER = "AK_dlcs", "SK_dlcs", 7


def configuration(folder, database):
    kept = f'database = "{database}"' if database else ""
    return f"""
{kept}
[keys.{KEY}]
secret = "{SECRET}"
buckets = ["images"]
[buckets.images]
url = "{(folder / 'images').as_uri()}"
domains = ["*"]
[fetch]
allow = ["127.0.0.0/8"]
[dlcs]
legacy = true
thumbs = [50]
[dlcs.customers.{CUSTOMER}]
key = "{KEY}"
bucket = "images"
"""


def client_of(api):
    """The client reads its settings from a module of that name."""
    settings = types.ModuleType("settings")
    settings.DLCS_ENTRY, settings.DLCS_CUSTOMER_ID = f"http://{api}/", CUSTOMER
    settings.DLCS_API_KEY, settings.DLCS_API_SECRET = KEY, SECRET
    sys.modules["settings"] = settings
    import dlcs.client
    import dlcs.image_collection

    return dlcs.client, dlcs.image_collection


def registers(checks, mogr, database):
    import requests

    with harness.folder() as name, origin.Origin({"card.jpg": pictures.jpeg()}) as source:
        folder = pathlib.Path(name)
        (folder / "images").mkdir()
        with harness.Mogr(mogr, folder, configuration(folder, database)) as server:
            space = requests.post(f"http://{server.api}/customers/{CUSTOMER}/spaces", json={"name": "one"}, auth=(KEY, SECRET))
            checks.equal("a space is made", (space.status_code, space.json()["id"]), (201, 1))
            client, collections = client_of(server.api)
            base = f"http://127.0.0.1:{source.server_address[1]}/photos"
            image = lambda id, file: collections.Image(id=id, space=1, origin=f"{base}/{file}", tags=["t"], string_1="s")
            batch = client.register_collection(collections.ImageCollection([image("a", "card.jpg"), image("b", "gone.jpg")]))

            def is_completed():
                batch.update()
                return batch.is_completed()

            harness.wait_until("the batch", is_completed)
            document = requests.get(batch.id, auth=(KEY, SECRET)).json()
            checks.equal("both have ended, one badly", (document["completed"], document["errors"]), (2, 1))
            found = requests.get(document["images"], auth=(KEY, SECRET)).json()["member"]
            checks.equal("the client's keys are kept", {(one["string1"], one["tags"][0]) for one in found}, {("s", "t")})
            stored = (folder / "images/1/a/original").read_bytes()
            checks.equal("the bytes are the origin's", stored, pictures.jpeg())
            derived = server.get("/1/a/original?imageView2/2/w/50/h/50/format/jpg").body
            checks.equal("the derivative is what delivery makes", (folder / "images/1/a/50.jpg").read_bytes(), derived)
            plain(checks, f"http://{server.api}/customers/{CUSTOMER}", f"{base}/card.jpg", document)
            wrong = requests.get(batch.id, auth=(KEY, "wrong"))
            checks.equal("a wrong secret is refused", wrong.status_code, 401)


def plain(checks, root, card, batch):
    """What no client covers."""
    import requests

    def call(method, path, body=None):
        return requests.request(method, root + path, json=body, auth=(KEY, SECRET))

    image = {"origin": card, "mediaType": "image/jpeg", "number1": 3, "manifests": ["m_1"]}
    checks.equal("a picture is put, and waited for", call("PUT", "/spaces/1/images/b", image).json()["width"], 120)
    tested = requests.post(batch["test"], json={}, auth=(KEY, SECRET)).json()
    recounted = requests.get(batch["@id"], auth=(KEY, SECRET)).json()
    checks.equal("a batch is counted again", (tested["success"], recounted["count"], recounted["errors"]), (True, 1, 0))
    for query, ids in (("number1=3", ["b"]), ("manifests=m_1", ["b"]), ("orderByDescending=number1", ["b", "a"]), ("string1=s", ["a", "b"])):
        found = call("GET", f"/allImages?{query}").json()["member"]
        checks.equal(f"pictures by {query}", [one["id"] for one in found], ids)
    changed = call("PATCH", "/spaces/1/images/a", {"string2": "new"}).json()
    checks.equal("what is said of a picture is changed", (changed["string1"], changed["string2"]), ("s", "new"))
    named = call("POST", "/allImages", {"member": [{"id": f"{CUSTOMER}/1/a"}]}).json()
    checks.equal("pictures are found by name", named["totalItems"], 1)
    for path in ("/queue", "/queue/priority"):
        checks.equal(f"{path} is empty", call("GET", path).json()["size"], 0)
    for path, total in (("/queue/batches", 1), ("/queue/active", 0), ("/queue/recent", 1), ("/queue/images", 0)):
        checks.equal(f"{path} is counted", call("GET", path).json()["totalItems"], total)
    checks.equal("a space is put", call("PUT", "/spaces/9", {"name": "nine"}).status_code, 201)
    checks.equal("and deleted", call("DELETE", "/spaces/9").status_code, 204)
    checks.equal("a picture is deleted", call("DELETE", "/spaces/1/images/b").status_code, 204)


def main():
    checks = harness.Checks()
    checks.group("DLCS", registers, sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
    checks.finish()


if __name__ == "__main__":
    main()
