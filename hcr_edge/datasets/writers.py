"""Who wrote what: parts of a data set that share no writer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.content import UNKNOWN_WRITER
from hcr_edge.errors import DataError

if TYPE_CHECKING:
    from hcr_edge.datasets.base import Dataset

# Of so many writers of a set without a test part one is it.
TEST_SHARE = 5
# The parts of a set that nobody divided.
DIVIDED = "train", "test"


def hold_out_writers(
    data: Dataset, share: int, fold: int, fewer: bool = False
) -> NDArray[np.bool_]:
    """Choose the writers of fold `fold` of `share` folds.

    Args:
        data: The data set; of a joined one each part gives writers of its own.
        share: How many folds there are.
        fold: Which.
        fewer: Whether there may be fewer writers than folds; then each is one, and of a single
            writer none is chosen.

    Returns:
        bool of shape (N,): True for images of the chosen writers.

    Raises:
        DataError: There are fewer writers than `share`.
    """
    dealt = deal_writers(data, [1.0] * share, fewer=fewer)
    return np.asarray(dealt == fold % share)


def divide(whole: Dataset, split: str) -> Dataset:
    """Return the part ``train`` or ``test`` of a set that nobody divided.

    A fifth of the writers, or of consecutive images where no writer is known, is the test; of fewer
    than five writers it is one. Of one writer, or of one image a class, there is no test; a class
    that would be the test's alone trains.
    """
    test = hold_out_writers(whole, TEST_SHARE, 0, fewer=True)
    # A class of which all would be the test is to be learned.
    test &= np.isin(whole.labels, whole.labels[~test])
    told = whole.writers is not None and bool((whole.writers >= 0).any())
    part = whole.select(test if split == "test" else ~test, split)
    return replace(part, split_rule="writers" if told else "blocks")


def deal_writers(
    data: Dataset, shares: Sequence[float], seed: int | None = None, fewer: bool = False
) -> NDArray[np.int64]:
    """Divide a data set so that no writer is in two parts.

    Args:
        data: The data set; the parts of a joined one are divided each on its own.
        shares: How large each part is to be, relative to the others.
        seed: Shuffles the writers; None goes by their numbers.
        fewer: Whether a set of fewer writers may leave the last parts empty; a single writer is
            then in none (-1).

    Returns:
        int64 of shape (N,): index into `shares`. Images of unknown writers get -1 where others'
        writers are known: held out, they might be somebody's who is trained on. Where no writer is
        known, consecutive images of a class are kept together instead, in blocks of a twentieth.

    Raises:
        DataError: There are fewer writers than parts.
    """
    result = np.full(len(data), UNKNOWN_WRITER, np.int64)
    origin = np.zeros(len(data), np.int64) if data.origin is None else data.origin
    for number in np.unique(origin).tolist():
        members = np.flatnonzero(origin == number)
        groups = _writers_or_blocks(data, members)
        known = groups >= 0
        _, numbers, sizes = np.unique(groups[known], return_inverse=True, return_counts=True)
        wanted = shares[: len(sizes)] if fewer else shares
        if len(wanted) < 2 and fewer:
            continue
        if len(sizes) < len(wanted):
            name = data.origins[number] if data.origins else data.name
            raise DataError(
                f"{name} has {len(sizes)} groups of writers",
                allowed=f"{len(wanted)} or more",
                hint="the split 'all' takes everything; where no writers are named, consecutive"
                " images of a class are kept together instead",
            )
        result[members[known]] = _deal(sizes, np.asarray(wanted, float), seed)[numbers]
    return result


def _writers_or_blocks(data: Dataset, members: NDArray[np.int64]) -> NDArray[np.int64]:
    if data.writers is not None and (data.writers[members] >= 0).any():
        return data.writers[members]
    blocks = np.empty(len(members), np.int64)
    labels = data.labels[members]
    for label in np.unique(labels).tolist():
        own = np.flatnonzero(labels == label)
        blocks[own] = np.arange(len(own)) * 20 // len(own)
    return blocks


def writer_or_block_of_each(data: Dataset) -> NDArray[np.int64]:
    """Number each image's writer or block, from 0; those of joined sets apart."""
    origin = np.zeros(len(data), np.int64) if data.origin is None else data.origin
    groups = np.empty(len(data), np.int64)
    for number in np.unique(origin).tolist():
        members = np.flatnonzero(origin == number)
        groups[members] = _writers_or_blocks(data, members)
    return np.unique(np.stack([origin, groups]), axis=1, return_inverse=True)[1].ravel()


def by_turns(writers: NDArray[np.int64], begin: int) -> NDArray[np.int64]:
    """Order images so that each writer has one, then each a second one.

    >>> by_turns(np.array([0, 0, 0, 1, 2]), begin=1).tolist()
    [3, 4, 0, 1, 2]
    """
    grouped = np.argsort(writers, kind="stable")
    _, first, writer = np.unique(writers[grouped], return_index=True, return_inverse=True)
    turn = np.empty(len(writers), np.int64)
    turn[grouped] = np.arange(len(writers)) - first[writer]
    place = np.empty(len(writers), np.int64)
    place[grouped] = (writer - begin) % max(len(first), 1)
    return np.lexsort((place, turn))


def _deal(
    sizes: NDArray[np.int64], shares: NDArray[np.float64], seed: int | None
) -> NDArray[np.int64]:
    """Deal groups out, the largest first, each to the part that lacks most of its share."""
    order = np.arange(len(sizes))
    if seed is not None:
        order = np.random.default_rng(seed).permutation(len(sizes))
    chosen = np.empty(len(sizes), np.int64)
    filled = np.zeros(len(shares))
    for group in order[np.argsort(-sizes[order], kind="stable")].tolist():
        chosen[group] = part = int((filled / shares).argmin())
        filled[part] += sizes[group]
    return chosen
