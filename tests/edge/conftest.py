"""Real letters, read once; one small training and one small export that several tests look at."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from hcr_edge.cli import main
from hcr_edge.datasets import Dataset, join, load_dataset
from hcr_edge.recipe import load_recipe
from hcr_edge.run_folder import EpochRow
from hcr_edge.train import train
from hcr_runtime import Label

LIMIT = 1400


@dataclass
class Recorder:
    """A watcher that remembers what it was told."""

    steps: list[tuple[int, int, int]] = field(default_factory=list)
    epochs: list[EpochRow] = field(default_factory=list)
    bests: list[bool] = field(default_factory=list)

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        assert np.isfinite(loss)
        self.steps.append((epoch, step, steps))

    def epoch(self, row: EpochRow, best: bool) -> None:
        self.epochs.append(row)
        self.bests.append(best)


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, what `train` answered and told."""

    path: Path
    result: dict[str, Any]
    told: Recorder


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, which holds one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        """The lines on standard error, without notes."""
        return [line for line in self.err.splitlines() if not line.startswith("note:")]


Command = Callable[..., Answer]


@pytest.fixture
def own(tmp_path: Path) -> str:
    """Two letters, 30 images each, of nobody in particular."""
    rng = np.random.default_rng(0)
    for letter in "ات":
        (tmp_path / "own" / letter).mkdir(parents=True)
        for i in range(30):
            image = rng.integers(0, 256, (16, 16)).astype(np.uint8)
            cv2.imencode(".png", image)[1].tofile(tmp_path / "own" / letter / f"{i:02d}.png")
    return f"folder:{tmp_path / 'own'}"


@pytest.fixture(scope="session")
def cli() -> Command:
    """The command line, run in this process; `data` stands for the variable HCR_EDGE_DATA."""

    def run(*arguments: object, data: Path | None = None) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        environment = {k: v for k, v in os.environ.items() if k != "HCR_EDGE_DATA"}
        if data is not None:
            environment["HCR_EDGE_DATA"] = str(data)
        on_term = signal.getsignal(signal.SIGTERM)
        with (
            patch.object(sys, "argv", ["hcr-edge", *map(str, arguments)]),
            patch.dict(os.environ, environment, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
            pytest.raises(SystemExit) as caught,
        ):
            main()
        signal.signal(signal.SIGTERM, on_term)
        return Answer(caught.value.code or 0, out.getvalue(), err.getvalue())

    return run


@pytest.fixture(scope="session")
def exported(cli: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model as float32 and int8 ONNX, without a data set; not to be changed."""
    out = tmp_path_factory.mktemp("exported") / "letters"
    kinds = ("--artifact", "float32.onnx", "--artifact", "int8.onnx")
    answer = cli("export", "arabic-letters", "--out", out, *kinds)
    assert answer.code == 0, answer.err
    return out


@pytest.fixture(scope="session")
def ahcd(data_dir: Path) -> Callable[[str], Dataset]:
    """AHCD by split, each read once."""
    read: dict[str, Dataset] = {}

    def load(split: str) -> Dataset:
        if split not in read:
            read[split] = load_dataset("ahcd", split, data_dir=data_dir)
        return read[split]

    return load


@pytest.fixture(scope="session")
def base_run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The first reference network on AHCD, two epochs on a tenth of its images."""
    out = tmp_path_factory.mktemp("runs") / "deep" / "first"
    told = Recorder()
    recipe = load_recipe("ahcd-baseline", epochs=2, limit=LIMIT)
    return Run(out, train(recipe, out, data_dir=data_dir, watcher=told), told)


@pytest.fixture
def few_writers(
    ahcd: Callable[[str], Dataset], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """Make `train` see the first image of each letter by each writer; returns the splits asked for.

    Real letters, but a tenth of them: for tests of the way, not of the accuracy.
    """
    asked: list[str] = []

    def first_of_each(split: str) -> Dataset:
        data = ahcd(split)
        assert data.writers is not None
        keep = np.zeros(len(data), bool)
        keep[np.unique(data.writers * 28 + data.labels, return_index=True)[1]] = True
        return data.select(keep, split)

    def load(
        spec: str,
        split: str,
        data_dir: Path | None = None,
        label_set: tuple[Label, ...] | None = None,
    ) -> Dataset:
        assert spec == "ahcd"
        asked.append(split)
        if split == "all":
            return join(first_of_each("train"), first_of_each("test"), "all")
        return first_of_each(split).limit(10_000 if split == "train" else 280)

    monkeypatch.setattr("hcr_edge.protocol.load_dataset", load)
    return asked
