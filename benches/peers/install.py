"""The peers and this folder's own programs, built or installed where they are missing."""

import json
import os
import pathlib
import subprocess

OXIMG = ">=0.18"


class Programs:
    def __init__(self, root):
        self.root = root
        self.repository = pathlib.Path(__file__).resolve().parents[2]

    def sharp(self):
        """The folder of node's modules, with the newest sharp in it."""
        modules = self.root / "node_modules"
        if not (modules / "sharp").exists():
            npm = ["npm", "install", "--no-fund", "--no-audit", "--prefix", self.root, "sharp@latest"]
            subprocess.run(npm, check=True, stdout=subprocess.DEVNULL)
        return modules

    def oximg(self):
        program = self.root / "bin" / "oximg"
        if not program.exists():
            build = self.root / "build-oximg"
            cargo(["install", "oximg", "--version", OXIMG, "--root", self.root, "--target-dir", build])
        return program

    def scorer(self):
        """The folder with `score` and `load`."""
        return self.build(["--manifest-path", self.repository / "benches/peers/score/Cargo.toml",
                           "--target-dir", self.root / "build-score"], self.root / "build-score/release")

    @staticmethod
    def build(arguments, folder):
        cargo(["build", "--release", *arguments])
        return folder

    def runner(self):
        """mogr's runner, as cargo names it."""
        return self.artifact(["--bench", "peers"])

    def server(self):
        return self.artifact(["--bin", "mogr"])

    def artifact(self, target):
        manifest = ["--manifest-path", self.repository / "Cargo.toml"]
        lines = cargo(["build", "--release", *manifest, *target, "--message-format", "json-render-diagnostics"], True)
        # Benches build the server too, and cargo tells of both in any order.
        found = [message for message in map(json.loads, lines.splitlines()) if message.get("executable")]
        return next(message["executable"] for message in found if message["target"]["name"] == target[-1])

    def versions(self):
        sharp = json.loads((self.root / "node_modules/sharp/package.json").read_text())["version"]
        libraries = subprocess.run(
            ["node", "-p", f"JSON.stringify(require({json.dumps(str(self.root / 'node_modules/sharp'))}).versions)"],
            capture_output=True, text=True, check=True).stdout
        libraries = json.loads(libraries)
        import PIL
        return {
            "sharp": sharp, "libvips": libraries["vips"], "mozjpeg of sharp": libraries["mozjpeg"],
            "node": first_line(["node", "--version"]), "Pillow": PIL.__version__,
            "oximg": oximg_version(self.root), "rustc": first_line(["rustc", "--version"]).split()[1],
            "mogr": first_line(["git", "-C", self.repository, "describe", "--always", "--dirty"]),
            "cpu": cpu(), "cores": os.cpu_count(), "kernel": os.uname().release,
        }


def cargo(arguments, capture=False):
    command = ["nice", "cargo", *[str(argument) for argument in arguments], "-j1"]
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE if capture else None)
    return done.stdout


def first_line(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return (done.stdout.splitlines() or [""])[0]


def oximg_version(root):
    crates = root / ".crates2.json"
    installs = json.loads(crates.read_text())["installs"] if crates.exists() else {}
    return next((name.split()[1] for name in installs if name.startswith("oximg ")), "not installed")


def cpu():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), "unknown")
