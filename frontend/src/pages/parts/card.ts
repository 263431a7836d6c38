// The open feature's card.
export { CardPane } from "../explorer/CardPane";
