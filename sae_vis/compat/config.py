"""`SaeVisConfig`: settings under the names of sae_vis 0.3 and 0.2, and of SAEDashboard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, InitVar, dataclass, field, replace

from sae_vis.checks import a_text, feature_ids, is_whole_number, shown, whole_number
from sae_vis.corpus.mask import MaskConfig, Positions
from sae_vis.errors import InputError
from sae_vis.layout import SaeVisLayoutConfig, SeqMultiGroupConfig

NEW_WAYS = {
    "batch_size": "as many sequences are used as are given: give tokens[:n]; sequences in one forward pass are "
    "minibatch_size_tokens",
    "cache_dir": "nothing is cached: index_features(corpus, parts, out=…) keeps an index on disk, and opens it again",
    "ignore_high_activation_norm_multiple": "tokens can't be left out by the norm of their activations: leave them out "
    "by id (ignore_tokens) or by position (seqpos_slice)",
}
"""Parameters of sae_vis 0.2 and SAEDashboard that are refused, and what there is in their place."""


@dataclass(frozen=True)
class SaeVisConfig:
    """What `SaeVisData.create` computes and shows.

    The parameters after ``seed`` are those of sae_vis 0.2 and of SAEDashboard's ``SaeVisConfig``.

    Attributes:
        features: features of the feature-centric page: ids, one id, or None for all that fire. The index always holds
            every feature.
        minibatch_size_features: accepted, without effect: all features are indexed in one pass.
        minibatch_size_tokens: sequences in one forward pass of the model.
        seqpos_slice: positions of each sequence that count, as a slice's ends.
        feature_centric_layout: of a feature's card.
        prompt_centric_layout: of a feature's card beside a prompt.
        seed: of the random samples of examples.
        hook_point: where the SAE reads; None: where it says. As ``hook=`` of `SaeVisData.create`.
        verbose: as that of `SaeVisData.create` and of what writes pages.
        ignore_tokens: ids that are left out of all statistics and examples.
        ignore_positions: positions that are left out: the first or the last of a sequence, as ``seqpos_slice`` does it.
        perform_ablation_experiments: whether feature pages have loss effects.
        use_dfa: whether feature pages have the source tokens of attention SAEs; None: as the layout says.
        device: where to load a model that is given by name; one in memory must be there.
        dtype: in which to load a model that is given by name; one in memory must have it.
        quantile_feature_batch_size: accepted, without effect.
        batch_size: not accepted: give as many rows of tokens as are to be used.
        cache_dir: not accepted: `index_features` keeps an index on disk.
        ignore_high_activation_norm_multiple: not accepted: positions and ids can be left out.

    Raises:
        InputError: a parameter of earlier versions that has no meaning here (says what to use), or a value that
            makes no sense.
    """

    features: int | Iterable[int] | None = None
    _: KW_ONLY
    minibatch_size_features: int = 256
    minibatch_size_tokens: int = 64
    seqpos_slice: Positions = (None, None)
    feature_centric_layout: SaeVisLayoutConfig = field(
        default_factory=SaeVisLayoutConfig.default_feature_centric_layout
    )
    prompt_centric_layout: SaeVisLayoutConfig = field(default_factory=SaeVisLayoutConfig.default_prompt_centric_layout)
    seed: int | None = 0

    hook_point: str | None = None
    verbose: bool = False
    ignore_tokens: Iterable[int] = ()
    ignore_positions: InitVar[Iterable[int]] = ()
    perform_ablation_experiments: bool = True
    use_dfa: bool | None = None
    device: object = None
    dtype: object = None
    quantile_feature_batch_size: InitVar[int | None] = None
    batch_size: InitVar[None] = None
    cache_dir: InitVar[None] = None
    ignore_high_activation_norm_multiple: InitVar[None] = None

    def __post_init__(
        self,
        ignore_positions: Iterable[int],
        quantile_feature_batch_size: int | None,
        batch_size: object,
        cache_dir: object,
        ignore_high_activation_norm_multiple: object,
    ) -> None:
        """Sizes must make sense; features become a tuple."""
        for name, value in (
            ("batch_size", batch_size),
            ("cache_dir", cache_dir),
            ("ignore_high_activation_norm_multiple", ignore_high_activation_norm_multiple),
        ):
            if value is not None:
                raise InputError(f"SaeVisConfig.{name} is {shown(value)}, but {NEW_WAYS[name]}")
        for name in ("minibatch_size_features", "minibatch_size_tokens"):
            object.__setattr__(self, name, whole_number(getattr(self, name), f"SaeVisConfig.{name}", 1))
        if quantile_feature_batch_size is not None:
            whole_number(quantile_feature_batch_size, "SaeVisConfig.quantile_feature_batch_size", 1)
        if self.seed is not None:
            object.__setattr__(self, "seed", whole_number(self.seed, "SaeVisConfig.seed"))
        if self.hook_point is not None:
            a_text(self.hook_point, "SaeVisConfig.hook_point")
        for name in ("feature_centric_layout", "prompt_centric_layout"):
            if not isinstance(getattr(self, name), SaeVisLayoutConfig):
                raise InputError(f"SaeVisConfig.{name} is {shown(getattr(self, name))}, expected a SaeVisLayoutConfig")
        object.__setattr__(self, "features", _ids(self.features))
        mask = MaskConfig(ids=self.ignore_tokens, seqpos_slice=self.seqpos_slice)  # type: ignore[arg-type]
        object.__setattr__(self, "ignore_tokens", mask.ids)
        object.__setattr__(self, "seqpos_slice", _positions(ignore_positions, mask.seqpos_slice))

    def help(self, title: str = "SaeVisConfig") -> None:
        """Print both layouts as trees, every option with its value, default and meaning.

        Args:
            title: the line above the trees.
        """
        self.feature_centric_layout.help(title=f"{title}: feature-centric")
        self.prompt_centric_layout.help(title=f"{title}: prompt-centric", key=False)


def layout_with_dfa(cfg: SaeVisConfig) -> SaeVisLayoutConfig:
    """The feature-centric layout, with or without source tokens of attention SAEs if the settings say which."""
    layout = cfg.feature_centric_layout
    sequences = layout.find(SeqMultiGroupConfig)
    if cfg.use_dfa is None or sequences is None:
        return layout
    return layout.replacing(replace(sequences, dfa_for_attn_saes=cfg.use_dfa))


def _ids(features: object) -> tuple[int, ...] | None:
    """Features as a tuple of ids; None: all that fire."""
    if features is None:
        return None
    if isinstance(features, str):
        raise InputError(
            f"SaeVisConfig.features is {shown(features)}, expected feature ids, such as features=[4, 8]; a hook point "
            "is given as hook_point="
        )
    if is_whole_number(features):
        return (whole_number(features, "SaeVisConfig.features", 0),)
    ids = feature_ids(features, "SaeVisConfig.features")
    return tuple(whole_number(feature, "a feature of SaeVisConfig.features", 0) for feature in ids)


def _positions(ignored: object, given: Positions) -> Positions:
    """Positions that count, where the first or the last ones are ignored."""
    left_out = sorted(MaskConfig(ids=ignored).ids)  # type: ignore[arg-type]
    if not left_out:
        return given
    if given not in ((None, None), (None, None, None)):
        raise InputError("SaeVisConfig.ignore_positions and seqpos_slice are both given; give seqpos_slice alone")
    if left_out == list(range(len(left_out))):
        return (len(left_out), None)
    if left_out == list(range(-len(left_out), 0)):
        return (None, left_out[0])
    raise InputError(
        f"SaeVisConfig.ignore_positions is {left_out}, expected the first positions, such as [0, 1], or the last, such "
        "as [-1]: others can't be left out"
    )
