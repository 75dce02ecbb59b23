"""Products of a few vectors of bytes with very many.

numpy makes floats of bytes before it multiplies, four times the memory and twice the time. onnxruntime, which runs the
models here, has kernels for bytes; what they compute is exact.
"""

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

PART = 65_536
"""Vectors in a graph: making one takes several times their memory for a moment."""
_IR_VERSION, _OPSET = 10, 17
_MIDDLE = 128
"""Added to signed bytes: products of unsigned ones are exact on every processor, those of mixed ones are not."""

Bytes = npt.NDArray[np.int8]


class Products:
    """Many vectors, ready to be multiplied. Several threads may do so at once.

    Args:
        rows: of shape (rows, numbers).
        scale: what the products are multiplied by.
    """

    def __init__(self, rows: Bytes, scale: float) -> None:
        self.nbytes = rows.nbytes
        self._parts = [
            (start, _session(rows[start : start + PART], scale)) for start in range(0, len(rows), PART) if rows.size
        ]

    def of(self, vectors: Bytes, first: int) -> npt.NDArray[np.float32]:
        """The scaled products of vectors, of shape (vectors, numbers), with the first rows: (vectors, first)."""
        found = np.empty((len(vectors), first), dtype=np.float32)
        given = {"vectors": _unsigned(vectors)}
        for start, session in self._parts:
            if start < first:
                (products,) = session.run(["products"], given)
                found[:, start : start + PART] = products[:, : first - start]
        return found


def _session(rows: Bytes, scale: float) -> onnxruntime.InferenceSession:
    weights = [
        numpy_helper.from_array(np.ascontiguousarray(_unsigned(rows).T), "rows"),
        numpy_helper.from_array(np.asarray(_MIDDLE, dtype=np.uint8), "middle"),
        numpy_helper.from_array(np.asarray(scale, dtype=np.float32), "scale"),
    ]
    nodes = [
        helper.make_node("MatMulInteger", ["vectors", "rows", "middle", "middle"], ["exact"]),
        helper.make_node("Cast", ["exact"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["products"]),
    ]
    given = helper.make_tensor_value_info("vectors", TensorProto.UINT8, ["vectors", rows.shape[1]])
    made = helper.make_tensor_value_info("products", TensorProto.FLOAT, ["vectors", len(rows)])
    graph = helper.make_graph(nodes, "products", [given], [made], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # each call computes in its own thread
    options.enable_cpu_mem_arena = False  # it would keep the most that was ever needed, for each novel
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _unsigned(rows: Bytes) -> npt.NDArray[np.uint8]:
    return rows.view(np.uint8) ^ np.uint8(_MIDDLE)
