"""multilingual-e5-small as a graph for onnxruntime, its weights left in 4 bits.

The network is BERT's encoder (Devlin et al., NAACL 2019): each layer attends, adds and normalises, widens, and adds and
normalises again. The operators of the domain ``com.microsoft`` each do several of these steps at once.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

from services.search.providers.e5_file import BLOCK, E5File, numbers_of

STATES, MASK, RESULT = "states", "mask", "result"
"""Its inputs, float32 of shape (texts, tokens, width) and int32 of shape (texts, tokens); its output, as the first."""
_IR_VERSION, _OPSET = 10, 17
_INT8 = 4
"""The accuracy level at which products are of bytes: the way in which the weights' own engine computes."""


def graph(file: E5File) -> bytes:
    """The serialized ONNX model."""
    made = _Graph(file)
    made.layers()
    shape = ["texts", "tokens", file.width]
    whole = helper.make_graph(
        made.nodes,
        "e5",
        [
            helper.make_tensor_value_info(STATES, TensorProto.FLOAT, shape),
            helper.make_tensor_value_info(MASK, TensorProto.INT32, shape[:2]),
        ],
        [helper.make_tensor_value_info(RESULT, TensorProto.FLOAT, shape)],
        made.weights,
    )
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(whole, opset_imports=opsets, ir_version=_IR_VERSION).SerializeToString()


class _Graph:
    def __init__(self, file: E5File) -> None:
        self._file = file
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def layers(self) -> None:
        file, width, inner = self._file, self._file.width, self._file.inner
        normalised = self._floats("emb.ln.w"), self._floats("emb.ln.b")
        self._add("LayerNormalization", [STATES, *normalised], "l0", domain="", epsilon=file.epsilon)
        for number in range(file.layers):
            name, last = f"l{number}", number == file.layers - 1
            parts = [self._product(name, f"{name}.{part}", width, width) for part in "qkv"]
            bias = np.concatenate([file.floats(f"{name}.{part}.b") for part in "qkv"])
            attended = [*parts, self._weight(f"{name}.qkv.b", bias), MASK]
            self._add("MultiHeadAttention", attended, f"{name}.attended", num_heads=file.heads)
            self._product(f"{name}.attended", f"{name}.ao", width, width)
            self._added(f"{name}.ao", name, f"{name}.aln", f"{name}.middle")
            self._product(f"{name}.middle", f"{name}.fi", inner, width)
            self._add("BiasGelu", [f"{name}.fi", self._floats(f"{name}.fi.b")], f"{name}.wide")
            self._product(f"{name}.wide", f"{name}.fo", width, inner)
            self._added(f"{name}.fo", f"{name}.middle", f"{name}.oln", RESULT if last else f"l{number + 1}")

    def _product(self, states: str, name: str, rows: int, columns: int) -> str:
        blocks = self._file.blocks(f"{name}.w", rows, columns)
        numbers = numbers_of(blocks)
        packed = numbers[..., 0::2] | numbers[..., 1::2] << 4
        weights = self._weight(f"{name}.w", packed), self._weight(f"{name}.scales", blocks["scale"].astype(np.float32))
        inputs = [states, *weights]
        return self._add("MatMulNBits", inputs, name, N=rows, K=columns, bits=4, block_size=BLOCK, accuracy_level=_INT8)

    def _added(self, states: str, before: str, name: str, result: str) -> None:
        normalised = self._floats(f"{name}.w"), self._floats(f"{name}.b"), self._floats(f"{states}.b")
        self._add("SkipLayerNormalization", [states, before, *normalised], result, epsilon=self._file.epsilon)

    def _floats(self, name: str) -> str:
        return self._weight(name, self._file.floats(name))

    def _weight(self, name: str, values: npt.NDArray[np.generic]) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _add(
        self, kind: str, inputs: Sequence[str], output: str, domain: str = "com.microsoft", **settings: float
    ) -> str:
        node = helper.make_node(kind, inputs, [output], domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in settings.items())
        self.nodes.append(node)
        return output
