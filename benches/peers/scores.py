"""How good results are: SSIMULACRA2 against the fully decoded source, reduced with Lanczos3 in floating point."""

import pathlib
import statistics
import subprocess
import tempfile

import numpy as np
from PIL import Image, ImageCms, ImageOps

from photos import to_srgb

REFERENCES = ("linear", "gamma")  # light that the reference was resampled in
TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
# How colours come from CMYK. Peers differ, and each is held against the one that it is nearer to.
INTENTS = {"relative": ImageCms.Intent.RELATIVE_COLORIMETRIC, "perceptual": ImageCms.Intent.PERCEPTUAL}
GROUND = 0.5  # what transparent pictures are laid on, as a coded value


class Scorer:
    def __init__(self, root, program):
        self.folder = root / "references"
        self.program = program

    def group(self, name, requests, results, orient=False):
        """Means over the requests, whose results lie in a folder under their sources' names."""
        scores = {light: [] for light in REFERENCES}
        sizes = []
        for request in requests:
            result = next(results.glob(pathlib.Path(request["source"]).stem + ".*"))
            sizes.append(result.stat().st_size)
            for light, score in self.one(name, request, result, orient).items():
                scores[light].append(score)
        means = {light: statistics.mean(values) for light, values in scores.items()}
        return means | {"bytes": statistics.mean(sizes), "each": scores}

    def one(self, name, request, result, orient):
        with Image.open(result) as opened:
            picture = on_ground(to_srgb(opened))
        if picture.size != (request["width"], request["height"]):
            raise ValueError(f"{result} is {picture.size}, asked for {request['width']}x{request['height']}")
        with tempfile.TemporaryDirectory() as folder:
            decoded = pathlib.Path(folder) / "result.png"
            picture.save(decoded, compress_level=1)
            return max((self.against(name, request, decoded, orient, intent) for intent in intents(request)), key=worst)

    def against(self, name, request, decoded, orient, intent):
        references = {light: self.reference(name, request, light, orient, intent) for light in REFERENCES}
        return {light: self.score(reference, decoded) for light, reference in references.items()}

    def score(self, reference, decoded):
        done = subprocess.run([self.program, reference, decoded], capture_output=True, text=True)
        if done.returncode:
            raise ValueError(done.stderr.strip())
        return float(done.stdout.split("\t")[0])

    def reference(self, name, request, light, orient, intent):
        size = f"{request['width']}x{request['height']}"
        label = f"{pathlib.Path(request['source']).stem}-{size}-{intent}"
        files = {light: self.folder / name / f"{label}-{light}.ppm" for light in REFERENCES}
        if not all(file.exists() for file in files.values()):
            files[light].parent.mkdir(parents=True, exist_ok=True)
            source = full(request, orient, INTENTS[intent])
            for each, file in files.items():
                write_ppm(file, reduced(source, (request["width"], request["height"]), each == "linear"))
        return files[light]


def intents(request):
    with Image.open(request["source"]) as source:
        return tuple(INTENTS) if source.mode == "CMYK" else ("relative",)


def worst(scores):
    return min(scores.values())


def full(request, orient, intent):
    """The source at full size in sRGB, turned and cut, as values from 0 to 1."""
    picture = Image.open(request["source"])
    if orient:
        picture = ImageOps.exif_transpose(picture)
    picture = to_srgb(picture, intent)
    if crop := request.get("crop"):
        picture = picture.crop((crop[0], crop[1], crop[0] + crop[2], crop[1] + crop[3]))
    if rotate := request.get("rotate"):
        picture = picture.transpose(TURNS[rotate])
    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGB")
    return np.asarray(picture)


def reduced(values, size, linear):
    """Lanczos3 in floating point, in linear light or on coded values, alpha premultiplied."""
    alpha = values[..., 3].astype(np.float32) / 255 if values.shape[2] == 4 else None
    small_alpha = None if alpha is None else resample(alpha, size).clip(0, 1)
    table = np.arange(256, dtype=np.float32) / 255
    if linear:
        table = to_linear(table)
    ground = to_linear(np.float32(GROUND)) if linear else GROUND
    planes = []
    for channel in range(3):
        plane = table[values[..., channel]]
        if alpha is None:
            small = resample(plane, size)
        else:
            covered = resample(plane * alpha, size)
            small = np.divide(covered, small_alpha, out=np.full_like(covered, ground), where=small_alpha > 1 / 512)
        small = small.clip(0, 1)
        planes.append(to_coded(small) if linear else small)
    coded = np.dstack(planes)
    # Laid on the ground as results are: on coded values, so that this is no part of what is judged.
    return coded if alpha is None else coded * small_alpha[..., None] + GROUND * (1 - small_alpha[..., None])


def resample(plane, size):
    return np.asarray(Image.fromarray(plane, "F").resize(size, Image.Resampling.LANCZOS))


def to_linear(coded):
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_coded(linear):
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def write_ppm(file, values):
    deep = np.clip(values * 65535 + 0.5, 0, 65535).astype(">u2")
    partial = file.with_suffix(".partial")
    partial.write_bytes(f"P6 {deep.shape[1]} {deep.shape[0]} 65535\n".encode() + deep.tobytes())
    partial.rename(file)


def on_ground(picture):
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    ground = Image.new("RGBA", picture.size, (round(GROUND * 255),) * 3 + (255,))
    return Image.alpha_composite(ground, picture).convert("RGB")


def size_of(file):
    with Image.open(file) as picture:
        return picture.size
