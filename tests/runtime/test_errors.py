"""`hcr_runtime.errors`: what an error says, and what it keeps for a program."""

from __future__ import annotations

import pickle

import pytest

from hcr_runtime import (
    CameraError,
    EngineError,
    HcrError,
    ImageError,
    ModelError,
    SpecError,
)
from hcr_runtime.errors import nearest

KINDS = [ImageError, ModelError, SpecError, EngineError, CameraError]


@pytest.mark.parametrize(
    ("allowed", "hint", "text"),
    [
        # The message alone leaves no separators behind.
        ("", "", "size is 0"),
        ("1 or more", "", "size is 0; allowed: 1 or more"),
        ("", "set size", "size is 0; set size"),
        ("1 or more", "set size", "size is 0; allowed: 1 or more; set size"),
    ],
)
def test_message_is_one_line_of_the_parts_given(allowed: str, hint: str, text: str) -> None:
    error = HcrError("size is 0", allowed=allowed, hint=hint)
    assert str(error) == text
    assert (error.message, error.allowed, error.hint) == ("size is 0", allowed, hint)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_caught_as_hcr_error_and_as_no_other_kind(kind: type[HcrError]) -> None:
    error = kind("broken", hint="mend it")
    assert isinstance(error, HcrError)
    assert [other for other in KINDS if isinstance(error, other)] == [kind]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_come_back_whole_from_a_worker_process(kind: type[HcrError]) -> None:
    error = kind("broken", allowed="whole ones", hint="mend it")
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - made one line above
    assert type(back) is kind
    assert str(back) == str(error)
    assert (back.message, back.allowed, back.hint) == ("broken", "whole ones", "mend it")


@pytest.mark.parametrize(
    ("name", "known", "text"),
    [
        # One letter missing: the usual slip.
        ("arabic-leters", ["arabic-letters"], "arabic-letters (did you mean arabic-letters?)"),
        # Nothing alike: no guess is made.
        ("zzz", ["arabic-letters"], "arabic-letters"),
        # The best guess comes first, and the listing is sorted.
        (
            "arabic-digit",
            ["arabic-letters", "arabic-digits"],
            "arabic-digits, arabic-letters (did you mean arabic-digits or arabic-letters?)",
        ),
        # Never more than two guesses.
        ("a1", ["a2", "a3", "a4"], "a2, a3, a4 (did you mean a4 or a3?)"),
        # An empty list still says so.
        ("anything", [], "none"),
    ],
)
def test_nearest_names_what_looks_alike(name: str, known: list[str], text: str) -> None:
    assert nearest(name, iter(known)) == text
