// Generated from sae_vis/contract by frontend/generate_contract.py. Do not edit.

/** The text of every token that occurs in a page; elsewhere token ids travel as places in this table. */
export interface TokenTable {
  /** the tokens' ids, the most frequent one first. */
  readonly ids: Int32Array;
  /** bytes of each token's text. */
  readonly lengths: Int32Array;
  /** the bytes of all of them, one after the other. */
  readonly text: Uint8Array;
  /** places in the table of special tokens, which are shown as a name, not as text; ascending. */
  readonly special: Int32Array;
}

/** A second dictionary over the same tokens (B), and where more is to be seen of it. */
export interface OtherDictionary {
  /** architecture and size in words. */
  readonly sae: string;
  /** hook point. */
  readonly hook: string;
  /** address of a page of its features, relative to this page; None: there is none. */
  readonly page: string | null;
  /** address of a page that compares both, relative to this page; None: there is none. */
  readonly compare: string | null;
}

/** The places where a dictionary writes that does so at several, and how its features share two models. */
export interface WrittenPlaces {
  /** of the places, short. */
  readonly labels: readonly string[];
  /** of the places, as the model has them. */
  readonly names: readonly string[];
  /** of which model each is, counted from 0. */
  readonly models: readonly number[];
  /** of the models. */
  readonly model_names: readonly string[];
  /** number of the model whose logits and losses the page's other effects are of. */
  readonly measured: number;
  /** features by relative norm of the second model's decoder, in equal bins of 0 to 1, the last one closed; empty unless there are two models. */
  readonly shares: readonly number[];
  /** features without one, whose directions are 0. */
  readonly undefined: number;
}

/** What the numbers were made from, said in the page's header. */
export interface PageMeta {
  /** page title. */
  readonly title: string;
  /** the model's name; None without a model. */
  readonly model: string | null;
  /** hook point. */
  readonly hook: string | null;
  /** architecture and size in words, such as ``topk, 8192 features``. */
  readonly sae: string;
  /** the corpus in words. */
  readonly corpus: string;
  /** which tokens were left out, in words. */
  readonly mask: string;
  /** unmasked tokens. */
  readonly n_tokens: number;
  /** rows of the corpus. */
  readonly n_sequences: number;
  /** number of features of the dictionary (the page may hold fewer). */
  readonly d_sae: number;
  /** features that never fire. */
  readonly n_dead: number;
  /** the rule by which the page's features were chosen, in words. */
  readonly selection: string;
  /** the feature that the page opens with; None: the first. */
  readonly first: number | null;
  /** why examples have no source tokens, where one would expect them (an attention SAE); else None. */
  readonly no_sources: string | null;
  /** version of sae_vis that wrote the page. */
  readonly version: string;
  /** the dictionary of the tables of B features; None: none was given. */
  readonly b: OtherDictionary | null;
  /** whether some activation of the dictionary is negative. */
  readonly signed: boolean;
  /** what was done to the activations before anything was computed from them, in words; None: nothing. */
  readonly acts: string | null;
  /** where the dictionary writes, if at several places, and a component shows that. */
  readonly places: WrittenPlaces | null;
}

/** One component of the layout: the layout class's name without ``Config``, and its options by name. */
export interface ComponentSpec {
  readonly type: string;
  readonly options: Readonly<Record<string, boolean | number | string | readonly number[] | null>>;
}

/** A column of components; width in pixels, or None for the default width. */
export interface ColumnSpec {
  readonly width: number | null;
  readonly components: readonly ComponentSpec[];
}

/** Columns from left to right; height of the card in pixels, or None for as high as its content. */
export interface LayoutSpec {
  readonly columns: readonly ColumnSpec[];
  readonly height: number | null;
}

/** One row of the picker; columns over the page's features, all of the same length. */
export interface FeatureSummary {
  /** ids. */
  readonly feature: Int32Array;
  /** share of unmasked tokens on which it fires. */
  readonly density: Float32Array;
  /** largest activation; of a signed dictionary the one of largest size, with its sign. */
  readonly max: Float32Array;
  /** id of the token with that activation (-1 for a dead feature). */
  readonly top_token: Int32Array;
  readonly share: Float32Array | null;
}

/** A labelling of the corpus, such as by language, said once for all features of a page. */
export interface LabellingWords {
  /** of the labelling. */
  readonly name: string;
  /** ascending; arrays name a label by its place in here. */
  readonly labels: readonly string[];
  /** unmasked tokens of each label; the last entry is of tokens without one. */
  readonly n_tokens: readonly number[];
  /** documents that hold them. */
  readonly n_documents: readonly number[];
}

/** Columns of the picker for one labelling: unevenness, and the label that each feature prefers (-1: none). */
export interface LabelRanks {
  readonly unevenness: Float32Array;
  readonly top: Int32Array;
}

