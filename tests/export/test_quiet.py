from __future__ import annotations

import os
from contextlib import suppress

import pytest

from hcr_export._quiet import quiet


def _fail(said: bytes, error: BaseException) -> None:
    with quiet():
        os.write(2, said)
        raise error


def test_native_output_is_kept_away(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(1, b"delegate created\n")  # as native code writes: past Python's streams
        os.write(2, b"I0000 rewriting\n")
    os.write(2, b"after\n")
    assert capfd.readouterr() == ("", "after\n")


def test_an_error_shows_what_led_to_it(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError):
        _fail(b"operator Foo is not supported\n", RuntimeError())
    assert "operator Foo is not supported" in capfd.readouterr().err


def test_an_error_may_be_told_by_the_caller(capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(RuntimeError), quiet(tell=False) as said:
        os.write(2, b"no op Foo\nI give up\n")
        raise RuntimeError
    assert said == ["no op Foo", "I give up"]
    assert capfd.readouterr() == ("", "")


def test_an_interruption_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        _fail(b"I0000 rewriting\n", KeyboardInterrupt())
    assert capfd.readouterr() == ("", "")
