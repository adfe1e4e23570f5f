"""As much of an Azure Blob client as the tests need: signed requests to Azurite (SharedKey, 2021-08-06)."""

import base64
import email.utils
import hashlib
import hmac
import urllib.parse

import harness

# Azurite's published account; it opens nothing else.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class Blobs:
    def __init__(self, port):
        self.port = port

    def create_container(self, container):
        return self.call("PUT", f"/{ACCOUNT}/{container}?restype=container", expected=201)

    def put(self, container, key, body):
        headers = {"Content-Type": "image/jpeg", "x-ms-blob-type": "BlockBlob"}
        return self.call("PUT", self.path(container, key), body, headers, expected=201)

    def get(self, container, key):
        return self.call("GET", self.path(container, key)).body

    def path(self, container, key):
        return f"/{ACCOUNT}/{container}{harness.quote(key)}"

    def call(self, method, target, body=b"", headers=None, expected=200):
        headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2021-08-06", **(headers or {})}
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{signature(method, target, len(body), headers)}"
        answer = harness.request(f"127.0.0.1:{self.port}", method, target, headers, body)
        if answer.status != expected:
            raise RuntimeError(f"Azurite: {method} {target}: {answer}")
        return answer


def signature(method, target, length, headers):
    """The Blob service's string to sign: method, eleven standard headers, x-ms- headers, account and resource."""
    path, _, query = target.partition("?")
    standard = ["", "", str(length or ""), "", headers.get("Content-Type", ""), "", "", "", "", "", ""]
    own = [f"{name}:{value}" for name, value in sorted(headers.items()) if name.startswith("x-ms-")]
    resource = [f"/{ACCOUNT}{path}"] + [f"{name}:{value}" for name, value in sorted(urllib.parse.parse_qsl(query))]
    text = "\n".join([method, *standard, *own, *resource])
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