/** A kind of piece. */
export interface Piece {
  /** what it is called. */
  readonly name: string;
  /** how it is drawn: a dark or a light disc, or a text. */
  readonly look: "dark" | "light" | "text";
  /** the text, such as a chess symbol. */
  readonly text: string;
}

/** What a game's boards look like. */
export interface BoardLook {
  /** the game's name. */
  readonly game: string;
  /** rows of squares. */
  readonly rows: number;
  /** columns of squares. */
  readonly columns: number;
  /** name of each row, from the top. */
  readonly row_names: readonly string[];
  /** name of each column, from the left. */
  readonly column_names: readonly string[];
  /** kinds of pieces; number ``i + 1`` in a board's state is ``pieces[i]``. */
  readonly pieces: readonly Piece[];
  /** who can be to move. */
  readonly players: readonly string[];
  /** whether pieces stand in squares or, as in Go, on crossings of lines. */
  readonly grid: "squares" | "crossings";
}

/** A linear probe, or the logit effects of a game's moves, without numbers of any feature. */
export interface ProbeHead {
  /** what a feature is compared by: ``input``: its encoder direction; ``output``: its decoder direction in the residual stream; ``moves``: no probe, but its logit effect on each move of the game. */
  readonly side: "input" | "output" | "moves";
  /** the probe's. */
  readonly name: string;
  /** name of each class. */
  readonly classes: readonly string[];
  /** whether the classes are the squares of the page's board, row by row. */
  readonly board: boolean;
}

/** Everything of a page but its features. */
export interface PageHead {
  readonly meta: PageMeta;
  readonly layout: LayoutSpec;
  readonly summary: FeatureSummary;
  /** whether the page is prompt-centric: it has a block of that name. */
  readonly prompt: boolean;
  /** whether the page compares two dictionaries; what its head tells is of the first. */
  readonly compare: boolean;
  /** types of the user's own components, in the order of their blocks. */
  readonly modules: readonly string[];
  /** of the corpus. */
  readonly labellings: readonly LabellingWords[];
  /** columns of the picker, for each labelling; () on a prompt-centric page. */
  readonly label_ranks: readonly LabelRanks[];
  /** what the boards of the page look like; None: there are none. */
  readonly board: BoardLook | null;
  /** the linear probes that features are compared with. */
  readonly probes: readonly ProbeHead[];
}

/** Numbers of the header. */
export interface FeatureStats {
  /** unmasked tokens on which the feature fires. */
  readonly n_firings: number;
  /** ``n_firings`` / number of unmasked tokens. */
  readonly density: number;
  /** largest activation (0 where none is above zero). */
  readonly max: number;
  /** mean activation among firings (0 for a dead feature). */
  readonly mean: number;
  /** population standard deviation among firings. */
  readonly std: number;
  /** most negative activation (0 where none is below zero). */
  readonly min: number;
}

/** What somebody, or a model, says that the feature means. */
export interface FeatureExplanation {
  /** what is said. */
  readonly text: string;
  /** how well it does, larger is better; None: nobody has looked. */
  readonly score: number | null;
  /** what the score is, in words; may be empty. */
  readonly measure: string;
  /** who says so; may be empty. */
  readonly source: string;
}

/** Neurons that the feature's direction is made of: index, weight, share of the direction's L1 norm (0 to 1). */
export interface AlignmentTable {
  readonly index: Int32Array;
  readonly value: Float32Array;
  readonly share: Float32Array;
}

/** What fires with the feature: index, Pearson correlation and cosine similarity over all unmasked tokens. */
export interface CorrelationTable {
  readonly index: Int32Array;
  readonly pearson: Float32Array;
  readonly cosine: Float32Array;
}

/** Features whose decoder directions point the same way: index and cosine of the two directions, descending. */
export interface NeighbourTable {
  readonly index: Int32Array;
  readonly cosine: Float32Array;
}

/** Counts over equal-width bins. */
export interface Histogram {
  /** left edge of the first bin. */
  readonly low: number;
  /** right edge of the last bin. */
  readonly high: number;
  /** of each bin. */
  readonly counts: Int32Array;
}

/** Tokens that the feature pushes up (``top``, descending) and down (``bottom``, ascending), logit effect each. */
export interface LogitTable {
  readonly top_tokens: Int32Array;
  readonly top_values: Float32Array;
  readonly bottom_tokens: Int32Array;
  readonly bottom_values: Float32Array;
}

/** Where in a sequence the feature fires; bin ``i`` holds positions ``i * width`` up to ``(i + 1) * width``. */
export interface PositionProfile {
  /** positions in a bin. */
  readonly width: number;
  /** unmasked tokens of the corpus at these positions. */
  readonly n_tokens: Int32Array;
  /** of them those on which the feature fires. */
  readonly n_firings: Int32Array;
  /** mean activation among these firings, NaN where there are none. */
  readonly mean: Float32Array;
}

