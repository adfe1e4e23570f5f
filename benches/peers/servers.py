"""Whole servers over HTTP: 8 keep-alive clients, every request a key and a width of its own."""

import dataclasses
import json
import math
import os
import pathlib
import re
import socket
import statistics
import subprocess
import time
import urllib.request

import measure
import scores
import table

CONNECTIONS = 8
WIDTHS = range(480, 544)
SCORED_WIDTH = 496
WARM_UP_SECONDS = 1
COPIES = 2500  # keys of each photograph; the last is for scores
PATHS_PER_SECOND = 3000  # more than any server answers
SPEED_PROFILE = {"OXIMG_JPEG_PROGRESSIVE": "0", "OXIMG_DCT_MARGIN": "1.7", "OXIMG_RESIZE": "srgb"}
LINEAR = "mogr linear"


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    title: str
    group: str
    format: str
    quality: int
    goal_times: dict  # by the variant of mogr: so many times each other server
    goal_mb: int


def jpeg(group, title, sharp, speed, linear):
    goals = {"mogr": {"sharp": sharp, "oximg speed profile": speed}, LINEAR: {"oximg": linear}}
    return Job(f"http-{group}-jpeg", f"{title} → JPEG q80", group, "jpeg", 80, goals, 40)


def webp(group, title, sharp):
    return Job(f"http-{group}-webp", f"{title} → WebP q75", group, "webp", 75, {"mogr": {"sharp": sharp}}, 40)


JOBS = [
    jpeg("small", "≤1 MP JPEG", 1.9, 1.3, 1.2), jpeg("mid", "2–4 MP JPEG", 1.9, 1.5, 1.3),
    jpeg("large", "12–24 MP JPEG", 1.8, 1.8, 1.6), webp("small", "≤1 MP JPEG", 2.2), webp("mid", "2–4 MP JPEG", 2.3),
    webp("large", "12–24 MP JPEG", 1.9),
    Job("http-png", "4 MP RGBA PNG → PNG", "rgba", "png", 80, {"mogr": {"sharp": 2.8}}, 50),
]


