"""Batches as the DLCS client for Python registers them, and what the server makes of them.

    python tests/client/dlcs_client.py target/debug/mogr
"""

import pathlib
import sys
import types

import harness
import origin
import pictures

KEY, SECRET, CUSTOMER = "AK_dlcs", "SK_dlcs", 7


def configuration(folder):
    return f"""
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


def registers(checks, mogr):
    import requests

    with harness.folder() as name, origin.Origin({"card.jpg": pictures.jpeg()}) as source:
        folder = pathlib.Path(name)
        (folder / "images").mkdir()
        with harness.Mogr(mogr, folder, configuration(folder)) as server:
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
            wrong = requests.get(batch.id, auth=(KEY, "wrong"))
            checks.equal("a wrong secret is refused", wrong.status_code, 401)


def main():
    checks = harness.Checks()
    checks.group("DLCS", registers, sys.argv[1])
    checks.finish()


if __name__ == "__main__":
    main()
