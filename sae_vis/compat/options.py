"""`CreateOptions`: what `SaeVisData.create` takes that sae_vis 0.3 did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sae_vis.boards.base import BoardGame
from sae_vis.corpus.labels import LabelValues
from sae_vis.parts import Names

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True)
class CreateOptions:
    """What `SaeVisData.create` may be told beyond the parameters of sae_vis 0.3.

    Attributes:
        tokenizer: of the model; None: the one that the model was loaded with, if it can be found on this machine.
        hook: where the SAE reads, of a crosscoder one name for all places or one for each; None: where it says.
        hook_out: where a transcoder writes, likewise.
        hook_B: where the second SAE reads, likewise.
        effects_model: of several models the one whose logits and losses effects are of.
        labels: of the rows of tokens, by labelling, such as ``{"language": ["de", "fr", None]}``.
        game: whose boards are drawn, where the layout asks for boards; None: Othello.
    """

    tokenizer: PreTrainedTokenizerBase | None = None
    hook: Names = None
    hook_out: Names = None
    hook_B: str | None = None  # noqa: N815  as sae_B
    effects_model: int = 0
    labels: LabelValues | None = None
    game: BoardGame | None = None
