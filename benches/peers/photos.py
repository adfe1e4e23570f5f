"""Photographs from Debian's wallpaper packages (or a folder), prepared in groups under target/peers/photos/."""

import io
import pathlib
import subprocess

import numpy as np
from PIL import Image, ImageCms

Image.MAX_IMAGE_PIXELS = None

PACKAGES = ["lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04", "mate-backgrounds", "plasma-workspace-wallpapers"]
PROFILE_PACKAGE = "libgs-common"  # has a profile for CMYK

# Photographs only: the renderings and drawings of these packages are left out.
MASTERS = {
    "kleiber": "lomiri-wallpapers-20.04/usr/share/backgrounds/Kleiber_by_Lukas_Baubkus.jpg",
    "elephants": "mate-backgrounds/usr/share/backgrounds/mate/abstract/Elephants_5640x3172.jpg",
    "seeding": "lomiri-wallpapers-16.04/usr/share/backgrounds/seeding_by_Clements_Engelhardt.jpg",
    "dragonfly": "lomiri-wallpapers-16.04/usr/share/backgrounds/Dragonfly_by_Bolly.jpg",
    "sunset": "lomiri-wallpapers-16.04/usr/share/backgrounds/sunset_by_Aitzol_Berasategi.jpg",
    "bridge": "lomiri-wallpapers-16.04/usr/share/backgrounds/Bridge_by_Sander_Klootwijk.jpg",
    "wine": "lomiri-wallpapers-16.04/usr/share/backgrounds/Wine_by_Jakkub_Mede.jpg",
    "picos": "lomiri-wallpapers-16.04/usr/share/backgrounds/picosdeeuropa_by_Aitzol_Berasategi.jpg",
    "aitzgorri": "lomiri-wallpapers-16.04/usr/share/backgrounds/aitzgorri_by_Aitzol_Berasategi.jpg",
    "life": "lomiri-wallpapers-16.04/usr/share/backgrounds/life_by_Aitzol_Berasategi.jpg",
    "friends": "lomiri-wallpapers-16.04/usr/share/backgrounds/friends_by_Aitzol_Berasategi.jpg",
    "clock": "lomiri-wallpapers-16.04/usr/share/backgrounds/greentock_by_Peter_Nerlich.jpg",
    "fig": "lomiri-wallpapers-16.04/usr/share/backgrounds/Picture_0B_by_freespace.jpg",
    "path": "plasma-workspace-wallpapers/usr/share/wallpapers/Path/contents/images/2560x1600.jpg",
    "kite": "plasma-workspace-wallpapers/usr/share/wallpapers/Kite/contents/images/2560x1600.jpg",
    "moss": "plasma-workspace-wallpapers/usr/share/wallpapers/OneStandsOut/contents/images/2560x1600.jpg",
    "cups": "plasma-workspace-wallpapers/usr/share/wallpapers/ColorfulCups/contents/images/2560x1600.jpg",
    "leaf": "plasma-workspace-wallpapers/usr/share/wallpapers/FallenLeaf/contents/images/2560x1600.jpg",
    "boats": "plasma-workspace-wallpapers/usr/share/wallpapers/EveningGlow/contents/images/2560x1600.jpg",
    "planks": "plasma-workspace-wallpapers/usr/share/wallpapers/BytheWater/contents/images/2560x1600.jpg",
    "ladybird": "mate-backgrounds/usr/share/backgrounds/mate/nature/LadyBird.jpg",
    "wings": "mate-backgrounds/usr/share/backgrounds/mate/nature/TwoWings.jpg",
    "garden": "mate-backgrounds/usr/share/backgrounds/mate/nature/Garden.jpg",
}

LARGE = ["kleiber", "elephants", "seeding", "dragonfly", "sunset", "bridge", "wine", "picos"]
MIDDLE = ["aitzgorri", "life", "friends", "clock", "picos", "fig", "path", "moss"]
SMALL = ["leaf", "boats", "cups", "kite", "ladybird", "wings", "planks", "garden"]

