"""Products of many vectors of bytes with a few.

numpy makes floats of bytes before it multiplies, four times the memory and four times the time. onnxruntime, which runs
the models here, has kernels for bytes; what they compute is exact.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

_IR_VERSION, _OPSET = 10, 17
_MIDDLE = 128
"""Added to signed bytes: products of unsigned ones are exact on every processor, those of mixed ones are not."""

Bytes = npt.NDArray[np.int8]


class Products:
    """Many vectors, ready to be multiplied. Several threads may do so at once.

    Args:
        rows: of shape (rows, numbers).
    """

    def __init__(self, rows: Bytes) -> None:
        self._rows = _unsigned(rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors."""
        return self._rows.nbytes

    def of(self, vectors: Bytes, start: int, end: int) -> npt.NDArray[np.float32]:
        """The products of rows from one to before another with vectors.

        Args:
            vectors: of shape (vectors, numbers).
            start: the first row.
            end: the row after the last.

        Returns:
            float32 of shape (end - start, vectors).
        """
        given = {"rows": self._rows[start:end], "columns": np.ascontiguousarray(_unsigned(vectors).T)}
        (products,) = _session().run(["products"], given)
        found: npt.NDArray[np.float32] = products
        return found


@cache
def _session() -> Any:
    """An ``onnxruntime.InferenceSession``; what makes it has been loaded by now, with the model of the vectors."""
    import onnxruntime  # noqa: PLC0415 - see above: a start is not to wait for it
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415 - likewise

    middle = numpy_helper.from_array(np.asarray(_MIDDLE, dtype=np.uint8), "middle")
    nodes = [
        helper.make_node("MatMulInteger", ["rows", "columns", "middle", "middle"], ["exact"]),
        helper.make_node("Cast", ["exact"], ["products"], to=TensorProto.FLOAT),
    ]
    given = [
        helper.make_tensor_value_info("rows", TensorProto.UINT8, ["rows", "numbers"]),
        helper.make_tensor_value_info("columns", TensorProto.UINT8, ["numbers", "vectors"]),
    ]
    made = helper.make_tensor_value_info("products", TensorProto.FLOAT, ["rows", "vectors"])
    graph = helper.make_graph(nodes, "products", given, [made], [middle])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # each call computes in its own thread
    options.enable_cpu_mem_arena = False  # it would keep the most that was ever needed
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _unsigned(rows: Bytes) -> npt.NDArray[np.uint8]:
    return rows.view(np.uint8) ^ np.uint8(_MIDDLE)
