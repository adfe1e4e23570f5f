"""mogr as the official Qiniu SDK for Python sees it: what the SDK signs is served, anything else is refused; what it
uploads is stored and its owner told; what it manages is managed.

    python tests/client/qiniu_sdk.py target/debug/mogr
"""

import http.server
import io
import json
import pathlib
import sys
import threading
import time

import harness
import pictures
import qiniu
import requests
from qiniu import Auth, BucketManager, urlsafe_base64_encode

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

[fetch]
allow = ["127.0.0.0/8"]
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


class Owner(http.server.ThreadingHTTPServer):
    """The server of whoever owns the bucket: it checks callbacks as the SDK does, and answers them."""

    def __init__(self, auth):
        super().__init__(("127.0.0.1", 0), OwnerHandler)
        self.auth, self.calls = auth, []
        self.url = f"http://127.0.0.1:{self.server_port}/callback?from=mogr"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind, error, trace):
        self.shutdown()
        self.server_close()


class OwnerHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        media_type = self.headers["Content-Type"]
        is_good = self.server.auth.verify_callback(self.headers["Authorization"], self.server.url, body, media_type)
        self.server.calls.append((is_good, media_type, body))
        answer = b'{"told": true}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


def etag_of(data):
    return qiniu.utils.etag_stream(io.BytesIO(data))


def said(info):
    """What the server said, of an answer that is none to the SDK."""
    return json.loads(info.text_body)


def forms(checks, client):
    token = client.auth.upload_token("private", "form/猫.jpg", 3600)
    photo = pictures.jpeg()
    answer, info = qiniu.put_data(token, "form/猫.jpg", photo, mime_type="image/jpeg", check_crc=True)
    checks.equal("put_data", (info.status_code, answer), (200, {"hash": etag_of(photo), "key": "form/猫.jpg"}))
    served = client.fetch(client.signed(harness.quote("form/猫.jpg")))
    checks.equal("what was put is served", (served.status_code, served.content), (200, photo))
    answer, info = qiniu.put_data(token, "form/other.jpg", photo)
    checks.equal("another key than the token's", (info.status_code, said(info)["error"]), (403, "key doesn't match scope"))
    answer, info = qiniu.put_data(client.auth.upload_token("private", None, -10), "late", photo)
    checks.equal("an expired token", (info.status_code, said(info)["error"]), (401, "expired token"))
    limited = client.auth.upload_token("private", None, 3600, {"fsizeLimit": 10})
    answer, info = qiniu.put_data(limited, "large", photo)
    checks.equal("over fsizeLimit", (info.status_code, said(info)["error"]), (413, "exceed FsizeLimit"))
    template = {"returnBody": '{"w":$(imageInfo.width),"h":$(imageInfo.height),"by":$(x:by)}'}
    answer, info = qiniu.put_data(client.auth.upload_token("private", None, 3600, template), "t", photo, {"x:by": "我"})
    checks.equal("returnBody", answer, {"w": 120, "h": 80, "by": "我"})


def callbacks(checks, client):
    with Owner(client.auth) as owner:
        for media_type, body in [
            ("application/x-www-form-urlencoded", "key=$(key)&hash=$(etag)&size=$(fsize)"),
            ("application/json", '{"key":$(key),"size":$(fsize)}'),
        ]:
            policy = {"callbackUrl": owner.url, "callbackBody": body, "callbackBodyType": media_type}
            token = client.auth.upload_token("private", None, 3600, policy)
            answer, info = qiniu.put_data(token, f"told/{media_type}", b"hello")
            checks.equal(f"the owner's answer to {media_type}", (info.status_code, answer), (200, {"told": True}))
        checks.equal("Auth.verify_callback", [call[:2] for call in owner.calls],
                     [(True, "application/x-www-form-urlencoded"), (True, "application/json")])
    policy = {"callbackUrl": "http://127.0.0.1:9/", "callbackBody": "key=$(key)"}
    answer, info = qiniu.put_data(client.auth.upload_token("private", None, 3600, policy), "untold", b"hello")
    checks.equal("nobody there", info.status_code, 579)


