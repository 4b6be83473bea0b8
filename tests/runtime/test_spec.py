"""`ModelSpec`: it comes back from JSON as it went in, and nothing malformed gets past it."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcr_runtime import (
    Classifier,
    InputSpec,
    Label,
    ModelSpec,
    PreprocessSpec,
    Provenance,
    RejectionSpec,
    SpecError,
)

LABELS = (Label("ا", "alef", "ʾ", "Arab", "rtl"), Label("ب", "beh", "b", "Arab", "rtl"))
GOOD = ModelSpec("demo", LABELS).to_dict()

shares = st.floats(0.01, 1.0)
labels = st.lists(
    st.builds(
        Label,
        text=st.text(min_size=1, max_size=3),
        name=st.text(max_size=8),
        transliteration=st.text(max_size=4),
        script=st.sampled_from(["Arab", "Latn", "Zyyy"]),
        direction=st.sampled_from(["ltr", "rtl"]),
    ),
    min_size=2,
    max_size=6,
    unique_by=lambda label: label.text,
).map(tuple)
specs = st.builds(
    ModelSpec,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,11}", fullmatch=True),
    labels=labels,
    input=st.integers(8, 1024).map(lambda side: InputSpec(side, side)),
    preprocess=st.builds(
        lambda zoom, sides, stroke, mean, std: PreprocessSpec(
            1, zoom, min(sides), max(sides), stroke, mean, std
        ),
        st.floats(0.1, 4.0),
        st.tuples(shares, shares),
        st.floats(0.0, 0.5),
        st.floats(-1.0, 1.0),
        st.floats(0.01, 4.0),
    ),
    output=st.sampled_from(["logits", "softmax"]),
    temperature=st.floats(0.01, 100),
    rejection=st.builds(RejectionSpec, st.floats(0, 1)),
    provenance=st.builds(
        Provenance,
        training_data=st.text(max_size=8),
        versions=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
        figures=st.dictionaries(st.text(max_size=4), st.floats(0, 1), max_size=3),
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def places(data: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a JSON document, as a path of keys and indices."""
    if isinstance(data, dict):
        items: Any = data.items()
    elif isinstance(data, list):
        items = enumerate(data)
    else:
        return [path]
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


def changed(path: tuple[Any, ...], value: object) -> Any:
    """Return the good description with one place changed."""
    data = copy.deepcopy(GOOD)
    inner: Any = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return data


@given(specs)
def test_description_survives_dict_and_json(spec: ModelSpec) -> None:
    assert ModelSpec.from_dict(spec.to_dict()) == spec
    assert ModelSpec.from_json(spec.to_json()) == spec
    assert ModelSpec.from_json(spec.to_json().encode()) == spec


@given(specs)
def test_dict_is_plain_json(spec: ModelSpec) -> None:
    assert json.loads(json.dumps(spec.to_dict())) == spec.to_dict()


@given(st.binary(max_size=60) | st.text(max_size=60) | json_values.map(json.dumps))
def test_arbitrary_text_raises_only_spec_error(text: str | bytes) -> None:
    with pytest.raises(SpecError):
        ModelSpec.from_json(text)


@given(st.sampled_from(places(GOOD)[1:]), json_values)
def test_one_arbitrary_value_is_taken_or_refused(path: tuple[Any, ...], value: object) -> None:
    try:
        spec = ModelSpec.from_json(json.dumps(changed(path, value)))
    except SpecError:
        return
    # What was taken can be written down, and is then the same.
    assert ModelSpec.from_json(spec.to_json()) == spec


