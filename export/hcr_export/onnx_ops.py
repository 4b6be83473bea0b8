"""TensorFlow's operations that tf2onnx does not know, in ONNX's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf2onnx.handler import tf_op


@tf_op("Erfc")
class Erfc:
    """``1 - Erf(x)``: what TensorFlow computes GELU with."""

    @classmethod
    def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
        """Replace the node; ``Erf`` is there since opset 9."""
        kind, shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])
        erf = graph.make_node("Erf", [node.input[0]]).output[0]
        one = graph.make_const(f"{node.name}_one", np.array(1, np.float32)).output[0]
        graph.remove_node(node.name)
        graph.make_node(
            "Sub", [one, erf], name=node.name, outputs=node.output, shapes=[shape], dtypes=[kind]
        )