class Server:
    """One server under measurement; its paths count up, so that it never sees one twice."""

    def __init__(self, name, command, environment, port, url, folder):
        self.name, self.url, self.port = name, url, port
        self.used = 0
        self.log = open(folder / f"{name.replace(' ', '-')}.log", "a")
        self.process = subprocess.Popen(
            [str(part) for part in command], env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, cwd=folder)
        self.wait()
        self.idle_kib = self.status_kib("VmHWM")

    def wait(self):
        for _ in range(100):
            if self.process.poll() is not None:
                raise measure.Failed(f"{self.name} ended with {self.process.returncode}; see {self.log.name}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise measure.Failed(f"{self.name} does not listen on {self.port}")

    def status_kib(self, name):
        return int(re.search(rf"{name}:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def visit(self, load, job, keys, seconds):
        paths = [self.url(key, width, job) for key, width in work(keys, self.used, math.ceil(seconds * PATHS_PER_SECOND))]
        done = subprocess.run(
            [load, f"127.0.0.1:{self.port}", str(CONNECTIONS), str(seconds)], input="\n".join(paths) + "\n",
            capture_output=True, text=True)
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise measure.Failed(f"{self.name}: {answer['error']}")
        self.used += answer["used"]
        return answer | {"peak_kib": self.status_kib("VmHWM"), "idle_kib": self.idle_kib}

    def fetch(self, key, width, job):
        url = f"http://127.0.0.1:{self.port}{self.url(key, width, job)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def work(keys, start, count):
    """Pairs of key and width, none twice in a long time: each key goes through the widths in an order of its own."""
    for index in range(start, start + count):
        turn, key = divmod(index, len(keys))
        yield keys[key].format(turn % (COPIES - 1)), WIDTHS[(turn * 7 + key * 11) % len(WIDTHS)]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Bench:
    def __init__(self, root, programs, scorer, photographs, options):
        self.programs, self.scorer, self.photographs, self.options = programs, scorer, photographs, options
        self.folder = root / "http"
        self.images = self.folder / "images"
        self.images.mkdir(parents=True, exist_ok=True)
        self.load = programs.scorer() / "load"
        self.mogr = programs.server()

    def keys(self, files):
        """Names with a place for a number: hard links, so that every request has a key of its own."""
        for file in files:
            for number in range(COPIES):
                link = self.images / f"{file.parent.name}-{file.stem}-{number}{file.suffix}"
                if not link.exists() or link.stat().st_ino != file.stat().st_ino:
                    link.unlink(missing_ok=True)
                    os.link(file, link)
        return [f"{file.parent.name}-{file.stem}-{{}}{file.suffix}" for file in files]

    def servers(self, job):
        """Name, command, environment and path of each server; the first is what the others are compared with."""
        modules = {"PEERS_MODULES": str(self.programs.sharp())}
        worker = pathlib.Path(__file__).parent / "workers/sharp-server.js"
        sharp_url = lambda key, width, job: f"/{width}/{job.format}/{job.quality}/{key}"
        yield "sharp", lambda port: ["node", worker, port, self.images, 4], modules, sharp_url
        if job.format == "webp":
            yield "sharp effort 2", lambda port: ["node", worker, port, self.images, 2], modules, sharp_url
        oximg = self.programs.oximg()
        for name, profile in (("oximg", {}), ("oximg speed profile", SPEED_PROFILE)):
            settings = {"IMAGES_DIR": str(self.images), "OXIMG_BIND": "127.0.0.1", "OXIMG_OPTIONS_PREFIX": "/image"}
            yield name, lambda port: ["env", f"PORT={port}", oximg, "serve"], settings | profile, oximg_url
        for name, setting in (("mogr", ""), (LINEAR, '[images]\nresize = "linear"\n')):
            if name == LINEAR and job.format != "jpeg":
                continue
            yield name, lambda port, name=name, setting=setting: self.mogr_command(port, name, setting), {}, mogr_url

    def mogr_command(self, port, name, setting):
        config = self.folder / f"{name.replace(' ', '-')}.toml"
        config.write_text(f'listen = "127.0.0.1:{port}"\napi_listen = "127.0.0.1:{free_port()}"\n{setting}'
                          f'[cache]\nmemory_bytes = "1MiB"\nladder_bytes = "1KiB"\n[limits]\ntime = "60s"\n'
                          f'[buckets.photos]\nurl = "file://{self.images}"\ndomains = ["*"]\n')
        return [self.mogr, "serve", "--config", config]

    def job(self, job, say):
        files = self.photographs.group(job.group)
        keys = self.keys(files)
        result = {"job": job, "variants": [], "failed": {}, "scores": {}, "raw": {}}
        running = []
        try:
            for name, command, environment, url in self.servers(job):
                say(f"{job.name}: {name}")
                try:
                    port = free_port()
                    running.append(Server(name, command(port), environment, port, url, self.folder))
                    result["scores"][name] = self.scores(job, running[-1], files, keys)
                except (measure.Failed, OSError) as failure:
                    result["failed"][name] = str(failure)
                    continue
            running = self.without_failed(running, result)
            result["variants"] = [server.name for server in running]
            if not self.options.only_scores:
                result["raw"] = self.rounds(job, running, keys, say)
        finally:
            for server in running:
                server.close()
        return result

    @staticmethod
    def without_failed(running, result):
        for server in running:
            if server.name in result["failed"]:
                server.close()
        return [server for server in running if server.name not in result["failed"]]

    def rounds(self, job, running, keys, say):
        raw = {server.name: [] for server in running}
        for server in running:
            server.visit(self.load, job, keys, WARM_UP_SECONDS)
        for index in range(self.options.rounds):
            start = index % len(running)
            for server in running[start:] + running[:start]:
                raw[server.name].append(server.visit(self.load, job, keys, self.options.seconds_per_visit))
            say(f"{job.name}: round {index + 1} of {self.options.rounds}")
        return raw

    def scores(self, job, server, files, keys):
        results = self.folder / "results" / job.name / server.name.replace(" ", "-")
        results.mkdir(parents=True, exist_ok=True)
        requests = []
        for file, key in zip(files, keys):
            result = results / f"{file.stem}.{job.format}"
            result.write_bytes(server.fetch(key.format(COPIES - 1), SCORED_WIDTH, job))
            # Only the width is asked for: the height may differ by a pixel, and is judged as it came.
            width, height = scores.size_of(result)
            requests.append({"source": str(file), "width": width, "height": height})
        return self.scorer.group(job.name, requests, results)


def oximg_url(key, width, job):
    return f"/image/width={width},quality={job.quality},format={job.format}/{key}"


def mogr_url(key, width, job):
    return f"/{key}?imageView2/2/w/{width}/format/{'jpg' if job.format == 'jpeg' else job.format}/q/{job.quality}!"


HEAD = ["job", "server", "× sharp", "/s", "peak MB", "above idle", "linear", "gamma", "bytes", "against goal"]


def render(results):
    rows = []
    for result in results:
        for index, name in enumerate(result["variants"]):
            rows.append(row(result, name, first=index == 0))
        rows += [["", name, reason] + [""] * (len(HEAD) - 3) for name, reason in result["failed"].items()]
    return table.render(HEAD, rows)


def row(result, name, first):
    base, raw, job = result["variants"][0], result["raw"], result["job"]
    cells = [f"**{job.title}**" if first else "", name]
    if raw:
        per_second = statistics.median(map(measure.rate, raw[name]))
        cells += [f"{measure.times(raw, name, base):.2f}", f"{per_second:.1f}", f"{peak_mb(raw, name):.0f}"]
        cells += [f"{above_idle_mb(raw, name):.0f}"]
    else:
        cells += [""] * 4
    cells += table.score_cells(result["scores"].get(name), result["scores"].get(base))
    return cells + [", ".join(short_of(result, name)) or "met" if name in job.goal_times else ""]


def peak_mb(raw, name):
    return raw[name][-1]["peak_kib"] / 1024


def above_idle_mb(raw, name):
    return peak_mb(raw, name) - raw[name][-1]["idle_kib"] / 1024


def short_of(result, name):
    job, raw, scored = result["job"], result["raw"], result["scores"]
    missed = []
    for base, goal in job.goal_times[name].items():
        if raw and base in raw and measure.times(raw, name, base) < goal:
            missed.append(f"{measure.times(raw, name, base):.2f}× of {goal}× {base}")
    if raw and above_idle_mb(raw, name) > job.goal_mb:
        missed.append(f"{above_idle_mb(raw, name):.0f} of {job.goal_mb} MB")
    if name == LINEAR:
        ours, theirs = scored[name]["linear"], scored.get("oximg", {}).get("linear", 0)
        return missed + ([f"linear {ours - theirs:+.1f}"] if ours < theirs - 0.3 else [])
    return missed + table.short_of_quality(scored.get(name), scored.get("sharp"), bytes_percent=3)