def parts(checks, client, folder):
    large = bytes(i % 251 for i in range(251)) * 40_000
    path = pathlib.Path(folder, "large.bin")
    path.write_bytes(large)
    token = client.auth.upload_token("private", None, 3600)
    for size in (4 << 20, 3 << 20):
        key = f"large-{size}"
        answer, info = qiniu.put_file_v2(token, key, str(path), part_size=size, metadata={"x-qn-meta-a": "b"})
        checks.equal(f"parts of {size} bytes", (info.status_code, answer and answer["key"]), (200, key))
        served = client.fetch(client.signed(f"/{key}"))
        checks.that("what was put is served", served.content == large, f"{len(served.content)} bytes")
        if size == 4 << 20:
            checks.equal("the hash of 4 MiB parts", answer["hash"], qiniu.etag(str(path)))
    answer, info = qiniu.put_file(token, "blocks", str(path), version="v1")
    checks.equal("blocks", (info.status_code, answer), (200, {"hash": qiniu.etag(str(path)), "key": "blocks"}))


def resources(checks, client):
    manager, bucket = BucketManager(client.auth), "private"
    qiniu.put_data(client.auth.upload_token(bucket, "r/a", 3600), "r/a", b"hello")
    answer, info = manager.stat(bucket, "r/a")
    checks.equal("stat", (info.status_code, answer["fsize"], answer["hash"]), (200, 5, "Fqr0xh3cxeii2r7eDztILNmuqUNN"))
    checks.equal("stat of nothing", manager.stat(bucket, "r/no")[1].status_code, 612)
    checks.equal("copy", manager.copy(bucket, "r/a", bucket, "r/b")[1].status_code, 200)
    checks.equal("copy to what is there", manager.copy(bucket, "r/a", bucket, "r/b")[1].status_code, 614)
    checks.equal("copy by force", manager.copy(bucket, "r/a", bucket, "r/b", "true")[1].status_code, 200)
    checks.equal("move", manager.move(bucket, "r/b", bucket, "r/猫")[1].status_code, 200)
    checks.equal("chgm", manager.change_mime(bucket, "r/猫", "text/x-own")[1].status_code, 200)
    checks.equal("the new type", manager.stat(bucket, "r/猫")[0]["mimeType"], "text/x-own")
    checks.equal("chtype", manager.change_type(bucket, "r/猫", 1)[1].status_code, 200)
    checks.equal("deleteAfterDays", manager.delete_after_days(bucket, "r/猫", "7")[1].status_code, 200)
    answer, eof, info = manager.list(bucket, prefix="r/", limit=1)
    checks.equal("a page", ([item["key"] for item in answer["items"]], eof), (["r/a"], False))
    answer, eof, info = manager.list(bucket, prefix="r/", marker=answer["marker"])
    checks.equal("the next", ([item["key"] for item in answer["items"]], eof), (["r/猫"], True))
    answer, eof, info = manager.list(bucket, prefix="", delimiter="/")
    checks.that("common prefixes", "r/" in answer["commonPrefixes"], answer)
    answer, info = manager.batch(qiniu.build_batch_stat(bucket, ["r/a", "r/猫", "r/no"]))
    # The SDK hands over what a batch of successes alone has answered.
    checks.equal("batch", (info.status_code, [line["code"] for line in said(info)]), (298, [200, 200, 612]))
    answer, info = manager.batch(qiniu.build_batch_rename(bucket, {"r/a": "r/c"}, force="true"))
    checks.equal("batch of moves", (info.status_code, answer), (200, [{"code": 200}]))
    checks.equal("delete", manager.delete(bucket, "r/c")[1].status_code, 200)
    checks.equal("delete of nothing", manager.delete(bucket, "r/c")[1].status_code, 612)
    checks.equal("buckets", manager.buckets()[0], ["private"])
    stranger = BucketManager(Auth(ACCESS_KEY, "another secret"))
    checks.equal("another secret's stat", stranger.stat(bucket, "r/猫")[1].status_code, 401)


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
            qiniu.set_default(default_uc_host=f"http://{mogr.api}")
            checks.group("forms", forms, client)
            checks.group("callbacks", callbacks, client)
            checks.group("parts", parts, client, name)
            checks.group("BucketManager", resources, client)
            print(f"{time.monotonic() - started:.1f} s")
            if checks.failed:
                mogr.show_log()
    checks.finish()


if __name__ == "__main__":
    main()