/** The tokens of the vocabulary that the feature fires on most, the most frequent one first. */
export interface TopTokens {
  /** ids. */
  readonly tokens: Int32Array;
  /** firings on each of them. */
  readonly n_firings: Int32Array;
  /** share of each in the sum of the sizes of all the feature's activations, 0 to 1. */
  readonly mass_share: Float32Array;
  /** how many different tokens it fires on, listed or not. */
  readonly n_distinct: number;
}

/** One feature over the labels of a labelling; the last entry of an array is of tokens without a label. */
export interface LabelProfile {
  /** its place among the page's labellings. */
  readonly labelling: number;
  /** on tokens of each label. */
  readonly n_firings: Int32Array;
  /** documents with such a firing. */
  readonly n_documents: Int32Array;
  /** mean activation among them, 0 where there are none. */
  readonly mean: Float32Array;
  /** the one of largest size, with its sign. */
  readonly peak: Float32Array;
  /** odds of firing on this label over those on all others, as log2. */
  readonly log_odds: Float32Array;
  /** bits per firing by which the labels of firings differ from those of all tokens. */
  readonly unevenness: number;
  /** mutual information between firing and label, bits per token. */
  readonly information: number;
}

/** What a feature writes at each place of a dictionary that writes at several (`WrittenPlaces`). */
export interface PlaceWeights {
  /** of its decoder directions, as stored. */
  readonly norms: Float32Array;
  /** of its directions at places (0, 1), (0, 2), …, (1, 2), …; empty where they have different widths. */
  readonly cosines: Float32Array;
  /** for each place the tokens that its direction there pushes up and down; empty where not computed. */
  readonly logits: readonly LogitTable[];
}

/** What the feature does to the next token's prediction, at those tokens of a group for which it was computed. */
export interface TokenEffects {
  /** ``direct``: its contribution taken out of the final residual; ``full``: taken out at the hook. */
  readonly kind: "direct" | "full";
  /** what the loss is of: ``next``: the token that follows; ``reference``: cross entropy against a distribution that the page was given (`target_logits`). */
  readonly against: "next" | "reference";
  /** index of the token among the group's tokens, ascending. */
  readonly at: Int32Array;
  /** loss with the feature minus loss without it, in nats (negative: it helps). */
  readonly loss: Float32Array;
  /** token that follows in the text, whose loss it is; -1 against a reference. */
  readonly next_token: Int32Array;
  /** probability of that token with the feature; without it, it is ``prob * exp(loss)``. NaN against a reference. */
  readonly prob: Float32Array;
  /** which of the effects have lists of the tokens that the feature changes most, ascending. */
  readonly listed: Int32Array;
  /** tokens in each of these lists. */
  readonly n_changed: number;
  /** tokens whose log-probability is raised most, largest change first. */
  readonly up_tokens: Int32Array;
  /** change of their log-probability, with minus without, in nats. */
  readonly up_values: Float32Array;
  /** tokens whose log-probability is lowered most, largest change first. */
  readonly down_tokens: Int32Array;
  /** change of theirs. */
  readonly down_values: Float32Array;
}

/** Where the activations of a group's examples come from: direct feature attribution at their tokens in focus. What a feature's pre-activation is made of, less biases, is a sum over source tokens and heads. Source tokens are shown around the largest; example ``i`` owns those from ``offsets[i]`` to ``offsets[i + 1]``. */
export interface AttentionSources {
  /** heads of the layer. */
  readonly n_heads: number;
  /** sum over all source tokens and heads: the pre-activation less biases. */
  readonly total: Float32Array;
  /** each head's part, summed over all source tokens. */
  readonly heads: Float32Array;
  /** where the source tokens of each example begin, and where the last ones end. */
  readonly offsets: Int32Array;
  /** position in the row of the first source token shown. */
  readonly start: Int32Array;
  /** index, among an example's source tokens shown, of the largest. */
  readonly main: Int32Array;
  /** ids of the source tokens. */
  readonly tokens: Int32Array;
  /** of each source token, summed over heads. */
  readonly parts: Float32Array;
  /** the head that a source token's part comes through most, -1 where it is not told (small parts). */
  readonly head: Int32Array;
  /** that head's part, 0 where it is not told. */
  readonly head_parts: Float32Array;
}

/** Windows of text, flattened: context ``i`` owns tokens ``offsets[i]:offsets[i + 1]``. Where the layout lets examples expand, the windows are the expanded ones, and the page shows the layout's `buffer` of each until it is asked for more. */
export interface Contexts {
  /** where the tokens of each context begin, and where the last ones end. */
  readonly offsets: Int32Array;
  /** ids. */
  readonly tokens: Int32Array;
  /** activation of the feature, 0 where it does not fire, NaN where masked. */
  readonly acts: Float32Array;
  /** logit effect of the feature on that token, or None where no logit lens was made. */
  readonly logits: Float32Array | null;
  /** effects on the prediction of the next token; None where none were computed. */
  readonly effects: TokenEffects | null;
  /** the source tokens of each; None where there is no attention to ask, or nobody asked. */
  readonly sources: AttentionSources | null;
  /** row in the corpus. */
  readonly sequence: Int32Array;
  /** position in the row of the first token shown. */
  readonly start: Int32Array;
  /** index within the context of the token the example is about (bold). */
  readonly focus: Int32Array;
  /** how many further firings show this very context (and are not shown). */
  readonly repeats: Int32Array;
  /** for each labelling of the page the label of each token; -1: none. */
  readonly labels: readonly Int32Array[];
}

