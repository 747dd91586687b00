"""The page in a real browser: on a desk, on a phone, and on a dark page."""

import re
import shutil
import struct
import subprocess
import zlib

import numpy as np
import pytest

from sftheory.figures import reproduce

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
# one process and no network: nothing here needs either
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--force-device-scale-factor=1"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("page")
    reproduce(["F07", "F05"], out=out)
    return out / "index.html"


def browse(page, tmp_path, *flags):
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run(
        [CHROMIUM, *FLAGS, profile, *flags, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def screenshot(page, tmp_path, width, *flags):
    file = tmp_path / "shot.png"
    browse(page, tmp_path, f"--screenshot={file}", f"--window-size={width},3000", *flags)
    return read_png(file.read_bytes())


def read_png(data):
    """Pixels of an 8-bit RGB or RGBA PNG, (height, width, 3)."""
    width, height, _, kind = struct.unpack(">IIBB", data[16:26])
    channels = {2: 3, 6: 4}[kind]
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            chunks.append(data[at + 8 : at + 8 + length])
        at += 12 + length
    raw = np.frombuffer(zlib.decompress(b"".join(chunks)), np.uint8)
    rows = raw.reshape(height, 1 + width * channels)
    image = np.zeros((height, width * channels), np.uint8)
    for y in range(height):
        image[y] = _unfilter(rows[y, 0], rows[y, 1:], image[y - 1] if y else 0 * image[0], channels)
    return image.reshape(height, width, channels)[..., :3]


def _unfilter(kind, row, above, step):
    if kind == 0:
        return row
    if kind == 2:
        return row + above
    out = row.astype(int)
    up = above.astype(int)
    for x in range(len(out)):
        left = out[x - step] if x >= step else 0
        corner = up[x - step] if x >= step else 0
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up[x]) // 2
        else:
            p = left + up[x] - corner
            guess = min((left, up[x], corner), key=lambda v, p=p: abs(p - v))
        out[x] = (out[x] + guess) % 256
    return out.astype(np.uint8)


def test_every_figure_and_claim_is_on_the_page_as_rendered(page, tmp_path):
    dom = browse(page, tmp_path, "--dump-dom")
    assert re.findall(r'<section id="(\w+)"', dom) == ["F05", "F07"]
    assert dom.count("data:image/png;base64,") == 4
    assert dom.count("✓ holds") == 5 and "✗ failed, reason known" in dom


@pytest.mark.parametrize("width", [1100, 500])
def test_the_page_fits_its_window_and_shows_pictures(page, tmp_path, width):
    pixels = screenshot(page, tmp_path, width)
    assert pixels.shape[1] == width
    assert (pixels[:, -8:] == 255).all(), "something runs over the right edge"
    colours = pixels.reshape(-1, 3).astype(int)
    green = (np.abs(colours - [0x00, 0x9E, 0x73]).max(axis=1) < 40).sum()
    assert green > 200, "the green curve of WSD is not there"


def test_a_dark_page_is_dark_and_shows_the_dark_pictures(page, tmp_path):
    pixels = screenshot(page, tmp_path, 1100, "--blink-settings=preferredColorScheme=0")
    assert np.median(pixels) < 40
    assert (pixels.min(axis=2) > 240).mean() < 0.05, "a white picture on a dark page"
