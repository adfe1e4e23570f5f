"""The validator of the IIIF Image API, levels 2 of 3.0 and 2.1, over the picture that it is made for.

    python tests/client/iiif.py target/debug/mogr
"""

import pathlib
import subprocess
import sys

import harness
from iiif_validator.validator import ValidationInfo
from PIL import Image

IDENTIFIER = "67352ccc-d1b0-11e1-89ae-279075081939"

CONFIGURATION = """
[delivery]
iiif_strict = true
[buckets.images]
url = "{folder}"
domains = ["*"]
"""


def paint(path):
    """A hundred squares in the validator's own colours."""
    colors = ValidationInfo().colorInfo
    image = Image.new("RGB", (1000, 1000))
    for x in range(10):
        for y in range(10):
            image.paste(colors[x][y], (100 * x, 100 * y, 100 * x + 100, 100 * y + 100))
    image.save(path, "PNG")


def validates(checks, address, prefix, version):
    program = pathlib.Path(sys.executable).parent / "iiif-validate.py"
    arguments = ["-s", address, "-p", prefix, "-i", IDENTIFIER, f"--version={version}", "--level", "2", "-v"]
    run = subprocess.run([sys.executable, program, *arguments], capture_output=True, text=True, timeout=300)
    said = run.stdout + run.stderr
    checks.that(f"{version}, level 2: every test passes", run.returncode == 0 and "0 failures" in said, said[-2000:])


def main():
    checks = harness.Checks()
    with harness.folder() as name:
        images = pathlib.Path(name) / "images"
        images.mkdir()
        paint(images / IDENTIFIER)
        with harness.Mogr(sys.argv[1], pathlib.Path(name), CONFIGURATION.format(folder=images.as_uri())) as server:
            for prefix, version in (("iiif/3", "3.0"), ("iiif/2", "2.0")):
                checks.group(f"version {version}", validates, server.delivery, prefix, version)
    checks.finish()


main()