# Group: photographs, megapixels of each (one number: of all; two: at least, at most), how they are written.
GROUPS = {
    "small": (SMALL, [0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0], "jpeg"),
    "mid": (MIDDLE, [2.0, 2.3, 2.6, 2.9, 3.2, 3.5, 3.7, 4.0], "jpeg"),
    "large": (LARGE, "native", "jpeg"),
    "2mp": (MIDDLE, [2.0] * 8, "jpeg"),
    "12mp": (LARGE, [12.0] * 8, "jpeg"),
    "24mp": (LARGE, [24.0] * 8, "jpeg"),
    "444": (LARGE, [12.0] * 8, "444"),
    "progressive": (LARGE, [12.0] * 8, "progressive"),
    "orient": (LARGE, [12.0] * 8, "orient"),
    "cmyk": (MIDDLE, [2.0] * 8, "cmyk"),
    "p3": (MIDDLE, [2.0] * 8, "p3"),
    "rgba": (["picos", "aitzgorri", "life", "friends", "clock", "fig", "path", "moss"], [4.0] * 8, "rgba"),
}
TITLES = {
    "small": "≤1 MP", "mid": "2–4 MP", "large": "12–24 MP", "2mp": "2 MP", "12mp": "12 MP", "24mp": "24 MP",
    "444": "12 MP 4:4:4", "progressive": "12 MP progressive", "orient": "12 MP, orientation 6", "cmyk": "2 MP CMYK",
    "p3": "2 MP Display P3", "rgba": "4 MP RGBA PNG",
}
LEAST_LARGE_MP = 12.0
ENLARGED_OVER = 1.01
SRGB = ImageCms.createProfile("sRGB")


def install(folder):
    """Fetches and unpacks the packages that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES + [PROFILE_PACKAGE]:
        unpacked = folder / package
        if unpacked.exists():
            continue
        debs = folder.parent / "debs" / package
        debs.mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", package], cwd=debs, check=True)
        subprocess.run(["dpkg-deb", "-x", next(debs.glob("*.deb")), unpacked], check=True)


class Photographs:
    def __init__(self, root, own_folder=None):
        self.root = root
        self.debs = root / "unpacked"
        self.own = own_folder and pathlib.Path(own_folder).resolve()
        # A folder's photographs do not mix with the packages'.
        self.prepared = root / ("photos" if not self.own else f"photos-{abs(hash_of(str(self.own))):x}")
        install(self.debs)

    def group(self, name):
        """The files of a group, made where they are missing."""
        wanted, megapixels, kind = GROUPS[name]
        folder = self.prepared / name
        extension = "png" if kind == "rgba" else "jpg"
        files = []
        for index, (label, path) in enumerate(self.masters(wanted, megapixels)):
            file = folder / f"{label}.{extension}"
            files.append(file)
            if not file.exists():
                folder.mkdir(parents=True, exist_ok=True)
                self.write(file, path, megapixels, index, kind)
        return files

    def masters(self, wanted, megapixels):
        if not self.own:
            return [(label, self.debs / MASTERS[label]) for label in wanted]
        least = 12.0 if megapixels == "native" else max(megapixels)
        found = [(pixels(path), path) for path in sorted(self.own.iterdir()) if is_picture(path)]
        # Those that need not be enlarged first, the closest in size before the others.
        found.sort(key=lambda item: (item[0] < least * 1e6, abs(item[0] - least * 1e6)))
        return [(path.stem, path) for _, path in found[: len(wanted)]]

    def write(self, file, path, megapixels, index, kind):
        picture = upright_srgb(path)
        native = picture.width * picture.height / 1e6
        target = max(native, LEAST_LARGE_MP) if megapixels == "native" else megapixels[index]
        picture = at_megapixels(picture, min(target, 24.0), seed=index)
        if megapixels == "native" or target == 24.0:
            assert picture.width * picture.height <= 24.5e6
        partial = file.with_suffix(".partial")
        save(picture, partial, kind, quality=85 + index % 8, profiles=self)
        partial.rename(file)

    def cmyk_profile(self):
        return (self.debs / PROFILE_PACKAGE / "usr/share/color/icc/ghostscript/default_cmyk.icc").read_bytes()

    def p3_profile(self):
        repository = pathlib.Path(__file__).resolve().parents[2]
        return Image.open(repository / "examples/photos/flower-p3.jpg").info["icc_profile"]

    def notes(self, groups):
        """What must be said of the photographs in these groups: who was enlarged, and how much."""
        notes = []
        for name in groups:
            wanted, megapixels, _ = GROUPS[name]
            enlarged = []
            for index, (label, path) in enumerate(self.masters(wanted, megapixels)):
                native = pixels(path) / 1e6
                target = max(native, LEAST_LARGE_MP) if megapixels == "native" else megapixels[index]
                if target > native * ENLARGED_OVER:
                    enlarged.append(f"{label} {native:.1f} → {target:.1f} MP")
            if enlarged:
                notes.append(f"{TITLES[name]}: enlarged, with grain added: {', '.join(enlarged)}.")
        return notes


def hash_of(text):
    import zlib
    return zlib.crc32(text.encode())


def is_picture(path):
    return path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


def pixels(path):
    with Image.open(path) as picture:
        return picture.width * picture.height


def upright_srgb(path):
    from PIL import ImageOps
    picture = ImageOps.exif_transpose(Image.open(path))
    return to_srgb(picture).convert("RGB")


def to_srgb(picture, intent=ImageCms.Intent.RELATIVE_COLORIMETRIC):
    """In sRGB by its profile; unchanged where it has none."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "CMYK"):
        return picture
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.profileToProfile(picture, source, SRGB, renderingIntent=intent, outputMode="RGB")


