from __future__ import annotations

from pathlib import Path

import pytest

from hcr_export.quantization import QuantizationError, QuantizationRecipe, read_recipe

UNUSUAL = QuantizationRecipe(
    "tensor", "int8", False, "percentile", 99.9, False, ("conv_1", "gemm_1"), ("int8.onnx",)
)


def test_recipe_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "quantization.yaml"
    path.write_text(UNUSUAL.to_yaml(["tried: int8.onnx, 0.05 points lost"]), encoding="utf-8")
    assert read_recipe(str(path)) == UNUSUAL
    assert path.read_text(encoding="utf-8").startswith("# tried: int8.onnx")


def test_settings_on_the_command_line() -> None:
    given = (
        "granularity=tensor, activations=int8,reduce_range=false,calibration=percentile,"
        "percentile=99.9,compensate=false,exclude=conv_1 + gemm_1,artifacts=int8.onnx"
    )
    assert read_recipe(given) == UNUSUAL
    assert read_recipe("calibration=entropy") == QuantizationRecipe(calibration="entropy")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("granularity=tensor,foo", "'foo' is no setting; allowed: name=value"),
        ("granularity=tensor,", "'' is no setting"),
        ("=tensor", "'=tensor' is no setting"),
        ("calibration=", "'calibration=' is no setting"),
        ("granularity=tensor,granularity=channel", "granularity is given twice"),
        ("exclude=conv_1+", "'exclude=conv_1+' names nothing on one side of a +"),
        ("granularity=[", "granularity is '['; allowed: channel, tensor"),
        ("granularty=tensor", "did you mean granularity"),
    ],
)
def test_a_wrong_setting_is_named(given: str, says: str) -> None:
    with pytest.raises(QuantizationError) as caught:
        read_recipe(given)
    assert says in str(caught.value)


def test_empty_file_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing else is wanted\n", encoding="utf-8")
    assert read_recipe(str(path)) == QuantizationRecipe()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("granularity: row", "granularity is 'row'; allowed: channel, tensor"),
        ("granulariti: tensor", "did you mean granularity"),
        ("percentile: 10", "percentile is 10; allowed: 50 to 100"),
        ("percentile: true", "percentile is True"),
        ("percentile: .nan", "percentile is nan"),
        ("reduce_range: 1", "reduce_range is 1; allowed: true, false"),
        ("exclude: conv_1", "exclude is 'conv_1'; allowed: a list of names"),
        ("exclude: [1]", "exclude is (1,)"),
        ("[1, 2]", "a quantization recipe is [1, 2]"),
        ("a: [", "is no YAML"),
    ],
)
def test_malformed_recipe_is_named(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "q.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(QuantizationError) as caught:
        read_recipe(str(path))
    assert says in str(caught.value)


def test_missing_file_says_what_else_is_allowed() -> None:
    with pytest.raises(QuantizationError, match="settings such as granularity=tensor"):
        read_recipe("no-such.yaml")
