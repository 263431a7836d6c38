// One box to find features: by number, by tokens, by a phrase of the text, by notes, by any text through the model.
import type { Ref, VNode } from "preact";
import type { Hits } from "../../data/contract";
import { count, plural } from "../../data/format";
import type { TokenTexts } from "../../data/tokens";
import { Chip } from "../../marks/TokenText";
import type { Search } from "../../state/explorer/search";
import type { Way } from "../../state/explorer/address";

export interface SearchBoxProps {
  readonly box: Ref<HTMLInputElement>;
  readonly words: string;
  readonly setWords: (words: string) => void;
  /** Open what the words name, or the first feature that is found. */
  readonly open: () => void;
  /** Go on to the table. */
  readonly leave: () => void;
}

export function SearchBox({ box, words, setWords, open, leave }: SearchBoxProps): VNode {
  return (
    <form
      class="search-box"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        open();
      }}
    >
      <input
        ref={box}
        type="search"
        value={words}
        placeholder="Number, token, phrase or words"
        aria-label="Find features by number, token, phrase of the text, or words of explanations and notes"
        title="Find features (/)"
        onInput={(event) => setWords(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown") return;
          event.preventDefault();
          leave();
        }}
      />
    </form>
  );
}

/** The number that the words are, if they are one. */
export function numberIn(words: string): number | null {
  return /^\s*\d{1,9}\s*$/.test(words) ? Number(words) : null;
}

export interface WaysProps {
  readonly words: string;
  readonly search: Search;
  readonly shown: Hits | null;
  readonly choose: (way: Way) => void;
  /** Open a feature by its number. */
  readonly go: (feature: number) => void;
  readonly clear: () => void;
  readonly n: number;
  readonly texts: TokenTexts;
}

/** How many features were found in which way; a click shows them. */
export function Ways({ words, search, shown, choose, go, clear, n, texts }: WaysProps): VNode {
  const asked = numberIn(words);
  return (
    <div class="ways" role="group" aria-label="Found">
      {asked !== null && (
        <button type="button" disabled={asked >= n} onClick={() => go(asked)}>
          {asked < n ? `Feature ${asked}` : `No feature ${count(asked)}: there are ${count(n)}`}
        </button>
      )}
      {search.kind === "searching" && <span class="quiet">Searching…</span>}
      {search.kind === "failed" && (
        <span class="quiet" role="alert">
          {search.reason}
        </span>
      )}
      {search.kind === "found" &&
        search.hits.map((hits) => (
          <button key={hits.way} type="button" aria-pressed={hits === shown} disabled={hits.features.length === 0} title={`By ${hits.said}`} onClick={() => choose(hits.way)}>
            {TITLES[hits.way](hits)}
          </button>
        ))}
      {search.kind === "found" && search.model === "reading" && <span class="quiet">The model reads…</span>}
      {search.kind === "found" && search.model !== null && search.model !== "reading" && <span class="quiet">Not through the model: {search.model.failed}</span>}
      <button type="button" class="clear" onClick={clear}>
        all features
      </button>
      <Reading words={words} search={search} shown={shown} texts={texts} />
    </div>
  );
}

const TITLES: Readonly<Record<Way, (hits: Hits) => string>> = {
  fires: ({ features }) => `${count(features.length)} fire on it`,
  pushes: ({ features }) => `${count(features.length)} push it up`,
  phrase: ({ features, n_places: n }) => `${count(features.length)} where it stands (${plural(n, "place")})`,
  explanation: ({ features }) => `${count(features.length)} explained so`,
  note: ({ features }) => `${count(features.length)} noted`,
  text: ({ features }) => `${count(features.length)} fire when the model reads it`,
};

/** What a way looks the words up in. */
const PLACES: Readonly<Partial<Record<Way, string>>> = { fires: "token", phrase: "phrase of the text", explanation: "explanation", note: "note" };

/** Where the words are nowhere that is said; and of what the model read, in which tokens it did. */
function Reading({ words, search, shown, texts }: Pick<WaysProps, "words" | "search" | "shown" | "texts">): VNode | null {
  if (search.kind !== "found") return null;
  const nowhere = search.hits.every(({ way, n_places: n }) => way === "text" || n === 0);
  const read = shown?.way === "text" ? search.tokens : null;
  const none = search.hits.some(({ way, features }) => way === "fires" && features.length === 0);
  const spelled = none && !search.hits.some(({ way }) => way === "explanation");
  if (!nowhere && read === null && !spelled) return null;
  const places = search.hits.flatMap(({ way }) => PLACES[way] ?? []);
  return (
    <p class="quiet reading" role="status">
      {nowhere && `No ${inWords(places)} holds “${words.trim()}”. `}
      {spelled && "Search goes by spelling; it finds meanings where explanations are kept. "}
      {read !== null && (
        <>
          {nowhere ? "What is listed fires when the model reads it, in " : "The model read "}
          {plural(read.length, "token")}: {Array.from(read, (token, i) => [i > 0 && " ", <Chip key={i} list={texts.runs(token)} />])}
          {/^\p{L}/u.test(words) && " (no space in front: with one the first token is another)"}
        </>
      )}
    </p>
  );
}

function inWords(names: readonly string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} or ${names.at(-1) ?? ""}`;
}