@given(st.sampled_from([place for place in places(GOOD) if place and place[-1] != "codepoint"]))
def test_missing_field_is_refused_or_has_its_default(path: tuple[Any, ...]) -> None:
    data = copy.deepcopy(GOOD)
    inner: Any = data
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    required = {"name", "labels", "text", "schema_version", 0, 1}
    if path[-1] in required:
        with pytest.raises(SpecError):
            ModelSpec.from_dict(data)
    else:
        ModelSpec.from_dict(data)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        # A newer model must not be half understood.
        (("schema_version",), 2, "schema version 2"),
        (("schema_version",), None, "schema version None"),
        (("schema_version",), True, "schema_version is True"),
        (("preprocess", "version"), 3, "preprocess.version is 3"),
        # A field this version does not know, at both depths.
        (("flavour",), "sweet", "flavour"),
        (("preprocess", "sharpen"), 1.0, "sharpen"),
        # Wrong types; a bool is no number.
        (("labels",), {}, "list of labels"),
        (("labels",), None, "list of labels"),
        (("labels", 0), "ا", "Label is str"),
        (("labels", 0, "text"), 3, "Label.text is 3"),
        (("labels", 0, "codepoint"), "U+0629", "U+0629"),
        (("input",), None, "InputSpec is NoneType"),
        (("input", "height"), 32.0, "height is 32.0"),
        (("temperature",), True, "temperature is True"),
        (("temperature",), "1", "temperature is '1'"),
        (("provenance", "versions"), [], "versions is []"),
        (("provenance", "versions"), {"keras": 3}, "versions"),
        (("provenance", "figures"), {"ahcd": "98 %"}, "figures"),
        (("provenance", "figures"), {"ahcd": float("nan")}, "figures"),
        # Out of range.
        (("labels",), [GOOD["labels"][0]], "labels is 1"),
        (("labels",), [GOOD["labels"][0]] * 2, "repeated"),
        # An empty label is what a blank image answers; half a surrogate pair cannot be printed.
        (("labels", 0), {"text": "", "name": "nothing"}, "text"),
        (("labels", 0), {"text": "\ud800", "name": "half"}, "text"),
        (("labels", 0, "direction"), "up", "direction"),
        (("input", "width"), 33, "input.width is 33"),
        (("input", "height"), 4, "input.height is 4"),
        (("input", "channels"), 4, "input.channels is 4"),
        (("input", "dtype"), "int8", "input.dtype is int8"),
        (("input", "layout"), "HWCN", "input.layout is HWCN"),
        (("output",), "probabilities", "output is probabilities"),
        (("temperature",), 0.0, "temperature is 0.0"),
        (("temperature",), float("nan"), "temperature is nan"),
        (("rejection", "min_confidence"), 1.1, "min_confidence is 1.1"),
        (("preprocess", "std"), 0.0, "preprocess.std is 0.0"),
        (("preprocess", "zoom"), -1.0, "preprocess.zoom is -1.0"),
        (("preprocess", "max_side"), 0.2, "max_side"),
        (("preprocess", "max_side"), 1.2, "max_side"),
        # Numbers with which no image could be preprocessed: too large for a float, or for
        # float32, or for OpenCV.
        (("preprocess", "zoom"), 10**400, "zoom"),
        (("preprocess", "mean"), 10**400, "mean"),
        (("preprocess", "mean"), 1e300, "mean"),
        (("preprocess", "std"), 10**400, "std"),
        (("preprocess", "std"), 1e-320, "std"),
        (("preprocess", "min_stroke"), 1e9, "min_stroke"),
        (("preprocess", "min_side"), 1e-300, "min_side"),
    ],
    ids=lambda part: str(part)[:40].encode("ascii", "replace").decode(),
)
def test_malformed_description_is_named(path: tuple[Any, ...], value: object, says: str) -> None:
    with pytest.raises(SpecError, match=re.escape(says)):
        ModelSpec.from_dict(changed(path, value))


def test_field_names_of_mixed_types_are_refused() -> None:
    # YAML, unlike JSON, has keys that are no text.
    with pytest.raises(SpecError, match="unknown fields"):
        ModelSpec.from_dict({**GOOD, 1: "one", "flavour": "sweet"})


def test_newer_schema_says_what_to_do_also_when_built_directly() -> None:
    with pytest.raises(SpecError) as caught:
        ModelSpec("demo", LABELS, schema_version=2)
    assert caught.value.allowed == "1"
    assert "hcr-edge-runtime" in caught.value.hint


def test_codepoints_of_one_and_of_several_characters() -> None:
    assert [label.codepoint for label in LABELS] == ["U+0627", "U+0628"]
    assert Label("لا", "lam-alef").codepoint == "U+0644 U+0627"
    assert Label("𐤀", "alf").codepoint == "U+10900"  # beyond four digits


def test_description_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelSpec("demo", LABELS).name = "other"  # type: ignore[misc]


def test_shipped_model_names_the_28_arabic_letters(classifier: Classifier) -> None:
    spec = classifier.spec
    assert spec.name == "arabic-letters"
    assert "".join(spec.texts) == "ابتثجحخدذرزسشصضطظعغفقكلمنهوي"
    assert {(label.script, label.direction) for label in spec.labels} == {("Arab", "rtl")}
    assert all(label.name and label.transliteration for label in spec.labels)
    assert spec.provenance.training_data
    assert spec.provenance.data_licence


@pytest.mark.parametrize(
    ("cls", "field", "value", "allowed"),
    [
        (PreprocessSpec, "mean", [0.5, 0.5, 0.5], "a number, or a tuple of three"),
        (PreprocessSpec, "fit", 3, "a text"),
        (InputSpec, "height", "32", "a whole number"),
        (RejectionSpec, "min_confidence", None, "a number"),
        (Provenance, "versions", [], "texts by their names"),
        (Provenance, "figures", {"accuracy": "high"}, "numbers by their names"),
    ],
)
def test_wrong_type_is_answered_in_words(
    cls: type[Any], field: str, value: object, allowed: str
) -> None:
    with pytest.raises(SpecError) as caught:
        cls(**{field: value})
    assert str(caught.value) == f"{cls.__name__}.{field} is {value!r}; allowed: {allowed}"
