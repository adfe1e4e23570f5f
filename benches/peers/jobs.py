"""The jobs of the table: each names its photographs, the size asked for, and what every peer does for it."""

import base64
import dataclasses

from PIL import Image

TEXT = "Example watermark 2026"


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    title: str
    group: str
    width: int
    format: str = "jpeg"
    quality: int = 80
    height: int | None = None  # fixed for every photograph; else by its aspect
    crop: tuple | None = None  # left, top, width, height
    rotate: int | None = None  # degrees clockwise, after the crop
    orient: bool = False
    watermark: bool = False
    keep_profile: bool = False
    scored: bool = True
    count: int = 8  # photographs of the group that are used
    # Variants of sharp beside the first, which every ratio refers to.
    sharp: tuple = (("sharp", {}),)
    settings: tuple = ("default",)  # of mogr's engine, as its runner names them
    # What mogr is held against: so many times each variant's throughput, this share of sharp's memory.
    goal_times: dict = dataclasses.field(default_factory=dict)
    goal_memory: float | None = None
    goal_bytes_percent: float = 2.0
    goal_quality: str = "sharp"  # the variant whose scores and bytes it is held against

    def requests(self, files):
        return [self.request(file) for file in files[: self.count]]

    def request(self, file):
        """One photograph's request: every peer is asked for exactly this size."""
        width, height = self.size(file)
        request = {"source": str(file), "width": width, "height": height}
        if self.crop:
            request["crop"] = list(self.crop)
        if self.rotate:
            request["rotate"] = self.rotate
        return request

    def size(self, file):
        if self.height:
            return self.width, self.height
        width, height = self.crop[2:] if self.crop else upright_size(file, self.orient)
        if self.rotate in (90, 270):
            width, height = height, width
        return self.width, max(1, round(height * self.width / width))

    def fops(self, request):
        """The request in mogr's words."""
        words = ["imageMogr2"]
        if self.orient:
            words.append("auto-orient")
        if self.crop:
            x, y, width, height = self.crop
            words.append(f"crop/!{width}x{height}a{x}a{y}")
        if self.rotate:
            words.append(f"rotate/{self.rotate}")
        words.append(f"thumbnail/{request['width']}x{request['height']}!")
        words.append(f"format/{'jpg' if self.format == 'jpeg' else self.format}")
        if self.format != "png":
            words.append(f"quality/{self.quality}!")
        if not self.keep_profile:
            words.append("strip")
        fops = "/".join(words)
        return f"{fops}|{self.watermark_fop()}" if self.watermark else fops

    def watermark_fop(self):
        encode = lambda text: base64.urlsafe_b64encode(text.encode()).decode()
        logo = f"image/{encode('http://example.com/logo.png')}/gravity/NorthWest/dx/0/dy/0"
        # Sizes are in twentieths of a pixel: 36 pixels, as the others are asked for.
        text = f"text/{encode(TEXT)}/gravity/SouthEast/fontsize/720/fill/{encode('#ffffff')}/dissolve/80"
        return f"watermark/3/{logo}/{text}/format/jpg"

    def for_worker(self, files, logo, options):
        """The job as the workers of sharp and Pillow read it."""
        job = {"format": self.format, "quality": self.quality, "orient": self.orient}
        job |= {"keep_profile": self.keep_profile, "requests": self.requests(files)} | options
        return job | ({"text": TEXT, "logo": str(logo)} if self.watermark else {})


def upright_size(file, orient):
    with Image.open(file) as picture:
        turned = orient and picture.getexif().get(0x0112, 1) >= 5
        return (picture.height, picture.width) if turned else picture.size


SHARP = ("sharp", {})
EFFORT_2 = ("sharp effort 2", {"effort": 2})
ADAPTIVE = ("sharp adaptive", {"adaptive": True})
TWICE = {"goal_times": {"sharp": 2}, "goal_memory": 1 / 4}
SQUARE = {"crop": (1200, 800, 1000, 1000), "width": 500}

JOBS = [
    Job("24mp-320", "24 MP JPEG → 320 JPEG q80", "24mp", 320, goal_times={"sharp": 2.3}, goal_memory=1 / 4),
    Job("12mp-1200", "12 MP JPEG → 1200 JPEG", "12mp", 1200, goal_times={"sharp": 1.7}, goal_memory=1 / 4),
    Job("2mp-600", "2 MP JPEG → 600 JPEG", "2mp", 600, goal_times={"sharp": 2.8}, goal_memory=1 / 4),
    Job("progressive-320", "progressive 12 MP → 320", "progressive", 320,
        goal_times={"sharp": 15}, goal_memory=1 / 8),
    Job("12mp-webp", "12 MP JPEG → 800 WebP", "12mp", 800, "webp", sharp=(SHARP, EFFORT_2),
        goal_times={"sharp": 2.2, "sharp effort 2": 1.4}, goal_memory=1 / 4, goal_bytes_percent=0),
    Job("rgba-png", "4 MP RGBA PNG → 800 PNG", "rgba", 800, "png", sharp=(SHARP, ADAPTIVE),
        goal_times={"sharp": 2.6}, goal_memory=1 / 2, goal_bytes_percent=0),
    Job("rgba-webp", "4 MP RGBA PNG → 800 WebP", "rgba", 800, "webp", sharp=(SHARP, EFFORT_2),
        goal_times={"sharp": 2}, goal_memory=1 / 2),
    Job("crop", "crop 1000×1000 of 12 MP → 500", "12mp", **SQUARE, **TWICE),
    Job("crop-rotate", "crop 1000×1000 of 12 MP, rotate 90 → 500", "12mp", **SQUARE, rotate=90, **TWICE),
    Job("rotate", "12 MP, rotate 90 → 900", "12mp", 900, rotate=90, **TWICE),
    Job("orient", "12 MP, auto-orient → 900", "orient", 900, orient=True, **TWICE),
    Job("watermark", "12 MP → 1200 + text + logo", "12mp", 1200, watermark=True, scored=False,
        goal_times={"sharp": 2.5}, goal_memory=1 / 4),
    Job("avif", "AVIF 800×600 q50", "12mp", 800, "avif", 50, height=600, count=4, sharp=(SHARP, EFFORT_2),
        goal_times={"sharp": 1, "sharp effort 2": 1}, goal_quality="sharp effort 2"),
    Job("444-1200", "12 MP 4:4:4 → 1200 JPEG", "444", 1200),
    Job("cmyk-600", "2 MP CMYK with profile → 600 JPEG", "cmyk", 600),
    Job("p3-600", "2 MP Display P3, kept → 600 JPEG", "p3", 600, keep_profile=True),
    Job("small-500", "≤1 MP JPEG → 500", "small", 500, settings=("default", "linear")),
    Job("mid-500", "2–4 MP JPEG → 500", "mid", 500, settings=("default", "linear")),
    Job("large-500", "12–24 MP JPEG → 500", "large", 500, settings=("default", "linear")),
]
