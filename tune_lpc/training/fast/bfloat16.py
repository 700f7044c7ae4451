"""bfloat16 for numba, which lacks it: the upper halves of float32, as whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic, register_jitable


def _value_of(_: Any, bits: Any) -> Any:
    """The float32 of bits uint16."""

    def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
        word = context.get_value_type(types.uint32)
        shifted = builder.shl(builder.zext(arguments[0], word), word(16))
        return builder.bitcast(shifted, context.get_value_type(types.float32))

    return types.float32(types.uint16), generate


value_of: Any = intrinsic(_value_of)


@register_jitable
def widen(bits: Any, values: Any) -> None:
    """Fill `values` float32 from as many bits uint16; of any shape, contiguous."""
    source, target = bits.reshape(-1), values.reshape(-1)
    for k in range(len(source)):
        target[k] = value_of(source[k])


@register_jitable
def narrow(values: Any, bits: Any) -> None:
    """The way back, rounded to the nearest, ties to even; NaN stays NaN."""
    source, target = values.reshape(-1), bits.reshape(-1)
    words = source.view(np.uint32)
    for k in range(len(source)):
        rounded = (words[k] + np.uint32(0x7FFF) + ((words[k] >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        target[k] = np.uint16(rounded) if source[k] == source[k] else np.uint16(0x7FC0)
