"""onnxruntime's own format: the answers of its source, and the list for a reduced build."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from hcr_export.conversion import open_artifact
from hcr_runtime import Classifier, SpecError, preprocess


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_answers_as_its_source(quantization: str, bundle, drawn) -> None:
    tensors = np.stack([preprocess(image, bundle.source.spec) for image in drawn.images])
    before, after = (
        open_artifact(bundle.path / f"tiny-{quantization}.{suffix}").run(tensors)
        for suffix in ("onnx", "ort")
    )
    # Integers to the bit; float32 in another order of additions.
    np.testing.assert_allclose(after, before, atol=0 if quantization == "int8" else 1e-4)


def test_operators_for_a_reduced_build(bundle) -> None:
    """The form that build.py --include_ops_by_config reads: domain;opset;operators."""
    text = (bundle.path / "tiny-int8.required_operators.config").read_text(encoding="utf-8")
    remark, *lines = text.splitlines()
    assert remark.startswith("# The operators of tiny-int8.ort")
    operators = {
        domain: set(names.split(",")) for domain, _, names in (x.split(";") for x in lines)
    }
    assert "QLinearConv" in operators["com.microsoft"] | operators["ai.onnx"]
    assert "QuantizeLinear" in operators["ai.onnx"]


def test_is_recognised_by_the_device(bundle, drawn) -> None:
    classifier = Classifier.load(bundle.path / "tiny-int8.ort")
    assert classifier.spec.name == "tiny"
    assert classifier.spec.provenance.min_engine == "onnxruntime>=1.16,!=1.21.0"
    assert classifier.classify(drawn.images[0]).label


def test_ort_without_a_description(bundle, tmp_path: Path) -> None:
    """As any other tool writes it."""
    source = bundle.path / "tiny-float32.onnx"
    path = tmp_path / "other.ort"
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    import onnx

    model = onnx.load(source)
    del model.metadata_props[:]
    onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    with pytest.raises(SpecError, match=r"other\.ort has no description inside"):
        Classifier.load(path)


def test_logging_stays_the_programs_own(bundle) -> None:
    """onnxruntime's tool takes over the root logger when it is imported; the bundle has used it."""
    assert not [
        handler
        for handler in logging.getLogger().handlers
        if handler.formatter is not None
        and "%(asctime)s %(name)s" in (handler.formatter._fmt or "")
    ]
    assert logging.getLogger("ort_format_model.utils").level == logging.WARNING
