"""How a field of the contract says what it holds: dtype, dimensions, unit, and how it is packed.

Every array of the contract has one dimension; what is a table in thought lies row after row. Its annotation names the
dimensions: ``Annotated[F32, Array("n_listed * n_changed", unit="nats")]``. The first array of a record that uses a
name alone gives it its size; whole numbers of the record, and the sizes of the records around it, can be used, too.
Sizes that follow are not sent, and an array of another size is an error, said with the names.

How an array travels:

- ``plain``: as it is.
- ``delta``: whole numbers as differences to the one before, the first to 0.
- ``gaps``: ascending whole numbers as how many are left out before each.
- ``offsets``: ascending whole numbers from 0 on, as the lengths between them.
- ``token``: token ids as indices into the page's token table; -1 for none.
- ``sparse``: floats of which many are 0: the gaps to the others, and the others.
- ``per token``: floats that are equal wherever the array ``tokens`` of the record is: one for each distinct token, in
  order of first occurrence.

All of these are without loss. Floats with **3 digits** are not: they travel as the page shows them, rounded to three
significant decimal digits, halves away from 0. What is read is the float32 nearest to that decimal. So each is off by
at most half a unit of its third digit, never more than 0.5 % of it, and the page's words for it are those for the exact
value. 0, NaN, infinities, and sizes below 1e-20 or from 999.5 on travel as they are, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]

Packing = Literal["plain", "delta", "gaps", "offsets", "token", "sparse", "per token"]
"""How an array travels; said above."""


@dataclass(frozen=True)
class Array:
    """What stands in an array's annotation.

    Attributes:
        shape: its size: the name of one, or several joined by ``*``, either with ``+ 1``.
        packing: how it travels.
        unit: of its values; empty: none.
        ends_at: of offsets: the name of the size that the last of them is.
        digits: of floats: significant decimal digits that travel; None: every bit.
    """

    shape: str
    packing: Packing = "plain"
    unit: str = ""
    ends_at: str = ""
    digits: Literal[3] | None = None


class Json:
    """A value that travels as JSON: small, and without arrays."""


class Named:
    """Values by name, NumPy arrays of any dtype and shape among them: data of a component of the user's own."""


ComponentData = Annotated[Mapping[str, Any], Named()]
"""Data of a component of the user's own, by name: NumPy arrays of numbers or booleans, and plain JSON values."""
