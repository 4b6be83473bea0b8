"""Characters in the writing boxes of a form: one in each."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hcr_runtime.components import (
    MIN_SIZE,
    SPECK_LEVEL,
    Components,
    Group,
    group_on_paper,
    weighted_median,
)

# Longer side of the least character, and shorter side of the largest, in shares of its box.
MIN_IN_BOX, MAX_IN_BOX = 0.1, 1.4
# Darkness of what is in a box, in shares of the writing's.
FAINTEST = 0.45
# Beside writing boxes: longer side, in shares of a box, and darkness, in shares of the writing's;
# this also of what runs through several boxes.
MIN_OUTSIDE, WRITTEN_LEVEL = 0.25, 0.6
# A component with so much of its ink in a second writing box runs through both.
SHARED = 0.3
# Where more of the letters than this leave their boxes, or fewer components of the page than this
# are letters in them, these are no writing boxes; where more than this are written beside them,
# the page is no mere form.
MOST_LEAVING, LEAST_INSIDE = 0.2, 0.05
# Nor are they where so many, and so large a share of them, hold letters of two lines: nearly as far
# above each other as one is high, and of about as much ink; bars, as of =, are so many times as
# wide as high.
FEWEST_STACKED, MOST_STACKED, FAR, ALIKE, BAR = 3, 0.1, 0.8, 0.4, 3
# A cell of a table holds several characters where its ink is so many times as wide as high, and
# each is so high, and so far from the next, in shares of that height; or they are as far apart as
# high.
SEVERAL, HIGH, APART = 1.8, 0.5, 0.2
# Writing boxes as forms draw them are wider than writers use.
FORM_SHARE = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class _Homes:
    """Writing boxes, from 0, and how components lie in them.

    Attributes:
        first: The box that holds most of a component, (N,).
        inside: Share of its ink that lies in boxes, (N,).
        beyond: Share of its ink that lies in other boxes than the first, (N,).
        side: Of each box, in pixels, (boxes,).
        middle: Of each box (x, y), (boxes, 2).
        low, high: Left and top edge, right and bottom edge, of all boxes together.
    """

    first: NDArray[np.intp]
    inside: NDArray[np.float64]
    beyond: NDArray[np.float64]
    side: NDArray[np.float64]
    middle: NDArray[np.float64]
    low: NDArray[np.intp]
    high: NDArray[np.intp]


def _homes(components: Components, boxes: NDArray[np.int32]) -> _Homes:
    """See into which boxes the components' ink falls; there is one box at least."""
    count, kinds = len(components.area), int(boxes.max()) + 1
    home = boxes.ravel()[components.ink]
    votes = np.bincount(components.owner * kinds + home, minlength=count * kinds)
    votes = votes.reshape(count, kinds)[:, 1:]
    inside, ink = votes.sum(axis=1), np.maximum(components.area, 1)
    rows, columns = np.divmod(np.flatnonzero(boxes), boxes.shape[1])
    number = boxes[rows, columns]
    area = np.bincount(number, minlength=kinds)[1:]
    middle = [np.bincount(number, values, minlength=kinds)[1:] for values in (columns, rows)]
    return _Homes(
        first=votes.argmax(axis=1),
        inside=inside / ink,
        beyond=(inside - votes.max(axis=1)) / ink,
        side=np.sqrt(area),
        middle=np.stack(middle, axis=1) / np.maximum(area, 1)[:, None],
        low=np.array([columns.min(), rows.min()]),
        high=np.array([columns.max(), rows.max()]),
    )


def group_in_boxes(components: Components, boxes: NDArray[np.int32]) -> list[Group] | None:
    """Make one character of what lies in each writing box, or several in a table's cell.

    Args:
        components: Of the page, its lines erased.
        boxes: Number of each pixel's writing box, 0 where in none; int32, (H, W).

    Returns:
        The characters, and those beside the boxes that are written alike; None where the writing
        does not keep to the boxes, as on squared paper.
    """
    if not boxes.any():
        return None
    usable, homes = components.usable(), _homes(components, boxes)
    side = homes.side[homes.first]
    # A letter may well leave its box; where many do, the boxes are mere squares.
    letters = usable & (homes.inside > 0.2) & (components.length > MIN_SIZE * side)
    leaving = (homes.beyond > 0.5 * SHARED) | (components.length > side)
    # A letter's own loop may look like a box.
    few = letters.sum() < LEAST_INSIDE * np.count_nonzero(usable)
    if few or not letters.any() or leaving[letters].mean() > MOST_LEAVING:
        return None
    in_box = usable & (homes.inside > 0.5)
    # Lines may make boxes on the desk, too: its grain is fainter than what is written.
    level = weighted_median(components.level[letters & in_box])
    # Several boxes long, and fainter than what is written: the shadow of what lies on the sheet.
    in_box &= (homes.beyond <= SHARED) | (components.level > WRITTEN_LEVEL * level)
    groups: list[Group] = []
    filled = np.unique(homes.first[in_box]).tolist()
    inside = [np.flatnonzero(in_box & (homes.first == box)) for box in filled]
    stacked = sum([_are_stacked(components, members) for members in inside])
    if stacked >= max(FEWEST_STACKED, MOST_STACKED * len(inside)):
        return None
    for members in inside:
        group = _group_in_box(components, members, homes, FAINTEST * level)
        if group is not None:
            groups += _several(components, group)
    return groups + _group_beside(components, usable, homes, level, len(groups))


