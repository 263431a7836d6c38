"""Whether two pictures show the same, on machines that draw edges a little differently.

Both are shrunk to an eighth, each pixel the mean of 8 x 8: there a line of text is a grey band, whatever its letters'
edges look like, and a missing chart, table or colour is still a patch. Few of those pixels may differ. Measured on the
default layout in a window of 1500 x 950: the same page again 0, without the logit histogram (of which the window shows
the upper half) 1.1 %, without the bars of one histogram 0.9 %, with another orange 3.2 %, in another font 9 to 12 %.
So the font is always the same (`tests.gallery.camera`), and the tolerance small.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

SHRINK = 8
CHANNEL = 16
"""Of 255: a shrunk pixel differs when one of its channels differs by more."""
SHARE = 0.004
"""Of the shrunk pixels may differ."""
SIZE = 0.03
"""Width and height may differ by this share; what both have is compared."""


class Difference(NamedTuple):
    """How two pictures differ.

    Attributes:
        share: of the shrunk pixels that differ.
        size: larger of the shares by which width and height differ.
    """

    share: float
    size: float

    @property
    def tolerable(self) -> bool:
        """Whether the pictures show the same."""
        return self.share <= SHARE and self.size <= SIZE


def difference(actual: Image.Image, expected: Image.Image) -> Difference:
    """Compare two pictures."""
    size = max(abs(a - e) / e for a, e in zip(actual.size, expected.size, strict=True))
    width, height = (min(a, e) for a, e in zip(actual.size, expected.size, strict=True))
    shrunk = [
        np.asarray(picture.convert("RGB").crop((0, 0, width, height)).reduce(SHRINK), dtype=np.int16)
        for picture in (actual, expected)
    ]
    far = (np.abs(shrunk[0] - shrunk[1]) > CHANNEL).any(axis=2)
    return Difference(float(far.mean()), size)
