// Kinds of values, as sae_vis/contract/schema.py tells them.

export type Scalar = "int" | "float" | "bool" | "str" | "json" | "named";
type Packing = "plain" | "delta" | "gaps" | "offsets" | "token" | "sparse" | "per token";
export type Values = readonly [
  dtype: "float32" | "int32" | "uint8",
  packing: Packing,
  shape: string,
  /** Of offsets, the size that they end at; of floats, how they are rounded. */
  more?: string,
];
export type Kind =
  | Scalar
  | readonly ["choice", ...string[]]
  | readonly ["maybe" | "many" | "by name", Kind]
  | readonly ["record", string]
  | Values;
/** The fields of each record, in the order in which they travel. */
export type Table = Readonly<Record<string, readonly (readonly [field: string, kind: Kind])[]>>;