def _are_stacked(components: Components, members: NDArray[np.int64]) -> bool:
    """Whether components are letters of two lines, far above each other."""
    area = components.area[members]
    width, height = (components.high[members] - components.low[members]).T
    letters = members[(area >= ALIKE * area.max()) & (width < BAR * height)]
    if len(letters) < 2:
        return False
    letters = letters[components.low[letters, 1].argsort()]
    low, high = components.low[letters, 1], components.high[letters, 1]
    gaps = low[1:] - np.maximum.accumulate(high)[:-1]
    return bool((gaps >= FAR * (high - low).max()).any())


def _group_in_box(
    components: Components, members: NDArray[np.int64], homes: _Homes, faintest: float
) -> Group | None:
    """Make one character of what lies in a writing box; None where it is a speck, or print.

    Args:
        components: Of the page.
        members: Numbers of those in one box.
        homes: The boxes.
        faintest: Darkness that its largest component has at least.
    """
    main = members[components.area[members].argmax()]
    members = members[components.level[members] > SPECK_LEVEL * components.level[main]]
    left, top, right, bottom = components.bounds(members, np.zeros(1, np.int64))[0].tolist()
    box = homes.first[main]
    extent, side = (right - left, bottom - top), float(homes.side[box])
    # Printed marks fill several boxes.
    fits = max(extent) > MIN_IN_BOX * side and min(extent) < MAX_IN_BOX * side
    if not fits or components.level[main] <= faintest:
        return None
    return Group(
        tuple(members.tolist()),
        *(left, top, right, bottom),
        FORM_SHARE * side,
        bool((homes.beyond[members] > SHARED).any()),
        (float(homes.middle[box, 0]), float(homes.middle[box, 1])),
    )


def _several(components: Components, cell: Group) -> list[Group]:
    """Tell apart the characters in one cell, side by side; it is one that touches where unsure."""
    height = cell.bottom - cell.top
    if cell.touching or cell.right - cell.left < SEVERAL * height:
        return [cell]
    members = np.array(cell.members)
    groups = sorted(group_on_paper(components, members), key=lambda group: group.left)
    gaps = [after.left - before.right for before, after in itertools.pairwise(groups)]
    high = all(group.bottom - group.top >= HIGH * height for group in groups)
    if gaps and high and min(gaps) >= APART * height:
        return groups
    left, right = (edges[members, 0] for edges in (components.low, components.high))
    order = left.argsort()
    bare = left[order][1:] - np.maximum.accumulate(right[order])[:-1]
    return [cell._replace(touching=bool((bare >= HIGH * height).any()))]


def _group_beside(
    components: Components,
    usable: NDArray[np.bool_],
    homes: _Homes,
    level: float,
    inside: int,
) -> list[Group]:
    """Make characters of what lies beside the boxes: a box whose line is missing is none.

    What else is there is larger, or fainter than what is written: wood, print; unless there is
    much of it away from the boxes: a page's text, below a few of them.

    Args:
        components: Of the page.
        usable: Which of them are ink, (N,).
        homes: The boxes.
        level: Darkness of what is written in them.
        inside: How many characters those are.
    """
    length = float(np.median(homes.side))
    outside = usable & (homes.inside < 0.1) & (components.level > WRITTEN_LEVEL * level)
    near = (components.low > homes.low - length / 2).all(axis=1)
    near &= (components.high < homes.high + length / 2).all(axis=1)
    short = components.length < length
    # As large as a box, among boxes, is one that was not found: they are a form's.
    if not (outside & near & ~short).any():
        text = _written(components, outside, length)
        if len(text) > MOST_LEAVING * inside:
            return text
    beside = _written(components, outside & near & short, length)
    return [group._replace(side=FORM_SHARE * length) for group in beside]


def _written(components: Components, which: NDArray[np.bool_], length: float) -> list[Group]:
    """Characters of components beside boxes of some length; what is far smaller is none."""
    return [
        group
        for group in group_on_paper(components, np.flatnonzero(which))
        if max(group.right - group.left, group.bottom - group.top) > MIN_OUTSIDE * length
    ]
