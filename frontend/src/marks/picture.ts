// A chart as a picture file: what is on screen, with its colours.

/** What style sheets give to shapes and text, and a file must say itself. */
const SAID = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-family", "font-size", "font-weight", "text-anchor", "dominant-baseline", "paint-order", "stop-color", "display", "visibility"] as const;
/** Dots of a PNG for each on the page. */
const DOTS = 2;

export type Kind = "svg" | "png";

/** Save a chart, called as `name`, without an ending. */
export async function save(chart: SVGSVGElement, name: string, kind: Kind): Promise<void> {
  const text = standalone(chart);
  const svg = new Blob([text], { type: "image/svg+xml" });
  download(kind === "svg" ? svg : await painted(text, chart), `${name}.${kind}`);
}

/** The chart as a file of its own: styles written into it, on the colour that it stands on. */
function standalone(chart: SVGSVGElement): string {
  const copy = chart.cloneNode(true) as SVGSVGElement;
  const [from, to] = [[chart, ...chart.querySelectorAll("*")], [copy, ...copy.querySelectorAll("*")]];
  from.forEach((element, i) => {
    const style = getComputedStyle(element);
    for (const property of SAID) to[i]?.setAttribute(property, style.getPropertyValue(property));
    for (const own of ["class", "style", "tabindex"]) to[i]?.removeAttribute(own);
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("viewBox", `0 0 ${chart.clientWidth} ${chart.clientHeight}`);
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [key, value] of [["width", "100%"], ["height", "100%"], ["fill", groundOf(chart)]] as const) ground.setAttribute(key, value);
  copy.prepend(ground);
  return new XMLSerializer().serializeToString(copy);
}

/** The colour behind an element. */
function groundOf(element: Element): string {
  for (let at: Element | null = element; at !== null; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (colour !== "transparent" && colour !== "rgba(0, 0, 0, 0)") return colour;
  }
  return "white";
}

/** The dots of an SVG. Fails where the browser can't draw it. */
async function painted(text: string, { clientWidth, clientHeight }: SVGSVGElement): Promise<Blob> {
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [clientWidth * DOTS, clientHeight * DOTS];
  canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob === null ? reject(new Error("no picture")) : resolve(blob)), "image/png"));
}

function download(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
