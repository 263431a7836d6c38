// Numbers in words. Three significant digits, a real minus sign. Not by Intl: its first use costs a page 15 ms or more.

/** Three significant digits; small and large ones in powers of ten. */
export function number(value: number): string {
  if (Number.isNaN(value)) return "not a number";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e7) return value.toExponential(2).replaceAll("-", "−");
  const text = size < 999.5 ? value.toPrecision(3) : count(value);
  return text.replaceAll("-", "−");
}

/** As `number`, with a plus sign where positive. */
export function signed(value: number): string {
  return value > 0 ? `+${number(value)}` : number(value);
}

/** Thousands apart. */
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A share of 0 to 1 in percent. */
export function percent(share: number): string {
  return `${number(share * 100)}%`;
}

/** One or many. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** A value as its column of the table shows it; nothing where there is none. */
export function shown(value: number, { percent: share, whole }: { readonly percent: boolean; readonly whole: boolean }): string {
  if (Number.isNaN(value)) return "";
  return share ? percent(value) : whole ? count(value) : number(value);
}
