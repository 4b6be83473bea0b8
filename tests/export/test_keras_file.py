from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hcr_export._keras import keras
from hcr_export.keras_file import KerasFile, append_spec, file_sha256, load_keras, save_keras
from hcr_runtime import HcrError, InputSpec, Label, ModelError, ModelSpec, SpecError
from hcr_runtime.carrier import SPEC_ENTRY


def test_round_trip_keeps_weights_and_description(source: KerasFile, tmp_path: Path) -> None:
    path = tmp_path / "again.keras"
    save_keras(source.model, source.spec, path)
    again = load_keras(path)
    assert again.spec == source.spec
    assert again.path == path
    assert again.sha256 == file_sha256(path)
    for before, after in zip(source.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert [item.name for item in tmp_path.iterdir()] == ["again.keras"]


def test_scores_are_calibrated_probabilities(source: KerasFile) -> None:
    tensors = np.random.default_rng(0).random((5, 32, 32, 1), np.float32)
    logits = np.asarray(source.model(tensors), np.float64) / source.spec.temperature
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(source.scores(tensors), expected, atol=1e-6)


def test_plain_keras_still_reads_the_file(source: KerasFile) -> None:
    model = keras.saving.load_model(source.path, compile=False)
    assert model.output_shape == (None, len(source.spec.labels))


def test_file_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-4, appendix
    assert file_sha256(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_failing_save_leaves_the_old_file(
    source: KerasFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.keras"
    shutil.copyfile(source.path, path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hcr_export.keras_file.append_spec", full)
    with pytest.raises(OSError, match="No space"):
        save_keras(source.model, source.spec, path)
    assert file_sha256(path) == source.sha256
    assert [item.name for item in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_file_that_is_cut_short(source: KerasFile, tmp_path: Path, share: float) -> None:
    path = tmp_path / "short.keras"
    data = source.path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(HcrError, match=r"short\.keras"):
        load_keras(path)


def test_damage_inside_the_archive(source: KerasFile, tmp_path: Path) -> None:
    """The directory at the end is whole, so that the description is found; the weights are not."""
    path = tmp_path / "damaged.keras"
    with zipfile.ZipFile(source.path) as archive:
        offset = archive.getinfo("model.weights.h5").header_offset
    data = bytearray(source.path.read_bytes())
    data[offset + 200 : offset + 2000] = bytes(1800)
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"damaged\.keras is damaged"):
        load_keras(path)


def _plain_keras(source: KerasFile, path: Path) -> None:
    source.model.save(path)


def _zip_of_something_else(source: KerasFile, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no model here")
    append_spec(path, source.spec)


def _text(source: KerasFile, path: Path) -> None:
    path.write_text("no model here", encoding="utf-8")


def _description_is_no_json(source: KerasFile, path: Path) -> None:
    source.model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(SPEC_ENTRY, "{")


def _description_is_huge(source: KerasFile, path: Path) -> None:
    source.model.save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(SPEC_ENTRY, b" " * (2 << 20))


def _description_of_a_newer_version(source: KerasFile, path: Path) -> None:
    source.model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        text = source.spec.to_json().replace('"schema_version":1', '"schema_version":2')
        archive.writestr(SPEC_ENTRY, text)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (_plain_keras, SpecError, "has no description inside"),  # anyone's .keras file
        (_zip_of_something_else, ModelError, "no Keras model"),
        (_text, SpecError, "cut short, or has no description"),
        (_description_is_no_json, SpecError, "is not JSON"),
        (_description_is_huge, SpecError, "takes 2097152 bytes"),  # a ZIP bomb
        (_description_of_a_newer_version, SpecError, "schema version 2"),
    ],
)
def test_file_that_is_no_model_of_ours(
    make, error: type[HcrError], says: str, source: KerasFile, tmp_path: Path
) -> None:
    path = tmp_path / "file.keras"
    make(source, path)
    with pytest.raises(error, match=says):
        load_keras(path)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": (Label("a", "a"), Label("b", "b"))},  # fewer labels than outputs
        {"input": InputSpec(28, 28)},  # another input
    ],
)
def test_description_that_does_not_fit_the_network(
    change: dict[str, object], source: KerasFile, tmp_path: Path
) -> None:
    path = tmp_path / "other.keras"
    save_keras(source.model, replace(source.spec, **change), path)
    with pytest.raises(SpecError, match=r"other\.keras maps \(32, 32, 1\) to 28 classes"):
        load_keras(path)


def test_code_inside_a_model_file_is_not_run(tmp_path: Path) -> None:
    """A Lambda layer carries Python bytecode: a stranger's file must not execute."""
    model = keras.Sequential(
        [
            keras.Input((32, 32, 1)),
            keras.layers.Lambda(lambda x: x * 2),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    path = tmp_path / "lambda.keras"
    save_keras(model, ModelSpec("l", (Label("a", "a"), Label("b", "b"))), path)
    with pytest.raises(ModelError, match=r"lambda\.keras"):
        load_keras(path)


@pytest.mark.parametrize("name", ["absent.keras", "folder.keras"])
def test_no_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(ModelError, match="there is no model file"):
        load_keras(tmp_path / name)
