"""What a real browser makes of mogr's answers: it decodes them, and CORS lets a page read their pixels.

    python tests/client/browser.py target/debug/mogr --chromium /usr/bin/chromium

A page of another origin loads every picture with `<img crossorigin>`, draws it on a canvas, reads colours back (which
the browser refuses for an answer without CORS headers) and posts what it saw to this script.
"""

import argparse
import base64
import http.server
import json
import pathlib
import threading

import harness
import pictures

BROWSER_SECONDS = 90
SIZE = [pictures.WIDTH, pictures.HEIGHT]
SEEN_AS_STORED = pictures.CORNERS

FILES = {
    "card.jpg": pictures.jpeg(),
    "progressive.jpg": pictures.jpeg(progressive=True),
    "turned.jpg": pictures.jpeg_turned_right(),
    "card.png": pictures.encode(pictures.card(), "PNG"),
    "card.webp": pictures.encode(pictures.card(), "WEBP", quality=90),
    "anim.gif": pictures.animated("GIF"),
    "hole.png": pictures.png_with_hole(),
    "图片/猫 1+1.jpg": pictures.jpeg(),
}
STYLES = """
separators = ["-"]
[styles]
thumb = "imageView2/1/w/40/h/40"
"""


def b64(text):
    return base64.urlsafe_b64encode(text.encode()).decode()


MARK = f"watermark/2/text/{b64('WWWW 水印')}/fontsize/600/fill/{b64('white')}/gravity/Center"

# What the page loads -> natural size, colours of the four quarters (None: not looked at).
PICTURES = {
    "/card.jpg": (SIZE, SEEN_AS_STORED),
    "/progressive.jpg": (SIZE, SEEN_AS_STORED),
    # Without a fop the browser turns it; with one, mogr has.
    "/turned.jpg": (SIZE[::-1], pictures.CORNERS_TURNED_RIGHT),
    "/turned.jpg?imageView2/2/w/40": ([40, 60], pictures.CORNERS_TURNED_RIGHT),
    "/turned.jpg?imageMogr2/auto-orient/thumbnail/40x": ([40, 60], pictures.CORNERS_TURNED_RIGHT),
    "/card.jpg?imageView2/2/w/60": ([60, 40], SEEN_AS_STORED),
    "/card.jpg?imageView2/2/w/60/interlace/1": ([60, 40], SEEN_AS_STORED),
    "/card.jpg?imageView2/2/w/60/format/webp": ([60, 40], SEEN_AS_STORED),
    "/card.jpg?imageView2/2/w/60/format/png": ([60, 40], SEEN_AS_STORED),
    "/card.jpg?imageView2/2/w/60/format/gif": ([60, 40], SEEN_AS_STORED),
    "/card.webp?imageView2/2/w/60/format/jpg": ([60, 40], SEEN_AS_STORED),
    "/card.png?imageMogr2/rotate/90": (SIZE[::-1], pictures.CORNERS_TURNED_RIGHT),
    "/anim.gif?imageView2/2/w/60": ([60, 40], None),
    "/hole.png?imageView2/2/w/60/format/jpg": ([60, 40], (*pictures.CORNERS[:3], (255, 255, 255))),
    "/card.jpg-thumb": ([40, 40], SEEN_AS_STORED),
    harness.quote("图片/猫 1+1.jpg") + "?imageView2/2/w/60": ([60, 40], SEEN_AS_STORED),
    f"/card.jpg?imageView2/2/w/60%7C{MARK}": ([60, 40], None),
    f"/card.jpg?imageView2/2/w/100|{MARK}": ([100, 67], None),
}

PAGE = """<!doctype html><meta charset="utf-8"><title>mogr</title><body><script>
const base = %(base)s, targets = %(targets)s;

function look(image) {
  const canvas = document.createElement("canvas");
  const width = canvas.width = image.naturalWidth, height = canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, width, height).data;
  const pixel = (x, y) => Array.from(data.slice((y * width + x) * 4, (y * width + x) * 4 + 4));
  const at = (x, y) => pixel(Math.floor(x * width / 4), Math.floor(y * height / 4));
  let white = 0;
  for (let i = 0; i < data.length; i += 4) white += Math.min(data[i], data[i + 1], data[i + 2]) > 230 ? 1 : 0;
  return { size: [width, height], corners: [at(1, 1), at(3, 1), at(1, 3), at(3, 3)], white };
}

function load(target) {
  return new Promise(done => {
    const image = new Image();
    image.crossOrigin = "anonymous";
    image.onload = () => { try { done(look(image)); } catch (error) { done({ error: String(error) }); } };
    image.onerror = () => done({ error: "the browser could not load it" });
    image.src = base + target;
  });
}

(async () => {
  const seen = {};
  for (const target of targets) seen[target] = await load(target);
  await fetch("/seen", { method: "POST", body: JSON.stringify(seen) });
})();
</script>"""


class PageServer(http.server.ThreadingHTTPServer):
    """Serves the page, on an origin of its own, and takes what it posts."""

    def __init__(self, page):
        self.page, self.seen, self.posted = page.encode(), None, threading.Event()
        super().__init__(("127.0.0.1", 0), PageHandler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class PageHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        is_page = self.path == "/"
        body = self.server.page if is_page else b""
        self.send_response(200 if is_page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.server.seen = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.posted.set()

    def log_message(self, *_):
        pass


def open_in_browser(chromium, address, profile):
    """Chromium without a window, and without connections of its own."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options += ["--disable-dev-shm-usage", "--remote-debugging-port=0", "--no-proxy-server"]
    command = [chromium, *options, f"--user-data-dir={profile}", address]
    return harness.Process("chromium", command, pathlib.Path(profile).with_suffix(".log"))


def what_the_page_saw(delivery, chromium, scratch):
    page = PAGE % {"base": json.dumps(f"http://{delivery}"), "targets": json.dumps(list(PICTURES))}
    with PageServer(page) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        with open_in_browser(chromium, address, pathlib.Path(scratch, "profile")) as browser:
            if not server.posted.wait(BROWSER_SECONDS):
                browser.show_log()
                raise TimeoutError(f"the page posted nothing in {BROWSER_SECONDS} s")
    return server.seen


def every_picture(checks, seen):
    for target, (size, corners) in PICTURES.items():
        found = seen[target]
        if "error" in found:
            checks.that(target, False, found["error"])
            continue
        checks.equal(f"{target}: size", found["size"], list(size))
        if corners is not None:
            rgb = [corner[:3] for corner in found["corners"]]
            checks.that(f"{target}: colours", pictures.close(rgb, corners), f"{rgb}, expected {corners}")


def watermarks(checks, seen):
    for target, found in seen.items():
        if "watermark" in target:
            checks.that(f"{target}: text is seen", found.get("white", 0) > 30, found)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("binary")
    arguments.add_argument("--chromium", default="chromium")
    arguments = arguments.parse_args()
    checks = harness.Checks()
    with harness.folder() as name:
        photos = pathlib.Path(name, "photos")
        for key, data in FILES.items():
            path = photos / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        config = f'[buckets.photos]\nurl = "{photos.as_uri()}"\ndomains = ["*"]\n'
        with harness.Mogr(arguments.binary, name, config, STYLES) as mogr:
            seen = what_the_page_saw(mogr.delivery, arguments.chromium, name)
            checks.group("every picture", every_picture, seen)
            checks.group("watermarks", watermarks, seen)
            if checks.failed:
                mogr.show_log()
    checks.finish()


if __name__ == "__main__":
    main()
