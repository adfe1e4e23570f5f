"""mogr as the official Qiniu SDK for Python sees it: what the SDK signs is served, anything else is refused.

    python tests/client/qiniu_sdk.py target/debug/mogr
"""

import pathlib
import sys
import time

import harness
import pictures
import requests
from qiniu import Auth, urlsafe_base64_encode

ACCESS_KEY, SECRET_KEY = "AK_sdk", "SK_sdk"
KEYS = {"card.jpg": pictures.jpeg(), "猫 1+1.jpg": pictures.jpeg(progressive=True)}


def configuration(photos):
    return f"""
[keys.{ACCESS_KEY}]
secret = "{SECRET_KEY}"
buckets = ["*"]

[buckets.private]
url = "{photos.as_uri()}"
domains = ["*"]
private = true
"""


STYLES = """
separators = ["-"]
[styles]
thumb = "imageView2/1/w/40/h/40"
"""


class Client:
    """Signs with the SDK and fetches with the HTTP library that the SDK uses."""

    def __init__(self, address):
        self.auth = Auth(ACCESS_KEY, SECRET_KEY)
        self.base = f"http://{address}"

    def signed(self, target, seconds=3600):
        return self.auth.private_download_url(self.base + target, expires=seconds)

    def fetch(self, url):
        return requests.get(url, timeout=60)


def size_of(answer):
    return pictures.open_bytes(answer.content).size if answer.ok else answer.text


def what_the_sdk_signs(checks, client):
    answer = client.fetch(client.signed("/card.jpg"))
    checks.equal("the original", (answer.status_code, answer.content), (200, KEYS["card.jpg"]))
    answer = client.fetch(client.signed("/card.jpg?imageView2/2/w/60"))
    checks.equal("a fop", (answer.status_code, size_of(answer)), (200, (60, 40)))
    answer = client.fetch(client.signed("/card.jpg?imageView2/2/w/60%7CimageMogr2/rotate/90"))
    checks.equal("a pipeline", (answer.status_code, size_of(answer)), (200, (40, 60)))
    answer = client.fetch(client.signed("/card.jpg-thumb"))
    checks.equal("a style", (answer.status_code, size_of(answer)), (200, (40, 40)))
    answer = client.fetch(client.signed(harness.quote("猫 1+1.jpg")))
    checks.equal("a key of several scripts", (answer.status_code, answer.content), (200, KEYS["猫 1+1.jpg"]))


def what_nobody_signed(checks, client):
    answer = client.fetch(client.base + "/card.jpg")
    checks.equal("no token: status", answer.status_code, 401)
    checks.that("no token: says so in JSON", "error" in answer.json(), answer.text)

    good = client.signed("/card.jpg?imageView2/2/w/60")
    checks.equal("another size", client.fetch(good.replace("w/60", "w/61")).status_code, 401)
    checks.equal("another key", client.fetch(good.replace("card", "cord")).status_code, 401)
    deadline = good.split("e=")[1].split("&")[0]
    checks.equal("a later deadline", client.fetch(good.replace(deadline, str(int(deadline) + 1))).status_code, 401)
    middle = good.index("token=") + len(f"token={ACCESS_KEY}:") + 8
    swapped = "A" if good[middle] != "A" else "B"
    checks.equal("another signature", client.fetch(good[:middle] + swapped + good[middle + 1 :]).status_code, 401)
    checks.equal("an unknown access key", client.fetch(good.replace(ACCESS_KEY, "AK_no")).status_code, 401)
    checks.equal("an expired one", client.fetch(client.signed("/card.jpg", seconds=-10)).status_code, 401)
    stranger = Auth(ACCESS_KEY, "another secret").private_download_url(client.base + "/card.jpg")
    checks.equal("another secret", client.fetch(stranger).status_code, 401)
    missing = client.fetch(client.signed("/no-such.jpg"))
    checks.equal("signed, but not there", missing.status_code, 404)


def text_for_a_watermark(checks, client):
    plain = client.fetch(client.signed("/card.jpg?imageMogr2/format/png"))
    fop = f"watermark/2/text/{urlsafe_base64_encode('水印 ok')}/fontsize/400/fill/{urlsafe_base64_encode('#FFFFFF')}"
    marked = client.fetch(client.signed(f"/card.jpg?{fop}/gravity/Center/format/png"))
    checks.equal("a text of two scripts", (marked.status_code, size_of(marked)), (200, (120, 80)))
    checks.that("changes the picture", bright(marked) > bright(plain) + 50, f"{bright(marked)} near-white pixels")


def bright(answer):
    """Number of near-white pixels."""
    red, green, blue = pictures.open_bytes(answer.content).convert("RGB").split()
    return sum(min(pixel) > 230 for pixel in zip(red.tobytes(), green.tobytes(), blue.tobytes()))


def main():
    checks = harness.Checks()
    with harness.folder() as name:
        photos = pathlib.Path(name, "photos")
        photos.mkdir()
        for key, data in KEYS.items():
            (photos / key).write_bytes(data)
        with harness.Mogr(sys.argv[1], name, configuration(photos), STYLES) as mogr:
            started = time.monotonic()
            client = Client(mogr.delivery)
            checks.group("signed by the SDK", what_the_sdk_signs, client)
            checks.group("not signed, or not so", what_nobody_signed, client)
            checks.group("urlsafe_base64_encode", text_for_a_watermark, client)
            print(f"{time.monotonic() - started:.1f} s")
            if checks.failed:
                mogr.show_log()
    checks.finish()


if __name__ == "__main__":
    main()