/** Examples of one kind. */
export interface SequenceGroup {
  /** ``top``: the largest firings; ``bottom``: the most negative; ``label``: those of largest size on tokens of one label; ``interval``: a uniform sample of the firings in ``(low, high]``, below zero in ``[low, high)``. */
  readonly kind: "top" | "bottom" | "interval" | "label";
  /** lower end of the interval; else the smallest activation shown, for ``bottom`` the minimum. */
  readonly low: number;
  /** upper end; else the largest activation shown, for ``top`` the maximum. */
  readonly high: number;
  /** firings in the interval or on the label (exact, not only those shown). */
  readonly n_firings: number;
  /** ``n_firings`` over all firings of the feature, 0 to 1. */
  readonly share: number;
  readonly contexts: Contexts;
  /** of a ``label`` group, its place among the page's labellings; else -1. */
  readonly labelling: number;
  /** of a ``label`` group, its place in the labelling; else -1. */
  readonly label: number;
}

/** Boards of a group's examples, at their tokens in focus. Example ``i`` owns squares ``i * n`` to ``(i + 1) * n``. */
export interface Boards {
  /** 0 for an empty square, else 1 + number of the piece. */
  readonly pieces: Uint8Array;
  /** 1 last move, 2 captured by it, 4 legal next move, added up. */
  readonly marks: Uint8Array;
  /** number of the player to move, -1 where the game is over. */
  readonly to_move: Int32Array;
}

/** One feature against one probe. */
export interface ProbeReadout {
  /** which classes are told: for a board all; else the largest dot products, descending, then the smallest, ascending. */
  readonly classes: Int32Array;
  /** how many of them are the largest; 0 for a board. */
  readonly n_top: number;
  /** dot product of the feature's direction with the class's, NaN for a square without one. */
  readonly values: Float32Array;
  /** cosine of the two directions; empty for logit effects. */
  readonly cosines: Float32Array;
}

