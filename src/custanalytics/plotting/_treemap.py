"""Rectangles whose areas are exactly proportional, as square as they can be, and labels that fit in them."""

from __future__ import annotations

import numpy as np

SMALLEST, LARGEST = 7.0, 13.0  # of a label, in points
WIDE, TALL = 0.62, 1.45  # of a letter and a line, in font sizes


def squarify(sizes: np.ndarray, width: float, height: float) -> np.ndarray:
    """Tile a rectangle: x, y, width and height of each tile, shape (n, 4). Sizes are positive and descend.

    Tiles are laid in rows along the shorter side of what is left, as long as that makes the worst of the row more
    square (Bruls, Huizing and van Wijk, 2000).
    """
    areas = sizes / sizes.sum() * width * height
    tiles = np.empty((areas.size, 4))
    x, y, start = 0.0, 0.0, 0
    while start < areas.size:
        side, stop = min(width, height), start + 1
        while stop < areas.size and _worst(areas[start : stop + 1], side) <= _worst(areas[start:stop], side):
            stop += 1
        row = areas[start:stop]
        depth = row.sum() / side
        along = np.concatenate([[0.0], np.cumsum(row)]) / depth
        for at, tile in enumerate(range(start, stop)):
            begin, length = along[at], row[at] / depth
            tiles[tile] = (x, y + begin, depth, length) if width >= height else (x + begin, y, length, depth)
        if width >= height:
            x, width = x + depth, width - depth
        else:
            y, height = y + depth, height - depth
        start = stop
    return tiles


def _worst(row: np.ndarray, side: float) -> float:
    """The largest ratio of sides in a row of tiles."""
    total = row.sum()
    return float(max(side**2 * row.max() / total**2, total**2 / (side**2 * row.min())))


def fit_label(lines: list[str], width: float, height: float) -> tuple[list[str], float, int] | None:
    """Lines, font size and rotation of a label for a tile of so many points, or None where even the first line fails.

    Lines are dropped from the end until the rest fits; a name of several words may be broken, and a label turned.
    """
    names = [[lines[0]]] + ([lines[0].split(" ")] if " " in lines[0] else [])
    for keep in range(len(lines), 0, -1):
        choices = []
        for rotation, (across, up) in ((0, (width, height)), (90, (height, width))):
            for name in names:
                text = [*name, *lines[1:keep]]
                size = min(across / (max(map(len, text)) + 1) / WIDE, up / (len(text) + 0.5) / TALL, LARGEST)
                if size >= SMALLEST:
                    choices.append((size * (0.6 if rotation else 1.0), size, text, rotation))
        if choices:
            _, size, text, rotation = max(choices, key=lambda choice: choice[0])
            return text, size, rotation
    return None
