"""One order and one set of names for an ONNX graph, whatever run of the converter made it."""

from __future__ import annotations

import onnx


def put_in_order(model: onnx.ModelProto) -> onnx.ModelProto:
    """Order the constants of a graph by their first use, and name inner tensors by theirs.

    tf2onnx counts names through the life of a process and keeps constants in the order of a hash:
    without this the same model gives other bytes each time. Inputs and outputs keep their names;
    nodes lose theirs. A graph with graphs inside its nodes is returned as it is.
    """
    graph = model.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return model
    kept = {value.name for value in (*graph.input, *graph.output)} | {""}
    short: dict[str, str] = {}
    for node in graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [
                name if name in kept else short.setdefault(name, f"t{len(short)}") for name in names
            ]
    constants = {short[tensor.name]: tensor for tensor in graph.initializer if tensor.name in short}
    ordered = []
    for name in short.values():
        if name in constants:
            constants[name].name = name
            ordered.append(constants[name])
    kept_constants = [tensor for tensor in graph.initializer if tensor.name in kept]
    del graph.initializer[:]
    graph.initializer.extend([*kept_constants, *ordered])
    # Shapes of inner tensors follow from the graph.
    del graph.value_info[:]
    # It names the function that was converted, with a number of its own.
    graph.doc_string = ""
    return model
