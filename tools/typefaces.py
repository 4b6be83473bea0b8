#!/usr/bin/env python3
"""Makes `hcr_edge/typefaces/SCRIPT.png` and `.yaml`: the middle lines of typefaces' letters.

    npm install --prefix build/typefaces @fontsource/amiri@5.3.0 @fontsource/vibes@5.2.8 ...
    .venv/bin/python tools/typefaces.py arabic build/typefaces/node_modules/@fontsource

The YAML files name the packages and versions. Takes the folders of fontsource packages, whose
`metadata.json` names the licence: those that are not under the SIL Open Font License, or lack the
script, are left out; so is what `UNLIKE` names. Needs a Pillow with Raqm, which joins and orders
what it writes.
"""

from __future__ import annotations

import json
import re
import string
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

OUT = Path(__file__).parents[1] / "hcr_edge" / "typefaces"
TILE, HIGHEST, WIDEST = 96, 60, 76
JOINED = "\u200d"


@dataclass(frozen=True)
class Script:
    """What is drawn, and the text whose height sets the scale."""

    forms: tuple[str, ...]
    tall: str
    direction: str
    language: str


SCRIPTS = {
    "arabic": Script((*"اأإآبتثجحخدذرزسشصضطظعغفقكکلمنه", "ه" + JOINED, *"ويى"), "طع", "rtl", "ar"),
    "latin": Script((*string.ascii_uppercase, *string.ascii_lowercase), "Hg", "ltr", "en"),
}
# Pixels and patterns; Nastaliq, which slopes; letters that are read as others;
# and what repeats another's.
UNLIKE = {
    *("handjet", "badeen-display", "oi", "rubik", "noto-nastaliq-urdu", "gulzar"),
    *("qahiri", "alkalami", "rakkas", "dawning-of-a-new-day", "mr-dafoe", "cedarville-cursive"),
    *("licorice", "over-the-rainbow"),
    *("amiri-quran", "aref-ruqaa-ink", "cairo-play", "reem-kufi-fun"),
}


def main(name: str, folder: Path) -> None:
    """Write both files of a script, from all of the packages in `folder`."""
    script = SCRIPTS[name]
    rows, typefaces = [], []
    for package in sorted(folder.iterdir()):
        about = json.loads((package / "metadata.json").read_text(encoding="utf-8"))
        files = sorted(package.glob(f"files/*-{name}-[34]00-normal.woff"))
        if package.name in UNLIKE or about["license"]["type"] != "OFL-1.1" or not files:
            sys.stderr.write(f"left out: {package.name}\n")
            continue
        rows.append(np.hstack([_tile(form, script, files[-1]) for form in script.forms]))
        version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
        # The first copyright line; others are of further files, in like words.
        by = re.split(r" \S+\.ttf:", " ".join(about["license"]["attribution"].split()))[0]
        typefaces.append(
            {"package": package.name, "version": version, "licence": "OFL-1.1", "attribution": by}
        )
    OUT.mkdir(exist_ok=True)
    cv2.imwrite(
        str(OUT / f"{name}.png"),
        np.vstack(rows),
        [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9],
    )
    about = {"tile": TILE, "forms": list(script.forms), "typefaces": typefaces}
    head = (
        "# Written by tools/typefaces.py. Rows of the picture are typefaces, columns are forms.\n"
    )
    text = yaml.safe_dump(about, allow_unicode=True, sort_keys=False, width=100)
    (OUT / f"{name}.yaml").write_text(head + text, encoding="utf-8")


def _tile(form: str, script: Script, file: Path) -> NDArray[np.uint8]:
    """The form's middle line in the middle of a tile, to scale; nothing where the file lacks it."""
    tile = np.zeros((TILE, TILE), np.uint8)
    if not {ord(letter) for letter in form} - {ord(JOINED)} <= set(TTFont(file).getBestCmap()):
        return tile  # the typeface would draw an empty box
    font = ImageFont.truetype(str(file), 80, layout_engine=ImageFont.Layout.RAQM)
    canvas = Image.new("L", (400, 400))
    ImageDraw.Draw(canvas).text(
        (200, 200), form, 255, font, "ms", direction=script.direction, language=script.language
    )
    ink = np.asarray(canvas)
    left, top, width, height = cv2.boundingRect((ink > 50).astype(np.uint8))
    tall = font.getbbox(script.tall, direction=script.direction)
    scale = min(HIGHEST / (tall[3] - tall[1]), WIDEST / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    glyph = cv2.resize(
        ink[top : top + height, left : left + width], size, interpolation=cv2.INTER_AREA
    )
    y, x = (TILE - size[1]) // 2, (TILE - size[0]) // 2
    tile[y : y + size[1], x : x + size[0]] = glyph
    return 255 * middle_line(tile > 110)


def middle_line(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Thin strokes to one pixel (Zhang, Suen 1984): uint8, 0 or 1."""
    line = mask.astype(np.uint8)
    changed = True
    while changed:
        changed = False
        for step in (0, 1):
            around = np.pad(line, 1)
            p = [
                around[1 + y : 1 + y + TILE, 1 + x : 1 + x + TILE].astype(int)
                for y, x in ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
            ]
            count = np.sum(p, axis=0)
            rises = np.sum([(p[i] == 0) & (p[(i + 1) % 8] == 1) for i in range(8)], axis=0)
            if step == 0:
                side = (p[0] * p[2] * p[4] == 0) & (p[2] * p[4] * p[6] == 0)
            else:
                side = (p[0] * p[2] * p[6] == 0) & (p[0] * p[4] * p[6] == 0)
            gone = (line == 1) & (count >= 2) & (count <= 6) & (rises == 1) & side
            changed |= bool(gone.any())
            line[gone] = 0
    # A square dot of an even side is thinned to nothing.
    total, parts, _, middles = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for part in set(range(1, total)) - set(parts[line > 0].tolist()):
        x, y = middles[part].round().astype(int)
        line[y, x] = 1
    return line


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
