// The open feature's card, with what a server can do for it.
import type { VNode } from "preact";
import { CardPane as Card, type CardPaneProps } from "../explorer/CardPane";
import { Own } from "../explorer/Own";

export function CardPane(props: CardPaneProps): VNode {
  return <Card {...props} own={Own} />;
}
