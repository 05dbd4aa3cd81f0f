"""The `lines` of a batch.

Belongs here: positions as Arrow has them. Does not belong here: how a format counts its positions.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def lines_array(positions: NDArray[np.int64]) -> pa.Int64Array:
    """Return positions as an Arrow array over the same memory.

    `pyarrow.array` would do the same, but imports pandas the first time it is given an array of NumPy's.
    """
    buffer = pa.py_buffer(np.ascontiguousarray(positions, np.int64))
    return pa.Int64Array.from_buffers(pa.int64(), len(positions), [None, buffer])