/** All that a page shows of one feature. None: not asked for by the layout, or not there to show. */
export interface FeatureView {
  readonly feature: number;
  readonly stats: FeatureStats;
  /** what is said of it, the best first. */
  readonly explanations: readonly FeatureExplanation[];
  readonly neuron_alignment: AlignmentTable | null;
  readonly correlated_neurons: CorrelationTable | null;
  readonly correlated_features: CorrelationTable | null;
  readonly correlated_b_features: CorrelationTable | null;
  readonly decoder_neighbours: NeighbourTable | null;
  readonly acts_histogram: Histogram | null;
  readonly logits_histogram: Histogram | null;
  readonly logits_table: LogitTable | null;
  readonly acts_by_position: PositionProfile | null;
  readonly top_tokens: TopTokens | null;
  /** the feature over labels, for each labelling that the layout asks for. */
  readonly labels: readonly LabelProfile[];
  readonly places: PlaceWeights | null;
  readonly sequences: readonly SequenceGroup[];
  /** boards of the examples of all groups, one after the other. */
  readonly boards: Boards | null;
  /** one for each of the page's `probes`. */
  readonly probes: readonly ProbeReadout[];
  /** data of the user's own components, by the component's type. */
  readonly custom: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** A way to rank the features that fire on a prompt's tokens. */
export interface PromptMetric {
  /** as in the Python API, such as ``act_size``. */
  readonly name: string;
  /** in words. */
  readonly title: string;
  /** what the number is, its unit, and its sign, in a sentence. */
  readonly meaning: string;
  /** whether large values, small ones, or those of large size come first in a ranking. */
  readonly first: "large" | "small" | "size";
  /** a ranking leaves out features that fire on a larger share of the corpus's tokens, unless told otherwise; 1: none. */
  readonly max_density: number;
  /** , NaN where not computed. */
  readonly values: Float32Array;
}

/** One prompt and every feature that fires on it. A pair is a token and a feature that fires there. */
export interface PromptView {
  /** what to call it. */
  readonly title: string;
  /** ids. */
  readonly tokens: Int32Array;
  /** 1 where the index's mask would leave the token out of its statistics. */
  readonly masked: Int32Array;
  /** loss of the token that follows, in nats; NaN at the last position. */
  readonly loss: Float32Array;
  /** tokens in each list of predictions. */
  readonly n_predicted: number;
  /** the model's likeliest next tokens at each position, likeliest first. */
  readonly predicted: Int32Array;
  /** their probabilities. */
  readonly predicted_prob: Float32Array;
  /** token ``i`` owns pairs ``offsets[i]:offsets[i + 1]``. */
  readonly offsets: Int32Array;
  /** ascending within a token. */
  readonly features: Int32Array;
  /** values of every pair; `act_size` is the activation. */
  readonly metrics: readonly PromptMetric[];
  /** tokens at each position on whose logit the effect is known. */
  readonly n_targets: number;
  /** the token that follows (-1 at the last position), then the predicted ones, then any that were asked for. */
  readonly targets: Int32Array;
  /** direct effect on the logits of the pair's position's targets. */
  readonly logit_effects: Float32Array;
  /** the attribution's target in words. */
  readonly attributed: string;
}

/** What makes a page prompt-centric. */
export interface PromptPart {
  /** one, or two to be compared. */
  readonly prompts: readonly PromptView[];
  /** pairs of positions in the first and second prompt that stand for each other, ascending; empty for one prompt. */
  readonly aligned: Int32Array;
  /** every feature that fires on any of them. Cards of some may be missing from the page. */
  readonly firing: FeatureSummary;
  /** name of the metric to begin with. */
  readonly metric: string;
  /** position to begin with; None: the whole prompt. */
  readonly position: number | null;
  /** features in a ranking. */
  readonly n_features: number;
}

/** How well the other dictionary has each feature of one. */
export interface MatchTable {
  /** every feature of the dictionary, on the page or not. */
  readonly features: FeatureSummary;
  /** feature of the other with the largest Pearson correlation, -1 where none is positive. */
  readonly best: Int32Array;
  /** that correlation, 0 where there is none. */
  readonly pearson: Float32Array;
}

/** Features that the other dictionary has in several pieces; feature ``i`` owns parts ``offsets[i]:offsets[i + 1]``. */
export interface SplitTable {
  /** those that are split. */
  readonly feature: Int32Array;
  /** share of its firings on which at least one of the parts fires. */
  readonly covered: Float32Array;
  /** where the parts of each begin, and where the last ones end. */
  readonly offsets: Int32Array;
  /** features of the other, the one that covers most first. */
  readonly parts: Int32Array;
  /** share of the split feature's firings on which the part fires. */
  readonly covers: Float32Array;
  /** share of the part's firings on which the split feature fires. */
  readonly within: Float32Array;
}

/** What is known of all features of both dictionaries. */
export interface Overview {
  /** how well B has each feature of A. */
  readonly matches_a: MatchTable;
  /** how well A has each feature of B. */
  readonly matches_b: MatchTable;
  /** features of A that B has in pieces. */
  readonly splits: SplitTable;
  /** features of B that A has in pieces. */
  readonly merges: SplitTable;
  /** address of a page of A's features, relative to this page; None: there is none. */
  readonly a_page: string | null;
  /** of B's. */
  readonly b_page: string | null;
}

/** The features of B that correlate most with a feature of A, by descending Pearson correlation. */
export interface PairTable {
  /** features of B. */
  readonly index: Int32Array;
  /** over all unmasked tokens. */
  readonly pearson: Float32Array;
  /** over all unmasked tokens. */
  readonly cosine: Float32Array;
  /** cosine of the two decoder directions; None where widths differ or directions are not known. */
  readonly decoder: Float32Array | null;
  /** tokens on which both fire. */
  readonly together: Int32Array;
  /** share of A's firings on which B's feature fires. */
  readonly share_a: Float32Array;
  /** share of the B feature's firings on which A's fires. */
  readonly share_b: Float32Array;
}

/** Texts on which both features of a pair fire, or only one of them; flattened as `Contexts`. */
export interface PairGroup {
  /** ``both``, ``a`` (only A's fires) or ``b``. */
  readonly kind: "both" | "a" | "b";
  /** tokens of this kind (exact, not only those shown). */
  readonly n_tokens: number;
  /** where the tokens of each context begin, and where the last ones end. */
  readonly offsets: Int32Array;
  /** ids. */
  readonly tokens: Int32Array;
  /** activation of A's feature, 0 where it does not fire, NaN where masked. */
  readonly acts_a: Float32Array;
  /** of B's. */
  readonly acts_b: Float32Array;
  /** row in the corpus. */
  readonly sequence: Int32Array;
  /** position in the row of the first token shown. */
  readonly start: Int32Array;
  /** index within the context of the token it is about. */
  readonly focus: Int32Array;
  /** how many further tokens of this kind have this very context. */
  readonly repeats: Int32Array;
}

/** A feature of A, what is near it in B, and where each of these fires without the other. */
export interface Compared {
  /** of A. */
  readonly feature: number;
  /** its nearest features of B. */
  readonly table: PairTable;
  /** of each row of the table the groups ``both``, ``a``, ``b``. */
  readonly pairs: readonly readonly PairGroup[][];
}

/** A column of the table of all features. */
export interface ColumnInfo {
  /** as it is asked for. */
  readonly name: string;
  /** in the table's head. */
  readonly title: string;
  /** what its values are, in a sentence. */
  readonly meaning: string;
  /** ``number``; ``token``: ids of tokens, -1 for none; ``label``: places in a labelling, -1 for none; ``tokens`` and ``words``: texts of the rows in sight, which can't be sorted by. */
  readonly kind: "number" | "token" | "label" | "tokens" | "words";
  /** of its histogram. */
  readonly scale: "linear" | "log";
  /** whether numbers are shares, shown in percent. */
  readonly percent: boolean;
  /** whether they are whole numbers. */
  readonly whole: boolean;
  /** which end comes first when it is sorted by. */
  readonly best: "high" | "low";
  /** of a label, its place among the page's labellings; else -1. */
  readonly labelling: number;
}

/** One of the indices that are served. */
export interface IndexChoice {
  /** of the index and of how its cards look; a part of every address of its data. */
  readonly identity: string;
  /** short. */
  readonly title: string;
  /** where its dictionary reads. */
  readonly hook: string;
  /** architecture and size in words. */
  readonly sae: string;
  /** whether it is over the same tokens as the one that is open, so that both can be compared. */
  readonly same_text: boolean;
}

/** What can be asked beside cards, columns and rows. */
export interface ExplorerCan {
  /** which features fire where a phrase of the text stands: needs codes by token and token text. */
  readonly phrases: boolean;
  /** the text itself, with what fires on it. */
  readonly reader: boolean;
  /** whatever runs the model: texts of the user's own, prompts, effects. */
  readonly live: boolean;
  /** why there is nothing live, in words; empty where there is. */
  readonly why_not_live: string;
  /** whether notes can be written. */
  readonly notes: boolean;
  /** whether there is a map of decoder directions. */
  readonly map: boolean;
  /** whether explanations are kept. */
  readonly explanations: boolean;
}

/** A few tokens for each of some features, strongest first; row ``i`` has those from ``offsets[i]`` on. */
export interface TokensOfRows {
  readonly offsets: Int32Array;
  readonly tokens: Int32Array;
}

/** What rows of the table show beside numbers. */
export interface RowTexts {
  /** ids, in the order asked for. */
  readonly features: Int32Array;
  /** the token on which each fires most strongly, -1 for none. */
  readonly top: Int32Array;
  /** tokens that each fires on most. */
  readonly fired: TokensOfRows;
  /** tokens that each pushes up most. */
  readonly up: TokensOfRows;
  /** tokens that each pushes down most. */
  readonly down: TokensOfRows;
  /** the best explanation of each, empty for none; no rows at all where none are kept. */
  readonly explanations: readonly string[];
}

/** The rows that the table begins with, in their order, so that they are on screen before any column is. */
export interface FirstRows {
  /** ids. */
  readonly features: Int32Array;
  /** names of the columns whose values are here. */
  readonly columns: readonly string[];
  /** of the first column, then the second; a column's values in the order of the rows. */
  readonly values: Float32Array;
  /** of the rows. */
  readonly texts: RowTexts;
}

/** What the explorer begins with; its page's summary is empty, since the table comes by columns. */
export interface ExplorerHead {
  /** what the cards were made from, and how they look. */
  readonly page: PageHead;
  /** of the index and of how its cards look. */
  readonly identity: string;
  /** every column that there is. */
  readonly columns: readonly ColumnInfo[];
  /** those that the table shows unless told otherwise. */
  readonly shown: readonly string[];
  /** the column that it is sorted by unless told otherwise. */
  readonly sort: string;
  /** all that are served, this one among them. */
  readonly indices: readonly IndexChoice[];
  /** what can be asked. */
  readonly can: ExplorerCan;
  /** rows that the table begins with. */
  readonly first: FirstRows;
}

/** One number for each feature of the dictionary, NaN where there is none. */
export interface NumberColumn {
  readonly values: Float32Array;
}

/** One whole number for each feature of the dictionary: ids of tokens or places in a labelling, -1 for none. */
export interface WholeColumn {
  readonly values: Int32Array;
}

/** Features that a search found in one way, best first. */
export interface Hits {
  /** ``fires``: it fires most on a token of this text; ``pushes``: it pushes up such a token; ``phrase``: it fires where the phrase stands in the corpus more than elsewhere; ``explanation``: an explanation of it holds the words; ``note``: a note holds them; ``text``: the text, run through the model, wakes it. */
  readonly way: "fires" | "pushes" | "phrase" | "explanation" | "note" | "text";
  /** what the score is, in words. */
  readonly said: string;
  /** how many tokens or places of the corpus were found, whatever fires there. */
  readonly n_places: number;
  /** ids. */
  readonly features: Int32Array;
  /** of each. */
  readonly scores: Float32Array;
}

/** What was found, way by way; ways that found nothing are there with no features. */
export interface SearchAnswer {
  /** of each way. */
  readonly hits: readonly Hits[];
  /** what the model read, without what the mask leaves out; none where no model was asked. */
  readonly tokens: Int32Array;
}

/** A text of the user's own, run through model and dictionary; token ``i`` has the codes from ``offsets[i]`` on. */
export interface TriedText {
  /** ids, the BOS in front where the index's sequences have one. */
  readonly tokens: Int32Array;
  /** 1 where the index's mask would leave the token out, else 0. */
  readonly masked: Int32Array;
  readonly offsets: Int32Array;
  /** those that fire. */
  readonly features: Int32Array;
  /** how strongly. */
  readonly acts: Float32Array;
}

/** Full effects on a prompt, some of those that were asked for. */
export interface MeasuredEffects {
  /** which of two prompts. */
  readonly side: number;
  /** pairs measured so far, of all sides. */
  readonly done: number;
  /** pairs that will be measured. */
  readonly total: number;
  /** places of the pairs among the prompt's. */
  readonly pairs: Int32Array;
  /** effect on the loss of the next token, with the feature minus without it. */
  readonly loss: Float32Array;
  /** the same, summed over this and all later tokens. */
  readonly later: Float32Array;
}

/** Two of the indices that are served, compared; cards and pairs come when they are asked for. */
export interface ComparisonHead {
  /** what is known of all features of both. */
  readonly overview: Overview;
  /** of the cards beside each other. */
  readonly layout: LayoutSpec;
}

/** The features that matter most to a prompt in one of the indices that are served, the most important first. */
export interface LayerFeatures {
  /** of the index. */
  readonly identity: string;
  /** what they are ranked by, in words. */
  readonly metric: string;
  /** ids. */
  readonly features: Int32Array;
  /** of the metric, at the token where it is largest. */
  readonly values: Float32Array;
  /** of that token. */
  readonly positions: Int32Array;
  /** the token on which each fires most strongly in the corpus. */
  readonly top_tokens: Int32Array;
}

/** One prompt at every index that is served with its model; indices in the order in which they are served. */
export interface EveryLayer {
  /** of the prompt. */
  readonly tokens: Int32Array;
  /** of each index. */
  readonly layers: readonly LayerFeatures[];
}

/** A note of the user's on a feature. */
export interface Note {
  /** its number. */
  readonly feature: number;
  /** of the note. */
  readonly text: string;
  /** 1 for the first text, one more for every text since. */
  readonly revision: number;
}

/** All notes on an index, by feature. */
export interface Notes {
  readonly notes: readonly Note[];
}

/** A page that lies beside the explorer of a site. */
export interface SitePage {
  /** of the link. */
  readonly title: string;
  /** relative to the explorer. */
  readonly address: string;
}

/** What the explorer of a static site begins with: there is no server, everything lies in files of a few kinds. */
export interface SiteHead {
  /** as from a server; nothing in it is live. */
  readonly explorer: ExplorerHead;
  /** features in a file of cards (`sae_vis.deliver.answers.pack`): feature ``f`` is in file ``f // cards_in_file``. */
  readonly cards_in_file: number;
  /** files of cards in a folder: file ``i`` is in folder ``i // files_in_folder``. */
  readonly files_in_folder: number;
  /** features in a file of texts of rows (`RowTexts`), likewise. */
  readonly rows_in_file: number;
  /** the first text of each file of the vocabulary (`WordList`), ascending. */
  readonly letters: readonly string[];
  /** the place among all texts of the first one in each file of features (`WordFeatures`), ascending. */
  readonly text_files: Int32Array;
  /** first word in each file of explanations by word (`ExplainedWords`), ascending. */
  readonly explained_letters: readonly string[];
  /** the features that the site holds, where these are not all, ascending; else empty. Their places in this list are then what files of cards and of rows count by, and columns hold their values alone. */
  readonly chosen: Int32Array;
  /** that lie beside it. */
  readonly pages: readonly SitePage[];
}

/** A feature's logit effects on tokens of the user's choice, the largest first. */
export interface TokenLogits {
  /** tokens that were found, listed or not. */
  readonly n_found: number;
  /** tokens that there are effects on. */
  readonly n_vocab: number;
  /** ids. */
  readonly tokens: Int32Array;
  /** on their logits. */
  readonly effects: Float32Array;
  /** how many tokens of the vocabulary have a larger effect. */
  readonly ranks: Int32Array;
}

/** Which explanations hold words; word ``i`` has the entries from ``offsets[i]`` on. */
export interface ExplainedWords {
  /** of explanations, small letters, ascending. */
  readonly words: readonly string[];
  /** how many explanations hold each; where that is more than it has entries, these are the best of them, and the word is only looked for by itself. */
  readonly totals: Int32Array;
  readonly offsets: Int32Array;
  /** number of the explanation, ascending. */
  readonly rows: Int32Array;
  /** that it is of. */
  readonly features: Int32Array;
  /** how often the word stands there. */
  readonly counts: Int32Array;
  /** how many words the explanation has. */
  readonly lengths: Int32Array;
}

/** Texts that can be searched for, some of them, ascending: small letters without spaces around them. A text is a word of the vocabulary, or a beginning that many words share and that is none itself. */
export interface WordList {
  /** the place of the first of these among all texts. */
  readonly first: number;
  /** each once. */
  readonly words: readonly string[];
  /** of the vocabulary that are each word, or begin with it. */
  readonly n_tokens: Int32Array;
}

/** Which features fire on texts that lie behind each other, and push them up; text ``i`` from ``offsets[i]`` on. */
export interface WordFeatures {
  readonly fires_offsets: Int32Array;
  /** features that fire on each, by the share of their firings there, the largest first. */
  readonly fires: Int32Array;
  /** these shares. */
  readonly shares: Float32Array;
  readonly pushes_offsets: Int32Array;
  /** features that push each up, by their logit effect on it, the largest first. */
  readonly pushes: Int32Array;
  /** these effects. */
  readonly effects: Float32Array;
}

/** The labels of a page's tokens by one labelling of the corpus, span by span. */
export interface ReaderLabels {
  /** of the labelling. */
  readonly name: string;
  /** token of the page with which each span begins, ascending, the first of them 0. */
  readonly starts: Int32Array;
  /** of each span; None: it has none. */
  readonly labels: readonly (string | null)[];
}

/** Every feature that fires on a page, token by token; token ``i`` owns entries ``offsets[i]:offsets[i + 1]``. */
export interface ReaderCodes {
  readonly offsets: Int32Array;
  /** ids, ascending within a token. */
  readonly features: Int32Array;
  /** how strongly each fires there. Masked tokens have no entries. */
  readonly acts: Float32Array;
}

/** One feature on a page, from its firings in the whole corpus. */
export interface ReaderFeature {
  /** id. */
  readonly feature: number;
  /** in the whole corpus. */
  readonly n_firings: number;
  /** tokens of the page on which it fires, ascending. */
  readonly at: Int32Array;
  /** how strongly. */
  readonly acts: Float32Array;
}

/** A page of a document: its tokens in the order of the corpus, and what fires on them. A document of more tokens than a page has is cut into pages, no character in two of them. */
export interface ReaderPage {
  /** number of it in the corpus, from 0 on. */
  readonly document: number;
  /** of the corpus. */
  readonly n_documents: number;
  /** number of it in the document, from 0 on. */
  readonly page: number;
  /** of the document. */
  readonly n_pages: number;
  /** corpus position of the page's first token. */
  readonly start: number;
  /** corpus position of the document's first token. */
  readonly document_start: number;
  /** how many tokens the document has. */
  readonly document_tokens: number;
  /** row of the corpus that the page's first token is in. */
  readonly sequence: number;
  /** position of this token within the row. */
  readonly offset: number;
  /** ids. */
  readonly tokens: Int32Array;
  /** tokens of the page that begin a row, ascending: the model read from there on. */
  readonly begins: Int32Array;
  /** tokens of the page that are in no statistic, ascending. */
  readonly masked: Int32Array;
  /** by each labelling of the corpus. */
  readonly labels: readonly ReaderLabels[];
  /** what fires on them; None where the index was built without codes by token. */
  readonly codes: ReaderCodes | null;
  /** features that were asked for by number, from their own firings. */
  readonly pinned: readonly ReaderFeature[];
  /** every feature in `codes` and `pinned`, with its largest activation in the whole corpus; by number. */
  readonly firing: FeatureSummary;
}

/** Where in the documents a token of the corpus is. */
export interface ReaderPlace {
  /** corpus position. */
  readonly position: number;
  /** the document that it is in. */
  readonly document: number;
  /** the page of the document. */
  readonly page: number;
  /** which token of the page it is, from 0 on. */
  readonly token: number;
}

/** One firing of a feature: the next after a place of the corpus, or the one before. */
export interface ReaderFiring {
  /** id. */
  readonly feature: number;
  readonly place: ReaderPlace;
  /** how strongly it fires there. */
  readonly act: number;
  /** of the firing among all those of the feature, in corpus order, from 0 on. */
  readonly number: number;
  /** of the feature in the whole corpus. */
  readonly n_firings: number;
  /** whether there was none up to the end of the corpus, so that it is the first; or none back to its beginning, so that it is the last. */
  readonly wrapped: boolean;
}

/** Where every feature of the dictionary lies on a flat map; features near each other mostly write alike. */
export interface DecoderMap {
  /** from 1 to 65,535, the same step on both axes; 0 for a feature without a place, whose decoder direction has length 0. */
  readonly x: Int32Array;
  /** upwards, likewise. */
  readonly y: Int32Array;
  /** share of the ``k`` nearest features by decoder cosine that are among the ``k`` nearest on the map. */
  readonly kept: number;
  /** how many nearest. */
  readonly k: number;
  /** features that the share was measured on, evenly spaced; all that have a place, or as many. */
  readonly looked_at: number;
}
