"""The graph of MiniLM, changed so that its word vectors stay in 8 bits.

The file makes floats of the whole table of words before it looks any up, and onnxruntime does that once, at the start:
47 MB instead of 12. Here the words of a text are looked up first. Each number is made of the same byte and the same
factor as before, so the vectors are the same to the bit.
"""

from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper


def graph(path: Path) -> bytes:
    """The serialized model.

    Args:
        path: of the model's file.

    Returns:
        As it stands in the file, where the table of words is another than is known here.
    """
    model = onnx.load(path)
    nodes = model.graph.node
    maker = {output: node for node in nodes for output in node.output}
    for at, node in enumerate(nodes):
        if node.op_type == "Gather" and (found := _table(node, maker)) is not None:
            cast, scaling = found
            del nodes[at]
            for offset, new in enumerate(_looked_up(node, cast.input[0], scaling.input[1])):
                nodes.insert(at + offset, new)
            nodes.remove(cast)
            nodes.remove(scaling)
            break
    whole: bytes = model.SerializeToString()
    return whole


def _table(node: NodeProto, maker: dict[str, NodeProto]) -> tuple[NodeProto, NodeProto] | None:
    """What makes floats of the table that a node looks up in: a cast, and a product with a factor for each row."""
    scaling = maker.get(node.input[0])
    cast = maker.get(scaling.input[0]) if scaling is not None and scaling.op_type == "Mul" else None
    return (cast, scaling) if cast is not None and scaling is not None and cast.op_type == "Cast" else None


def _looked_up(node: NodeProto, table: str, factors: str) -> list[NodeProto]:
    ids, output = node.input[1], node.output[0]
    return [
        helper.make_node("Gather", [table, ids], [f"{output}_bytes"], axis=0),
        helper.make_node("Cast", [f"{output}_bytes"], [f"{output}_floats"], to=TensorProto.FLOAT),
        helper.make_node("Gather", [factors, ids], [f"{output}_factors"], axis=0),
        helper.make_node("Mul", [f"{output}_floats", f"{output}_factors"], [output]),
    ]
