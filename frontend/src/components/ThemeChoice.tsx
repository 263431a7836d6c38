// Light, dark, or as the system is set.
import type { VNode } from "preact";
import { THEMES, type Theme } from "../state/address";

const NAMES: Readonly<Record<Theme, string>> = { system: "System", light: "Light", dark: "Dark" };

export function ThemeChoice({ theme, set }: { theme: Theme; set: (theme: Theme) => void }): VNode {
  return (
    <select
      aria-label="Theme"
      title="Theme"
      value={theme}
      onChange={(event) => set(THEMES.find((name) => name === event.currentTarget.value) ?? "system")}
    >
      {THEMES.map((name) => (
        <option key={name} value={name}>
          {NAMES[name]}
        </option>
      ))}
    </select>
  );
}
