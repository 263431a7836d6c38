"""The few largest or smallest entries of long rows."""

from __future__ import annotations

import torch
from torch import Tensor

GROUP = 32  # columns in a group whose extremes are found in one pass


def extremes(values: Tensor, k: int, *, largest: bool) -> tuple[Tensor, Tensor]:
    """The ``k`` largest (or smallest) entries of each row of ``[n, width]``, best first, and where they stand.

    The k best lie in the k groups of columns (every ``n_groups``-th column) with the best extremes: one pass to find
    these, and a choice among few.
    """
    n, width = values.shape
    n_groups = width // GROUP
    if n_groups < k:
        best = values.topk(k, dim=1, largest=largest)
        return best.values, best.indices
    grouped = values[:, : n_groups * GROUP].view(n, GROUP, n_groups)
    extreme = grouped.amax(dim=1) if largest else grouped.amin(dim=1)
    groups = extreme.topk(k, dim=1, largest=largest, sorted=False).indices[:, None, :]
    columns = groups + torch.arange(GROUP, device=values.device)[:, None] * n_groups
    rest = torch.arange(n_groups * GROUP, width, device=values.device).expand(n, -1)
    columns = torch.cat([columns.reshape(n, -1), rest], dim=1)
    found, places = values.gather(1, columns).topk(k, dim=1, largest=largest)
    return found, columns.gather(1, places)
