// One box to find features: by number, by tokens, by a phrase of the text, by notes, by any text through the model.
import type { VNode } from "preact";
import type { Ref } from "preact";
import type { Hits } from "../../data/contract";
import { count, plural } from "../../data/format";
import type { Search } from "../../state/explorer/search";
import type { Way } from "../../state/explorer/address";

export interface SearchBoxProps {
  readonly box: Ref<HTMLInputElement>;
  readonly words: string;
  readonly setWords: (words: string) => void;
  readonly search: Search;
  readonly shown: Hits | null;
  readonly choose: (way: Way) => void;
  /** Open a feature by its number. */
  readonly go: (feature: number) => void;
  /** Open the first feature that was found. */
  readonly first: () => void;
  readonly n: number;
}

export function SearchBox({ box, words, setWords, search, shown, choose, go, first, n }: SearchBoxProps): VNode {
  const asked = /^\s*\d{1,9}\s*$/.test(words) ? Number(words) : null;
  return (
    <form
      class="search-box"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        if (asked !== null && asked < n) go(asked);
        else first();
      }}
    >
      <input
        ref={box}
        type="search"
        value={words}
        placeholder="Number, token, phrase or note"
        aria-label="Find features by number, token, phrase of the text, or note"
        title="Find features (/)"
        onInput={(event) => setWords(event.currentTarget.value)}
      />
      {words.trim() !== "" && (
        <div class="ways" role="group" aria-label="Found">
          {asked !== null && (
            <button type="button" disabled={asked >= n} onClick={() => go(asked)}>
              {asked < n ? `Feature ${asked}` : `No feature ${count(asked)}: there are ${count(n)}`}
            </button>
          )}
          {search.kind === "searching" && <span class="quiet">Searching…</span>}
          {search.kind === "failed" && <span class="quiet" role="alert">{search.reason}</span>}
          {search.kind === "found" &&
            search.hits.map((hits) => (
              <button key={hits.way} type="button" aria-pressed={hits === shown} disabled={hits.features.length === 0} title={`By ${hits.said}`} onClick={() => choose(hits.way)}>
                {TITLES[hits.way](hits)}
              </button>
            ))}
        </div>
      )}
    </form>
  );
}

const TITLES: Readonly<Record<Way, (hits: Hits) => string>> = {
  fires: ({ features }) => `${count(features.length)} fire on it`,
  pushes: ({ features }) => `${count(features.length)} push it up`,
  phrase: ({ features, n_places: n }) => `${count(features.length)} where it stands (${plural(n, "place")})`,
  note: ({ features }) => `${count(features.length)} noted`,
  text: ({ features }) => `${count(features.length)} woken by it`,
};
