// The words of the pages, each with its one meaning: headings show it as a tip, the list of keys shows all of them.
// docs/numerics.md has them in the same words; a test holds that.
export const WORDS = {
  density: "Share of unmasked tokens on which the feature fires.",
  firing: "An unmasked token on which the feature's activation is not 0.",
  masked: "A token that no statistic counts, such as BOS and padding. Rankings over several tokens leave it out, too.",
  max: "Largest activation in the corpus; of a signed dictionary also min, the most negative one.",
  mean: "Mean activation among the firings, with their standard deviation.",
  quantile: "Share of the corpus's unmasked tokens whose activation is at most this one.",
  interval: "One of several equally wide ranges from 0 to the maximum; its examples are a random sample of its firings.",
  pearson: "Pearson correlation of two activations over all unmasked tokens.",
  cosine: "Cosine similarity of two activations over all unmasked tokens.",
  "decoder neighbours": "Features whose decoder directions have the largest cosine with this one's.",
  "neuron alignment": "The neurons with the largest weights in the feature's direction, and their shares of its L1 norm.",
  "decoder norm": "Length of the feature's decoder direction at a place.",
  "relative norm": "Its decoder norm in the second model, over the sum of both: 0 writes in the first model only, 1 in the second only.",
  "logit effect": "How much the feature raises a token's logit at activation 1, straight to the output, centred over the vocabulary.",
  "loss effect": "Loss of the next token with the feature minus without it, in nats. Below 0 it helps to predict that token.",
  attribution: "Activation times gradient: the effect on the target to first order.",
  unevenness: "How far the labels of the firings are from those of all tokens, in bits per firing, less what chance would give. 0: as the tokens are.",
  "log-odds": "Odds of firing on the tokens of a label over those on all others, as a logarithm in bits. Above 0: it prefers the label.",
  lift: "Density on the tokens of a label, over the density on all tokens.",
  match: "How well a feature fits what was searched for; the column's tip says by what.",
} as const;

export type Word = keyof typeof WORDS;
