from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from hcr_runtime import ModelSpec
from hcr_runtime.carrier import SPEC_KEY

FILES = [f"tiny-{name}.onnx" for name in ("float32", "float16", "dynamic-int8", "int8")]


def read_spec(path: Path) -> ModelSpec:
    entries = {item.key: item.value for item in onnx.load(path).metadata_props}
    return ModelSpec.from_json(entries[SPEC_KEY])


@pytest.fixture(params=FILES)
def path(request: pytest.FixtureRequest, bundle) -> Path:
    return bundle.path / request.param


def test_is_valid_and_says_who_made_it(path: Path) -> None:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_name == "hcr-edge"
    # Below 13 there is no quantization per channel; 13 came with version 7 of the IR.
    assert [(item.domain, item.version) for item in model.opset_import] == [("", 13)]
    assert model.ir_version == 7
    # 1.6 has no scale for each channel, 1.7 refuses dynamic matrix products.
    minor = {"tiny-int8.onnx": 7, "tiny-dynamic-int8.onnx": 8}.get(path.name, 6)
    assert read_spec(path).provenance.min_engine == f"onnxruntime>=1.{minor},!=1.21.0"


def test_tensors_keep_their_names_and_a_free_batch(path: Path, bundle) -> None:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (image,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.shape, image.type) == (
        *("image", ["batch", 32, 32, 1], "tensor(float)"),
    )
    assert (logits.name, logits.shape) == ("logits", ["batch", 28])
    tensors = np.random.default_rng(1).random((3, 32, 32, 1), np.float32)
    together = session.run(None, {"image": tensors})[0]
    alone = [session.run(None, {"image": tensor[None]})[0] for tensor in tensors]
    # The range of a dynamic file's activations is that of the whole batch.
    tolerance = 0.5 if "dynamic" in path.name else 1e-5
    np.testing.assert_allclose(together, np.concatenate(alone), atol=tolerance)


def test_carries_one_description(path: Path) -> None:
    assert [item.key for item in onnx.load(path).metadata_props] == [SPEC_KEY]
    assert read_spec(path).name == "tiny"


def _of_type(model: onnx.ModelProto, op: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == op]


def test_int8_is_u8s8_per_channel(bundle) -> None:
    """S8S8 runs slower than float32 on x86-64, and differs on arm64."""
    model = onnx.load(bundle.path / "tiny-int8.onnx")
    values = {item.name: item for item in model.graph.initializer}
    activations = [values[node.input[2]] for node in _of_type(model, "QuantizeLinear")]
    assert activations
    assert {item.data_type for item in activations} == {TensorProto.UINT8}
    producers = {node.output[0]: node for node in model.graph.node}
    convolutions = _of_type(model, "Conv")
    assert len(convolutions) == 2
    for node in convolutions:
        weights = producers[node.input[1]]
        assert weights.op_type == "DequantizeLinear"
        assert values[weights.input[0]].data_type == TensorProto.INT8
        channels = values[weights.input[0]].dims[0]
        assert list(values[weights.input[1]].dims) == [channels], "a scale for each channel"


def test_int8_has_no_batch_normalisation_left(bundle) -> None:
    assert not _of_type(onnx.load(bundle.path / "tiny-int8.onnx"), "BatchNormalization")


def test_int8_spends_next_to_nothing_on_names(bundle) -> None:
    """They were a tenth of the file; what a device must know keeps its name."""
    graph = onnx.load(bundle.path / "tiny-int8.onnx").graph
    inner = {name for node in graph.node for name in (*node.input, *node.output)}
    inner -= {value.name for value in (*graph.input, *graph.output)}
    assert max(map(len, inner)) <= 5
    assert {node.name for node in graph.node} == {""}
    assert [value.name for value in graph.input] == ["image"]
    assert not graph.value_info
