"""Pillow as a peer: pillow.py JOB.json. Commands and answers as ../runner.rs, in two processes that share nothing."""

import io
import json
import multiprocessing
import pathlib
import re
import sys
import time

from PIL import Image, ImageDraw, ImageFont, ImageOps

Image.MAX_IMAGE_PIXELS = None
PROCESSES = 2
TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def peak_kib():
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])


class Worker:
    def __init__(self, job):
        self.job = job
        self.sources = [pathlib.Path(request["source"]).read_bytes() for request in job["requests"]]
        self.logo = job.get("logo") and Image.open(job["logo"]).convert("RGBA")
        self.font = job.get("text") and ImageFont.load_default(36)
        self.idle_kib = peak_kib()

    def render(self, index):
        job, request = self.job, self.job["requests"][index]
        picture = Image.open(io.BytesIO(self.sources[index]))
        width, height = request["width"], request["height"]
        turned = request.get("rotate") in (90, 270) or (job.get("orient") and picture.getexif().get(0x0112, 1) >= 5)
        if picture.format == "JPEG" and not request.get("crop"):
            # The usual way to use it: the decoder may shrink to twice the target.
            picture.draft(None, (height * 2, width * 2) if turned else (width * 2, height * 2))
        if job.get("orient"):
            picture = ImageOps.exif_transpose(picture)
        if request.get("crop"):
            x, y, crop_width, crop_height = request["crop"]
            picture = picture.crop((x, y, x + crop_width, y + crop_height))
        if request.get("rotate"):
            picture = picture.transpose(TURNS[request["rotate"]])
        profile = picture.info.get("icc_profile") if job.get("keep_profile") else None
        if picture.mode == "CMYK":
            picture = picture.convert("RGB")  # without colour management: what Pillow does by itself
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        if job.get("text"):
            picture = self.watermarked(picture)
        return self.encode(picture, profile)

    def watermarked(self, picture):
        picture.paste(self.logo, (10, 10), self.logo)
        layer = Image.new("RGBA", (600, 60))
        ImageDraw.Draw(layer).text((10, 10), self.job["text"], font=self.font, fill=(255, 255, 255, 204))
        picture.paste(layer, (picture.width - 610, picture.height - 70), layer)
        return picture

    def encode(self, picture, profile):
        job, out = self.job, io.BytesIO()
        if job["format"] == "jpeg":
            picture.save(out, "JPEG", quality=job["quality"], subsampling=2, optimize=True, icc_profile=profile)
        elif job["format"] == "webp":
            picture.save(out, "WEBP", quality=job["quality"], method=job.get("effort", 4))
        elif job["format"] == "avif":
            picture.save(out, "AVIF", quality=job["quality"], max_threads=1)
        else:
            picture.save(out, "PNG")
        return out.getvalue()

    def run(self, seconds):
        start, iterations, count = time.perf_counter(), 0, len(self.sources)
        while iterations % count or iterations == 0 or time.perf_counter() - start < seconds:
            self.render(iterations % count)
            iterations += 1
        return iterations, time.perf_counter() - start, peak_kib() - self.idle_kib

    def save(self, folder):
        extension = {"jpeg": "jpg"}.get(self.job["format"], self.job["format"])
        for index, request in enumerate(self.job["requests"]):
            name = pathlib.Path(request["source"]).stem
            (pathlib.Path(folder) / f"{name}.{extension}").write_bytes(self.render(index))
        return {"saved": len(self.sources)}


def serve(job, pipe):
    worker = Worker(job)
    while True:
        command, argument = pipe.recv()
        try:
            pipe.send(worker.run(float(argument)) if command == "run" else worker.save(argument))
        except Exception as error:  # told to the other side, which fails the job
            pipe.send({"error": repr(error)})


def both(pipes, line):
    command, argument = line.split(" ", 1)
    pipes = pipes if command == "run" else pipes[:1]
    for pipe in pipes:
        pipe.send((command, argument))
    answers = [pipe.recv() for pipe in pipes]
    failed = [answer for answer in answers if isinstance(answer, dict)]
    if failed:
        return failed[0]
    # The two end at different times: what counts is the sum of their rates.
    rate = sum(iterations / seconds for iterations, seconds, _ in answers)
    iterations = sum(iterations for iterations, _, _ in answers)
    return {
        "iterations": iterations,
        "seconds": iterations / rate,
        "rss_above_idle_kib": sum(rss for _, _, rss in answers),
    }


def main():
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    pipes = []
    for _ in range(PROCESSES):
        ours, theirs = multiprocessing.Pipe()
        multiprocessing.Process(target=serve, args=(job, theirs), daemon=True).start()
        pipes.append(ours)
    print(json.dumps({"ready": len(job["requests"])}), flush=True)
    for line in sys.stdin:
        print(json.dumps(both(pipes, line.strip())), flush=True)


if __name__ == "__main__":
    main()