def at_megapixels(picture, megapixels, seed):
    factor = (megapixels * 1e6 / (picture.width * picture.height)) ** 0.5
    if abs(factor - 1) < 0.005:
        return picture
    size = (round(picture.width * factor), round(picture.height * factor))
    resized = picture.resize(size, Image.Resampling.LANCZOS)
    return with_grain(resized, seed) if factor > 1 else resized


def with_grain(picture, seed):
    """Noise of luma as cameras have it: what enlarging smoothed would compress too well without."""
    random = np.random.default_rng(seed)
    values = np.asarray(picture).astype(np.float32)
    noise = random.standard_normal(values.shape[:2], dtype=np.float32)
    noise = 0.5 * noise + 0.25 * (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, (1, 1), (0, 1)))
    strength = 2.2 * (0.5 + 0.7 * np.sqrt(values.mean(2) / 255))
    values += (noise * strength)[..., None]
    return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))


def save(picture, file, kind, quality, profiles):
    plain = {"format": "JPEG", "quality": quality, "subsampling": "4:2:0"}
    if kind == "jpeg":
        picture.save(file, **plain)
    elif kind == "444":
        picture.save(file, **{**plain, "subsampling": "4:4:4"})
    elif kind == "progressive":
        picture.save(file, progressive=True, **plain)
    elif kind == "orient":
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.save(file, exif=exif.tobytes(), **plain)
    elif kind == "cmyk":
        profile = profiles.cmyk_profile()
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        cmyk = ImageCms.profileToProfile(picture, SRGB, target, renderingIntent=intent, outputMode="CMYK")
        cmyk.save(file, icc_profile=profile, **plain)
    elif kind == "p3":
        profile = profiles.p3_profile()
        target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        ImageCms.profileToProfile(picture, SRGB, target, outputMode="RGB").save(file, icc_profile=profile, **plain)
    elif kind == "rgba":
        cut_out(picture).save(file, format="PNG", compress_level=6)
    else:
        raise ValueError(kind)


def cut_out(picture):
    """On a transparent ground: opaque inside an ellipse, a soft edge, and half-transparent patches."""
    height, width = picture.height, picture.width
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = np.hypot((x - width / 2) / (width / 2), (y - height / 2) / (height / 2))
    alpha = np.clip((0.96 - radius) * 4000, 0, 255)
    alpha = np.where((x // 250 + y // 250) % 5 == 0, alpha * 0.6, alpha).astype(np.uint8)
    values = np.dstack([np.asarray(picture), alpha])
    values[alpha == 0] = 0
    return Image.fromarray(values)


def logo(file):
    """The watermark's picture."""
    from PIL import ImageDraw
    picture = Image.new("RGBA", (220, 90), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((2, 2, 217, 87), 18, fill=(20, 90, 220, 170), outline=(255, 255, 255, 220), width=3)
    draw.ellipse((15, 15, 75, 75), fill=(255, 255, 255, 200))
    picture.save(file, format="PNG")
