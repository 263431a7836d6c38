// What a page stands in: a document of its own, or a part of somebody else's, such as a notebook's cell.
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { LocationKeeper } from "./location";
import type { Theme } from "./address";
import type { Keeper } from "./keeper";

export interface Frame {
  /** Where the page's state is kept. */
  readonly keeper: Keeper;
  /** What hears the page's keys. */
  readonly keys: EventTarget;
  readonly setTheme: (theme: Theme) => void;
  /** Whether the page has an address that can be given to others. */
  readonly linked: boolean;
}

/** The system's setting, unless the address says otherwise. */
function setTheme(theme: Theme): void {
  const { dataset } = document.documentElement;
  if (theme === "system") delete dataset["theme"];
  else dataset["theme"] = theme;
}

const OWN: Frame = { keeper: new LocationKeeper(), keys: window, setTheme, linked: window.location.protocol !== "about:" };

export const FrameContext = createContext(OWN);

export function useFrame(): Frame {
  return useContext(FrameContext);
}
