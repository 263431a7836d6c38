// Features that were drawn around on the map: a filter of the table, as long as the page is open.
import { useMemo, useState } from "preact/hooks";

export interface Lasso {
  /** null: nothing was drawn. */
  readonly features: Int32Array | null;
  readonly set: (features: Int32Array | null) => void;
}

export function useLasso(): Lasso {
  const [features, set] = useState<Int32Array | null>(null);
  return useMemo(() => ({ features, set }), [features]);
}
