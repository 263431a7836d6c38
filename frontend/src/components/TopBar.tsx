// The bar at the top of every page: what it is about, the theme, the keys.
import type { ComponentChildren, VNode } from "preact";
import { useLayoutEffect } from "preact/hooks";
import type { Theme } from "../state/address";
import { useFrame } from "../state/frame";
import { ThemeChoice } from "./ThemeChoice";

export interface TopBarProps {
  readonly theme: Theme;
  readonly setTheme: (theme: Theme) => void;
  readonly openHelp: () => void;
  readonly children: ComponentChildren;
}

export function TopBar({ theme, setTheme, openHelp, children }: TopBarProps): VNode {
  const frame = useFrame();
  useLayoutEffect(() => frame.setTheme(theme), [frame, theme]);
  return (
    <section class="bar" aria-label="Controls">
      <span class="brand">sae_vis</span>
      {children}
      <span class="settings">
        <ThemeChoice theme={theme} set={setTheme} />
        <button type="button" class="icon" aria-label="Keys" title="Keys, and what the words mean (?)" onClick={openHelp}>
          ?
        </button>
      </span>
    </section>
  );
}
