// The open feature's card, beside the table.
import type { FunctionComponent, VNode } from "preact";
import { useLayoutEffect, useMemo } from "preact/hooks";
import { Columns, type Shared } from "../../components/Columns";
import { Stats } from "../../components/CardHead";
import { CopyMenu } from "../../components/CopyMenu";
import { DeadFeature } from "../../components/Messages";
import { Said } from "../../components/Said";
import type { Read } from "../../components/types";
import type { ExplorerSource } from "../../data/explorer";
import type { TokenTexts } from "../../data/tokens";
import { opened } from "../../state/card";
import type { ExplorerAddress } from "../../state/explorer/address";
import { useCard } from "../../state/explorer/card";
import type { NoteBook } from "../../state/explorer/notes";
import type { Moves } from "../../state/history";
import type { OwnProps } from "./Own";
import { useLate } from "../../state/late";

export interface CardPaneProps {
  readonly source: ExplorerSource;
  readonly texts: TokenTexts;
  readonly feature: number;
  /** The features before and after it in the table. */
  readonly ahead: readonly number[];
  readonly address: ExplorerAddress;
  readonly move: Moves<ExplorerAddress>;
  readonly href: (change: Partial<ExplorerAddress>) => string;
  readonly book: NoteBook;
  /** What the user can do with the feature; absent where there is no server. */
  readonly own?: FunctionComponent<OwnProps>;
  /** Opens the document of an example; undefined where the text can't be read. */
  readonly read: Read | undefined;
}

export function CardPane(props: CardPaneProps): VNode {
  const { source, texts, feature, ahead, address, move, href, book, own: Own, read } = props;
  const { head, info } = source;
  const { card, effects, failed } = useCard(source, texts, feature, ahead);
  const there = card !== null && card.view.feature === feature;
  useLayoutEffect(() => (card === null ? undefined : opened(card)), [card]);
  // Another order or filter is in the addresses of the card's links, for which the table does not wait.
  const links = useLate(href({ feature: 0 }));
  const { log, wrap } = address;
  const shared = useMemo<Shared>(
    () => ({
      log,
      wrap,
      set: (change) => move(change, "replace"),
      go: (to) => move({ feature: to }),
      has: (to) => to < source.n && (source.chosen?.includes(to) ?? true),
      href: (to) => href({ feature: to }),
      shared: source.shared,
      read,
    }),
    [log, wrap, move, links, source, read],
  );
  const columns = useMemo(() => (card === null ? null : <Columns card={card} head={head} several shared={shared} />), [card, head, shared]);
  return (
    <article class="card explorer-card" aria-label={`Feature ${feature}`} aria-busy={!there}>
      <header class="card-head">
        <h2>
          Feature <b>{feature}</b>
        </h2>
        {card !== null && there && (card.dead ? <DeadFeature feature={feature} head={head} /> : <Stats stats={card.view.stats} signed={head.meta.signed} />)}
        {card !== null && there && <Said card={card} />}
        {effects === "computing" && (
          <span class="quiet" role="status">
            computing effects…
          </span>
        )}
        {card !== null && there && <CopyMenu card={card} href={href({ feature })} />}
      </header>
      {Own !== undefined && (info.can.notes || info.can.live) && (
        <Own source={source} texts={texts} feature={feature} scale={there ? card.scale : 1} text={address.text} setText={(text) => move({ text }, "replace")} book={book} />
      )}
      {failed !== null && (
        <p class="message failed" role="alert" data-message="failed">
          Feature {feature} can't be shown: {failed}
        </p>
      )}
      {card === null && failed === null && <p class="message">Loading feature {feature}…</p>}
      {card !== null && failed === null && (
        <div class="card-columns">
          {columns}
        </div>
      )}
    </article>
  );
}
