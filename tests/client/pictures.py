"""Test pictures, made here: small cards of four flat colours, so that size, orientation and colour can be checked.

    python tests/client/pictures.py FOLDER    writes them all (fuzz/seeds was made so)
"""

import io
import pathlib
import struct
import sys

from PIL import Image

RED, GREEN, BLUE, YELLOW = (200, 40, 40), (40, 160, 40), (40, 40, 200), (220, 200, 40)
CORNERS = (RED, GREEN, BLUE, YELLOW)  # top left, top right, bottom left, bottom right
# What orientation 6 shows of a picture that is stored as CORNERS: turned a quarter to the right.
CORNERS_TURNED_RIGHT = (BLUE, RED, YELLOW, GREEN)
WIDTH, HEIGHT = 120, 80


def card(width=WIDTH, height=HEIGHT, corners=CORNERS):
    """Four flat quarters."""
    image = Image.new("RGB", (width, height))
    for index, color in enumerate(corners):
        left, top = index % 2 * width // 2, index // 2 * height // 2
        image.paste(color, (left, top, left + width // 2, top + height // 2))
    return image


def encode(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def jpeg(**options):
    return encode(card(), "JPEG", quality=90, subsampling=0, **options)


def jpeg_turned_right():
    """Stored lying, with EXIF orientation 6."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(exif=exif)


def png_with_hole():
    """The bottom right quarter is transparent."""
    image = card().convert("RGBA")
    image.paste((0, 0, 0, 0), (WIDTH // 2, HEIGHT // 2, WIDTH, HEIGHT))
    return encode(image, "PNG")


def animated(format, **options):
    """Three frames; the first is the card."""
    turned = [card(corners=CORNERS[n:] + CORNERS[:n]) for n in range(3)]
    return encode(turned[0], format, save_all=True, append_images=turned[1:], duration=100, loop=0, **options)


def psd(width=16, height=12):
    """A flat, uncompressed RGB Photoshop file."""
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3)
    planes = b"".join(bytes([value]) * (width * height) for value in RED)
    return header + struct.pack(">IIIH", 0, 0, 0, 0) + planes


def every_kind():
    """Name to bytes, one for each thing that a decoder does differently."""
    return {
        "baseline.jpg": jpeg(),
        "progressive.jpg": jpeg(progressive=True),
        "turned.jpg": jpeg_turned_right(),
        "420.jpg": encode(card(), "JPEG", quality=60, subsampling=2, restart_marker_blocks=2),
        "gray.jpg": encode(card().convert("L"), "JPEG"),
        "cmyk.jpg": encode(card().convert("CMYK"), "JPEG"),
        "rgb.png": encode(card(), "PNG"),
        "hole.png": png_with_hole(),
        "palette.png": encode(card().quantize(8), "PNG", bits=4),
        "gray16.png": encode(Image.linear_gradient("L").resize((16, 16)).convert("I;16"), "PNG"),
        "still.gif": encode(card(), "GIF", interlace=1),
        "animated.gif": animated("GIF"),
        "lossy.webp": encode(card(), "WEBP", quality=80),
        "lossless.webp": encode(card().convert("RGBA"), "WEBP", lossless=True),
        "animated.webp": animated("WEBP"),
        "rgb.bmp": encode(card(16, 12), "BMP"),
        "palette.bmp": encode(card(16, 12).quantize(8), "BMP"),
        "lzw.tiff": encode(card(16, 12), "TIFF", compression="tiff_lzw"),
        "raw.tiff": encode(card(16, 12).convert("L"), "TIFF"),
        "rgb.psd": psd(),
    }


def open_bytes(data):
    return Image.open(io.BytesIO(data))


def corners_of(image):
    """The colours in the middle of the four quarters."""
    rgb = image.convert("RGB")
    width, height = rgb.size
    at = [(1, 1), (3, 1), (1, 3), (3, 3)]
    return tuple(rgb.getpixel((x * width // 4, y * height // 4)) for x, y in at)


def close(colors, expected, tolerance=25):
    """Are all colours the expected ones, up to `tolerance` in each channel? 25 covers ringing in JPEG at quality 75."""
    return len(colors) == len(expected) and all(
        abs(a - b) <= tolerance for found, wanted in zip(colors, expected) for a, b in zip(found, wanted)
    )


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in every_kind().items():
        (folder / name).write_bytes(data)
