// The open feature's card, where there is no server.
export { CardPane } from "../explorer/CardPane";
