// Numbers in words. Three significant digits, a real minus sign.

const three = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, minimumSignificantDigits: 3, useGrouping: true });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Three significant digits; small and large ones in powers of ten. */
export function number(value: number): string {
  if (Number.isNaN(value)) return "not a number";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 1e-4 || size >= 1e7 ? value.toExponential(2) : size >= 1000 ? whole.format(value) : three.format(value);
  return text.replaceAll("-", "−");
}

/** As `number`, with a plus sign where positive. */
export function signed(value: number): string {
  return value > 0 ? `+${number(value)}` : number(value);
}

/** Thousands apart. */
export function count(value: number): string {
  return whole.format(value);
}

/** A share of 0 to 1 in percent. */
export function percent(share: number): string {
  return `${number(share * 100)}%`;
}

/** One or many. */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
