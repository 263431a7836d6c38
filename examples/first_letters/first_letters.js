// Draws what first_letters.py counted. `data` is one feature's, `context.shared` is the page's.
const SVG = "http://www.w3.org/2000/svg";

export function mount(element, data, context) {
  const { letters, tokens } = context.shared;
  const share = (counts) => Array.from(counts, (n) => n / Math.max(counts.reduce((a, b) => a + b, 0), 1));
  const [fires, usual] = [share(data.firings), share(tokens)];
  const height = context.options.height;
  const most = Math.max(...fires, ...usual);
  const title = document.createElement("h3");
  title.textContent = "First letters";
  const chart = node("svg", { viewBox: `0 0 ${16 * letters.length} ${height}`, class: "first-letters", role: "img" });
  chart.setAttribute("aria-label", `Share of firings by first letter of the token: ${spoken(letters, fires)}.`);
  letters.forEach((letter, i) => {
    const room = height - 20;
    const bar = node("g", { class: "letter", "data-i": i });
    bar.append(
      node("rect", { x: 16 * i, y: 0, width: 16, height, class: "catch" }),
      node("rect", { x: 16 * i + 2, width: 12, y: room * (1 - fires[i] / most), height: (room * fires[i]) / most }),
      node("line", { x1: 16 * i + 1, x2: 16 * i + 15, y1: room * (1 - usual[i] / most), y2: room * (1 - usual[i] / most) }),
      node("text", { x: 16 * i + 8, y: height - 5, "text-anchor": "middle" }, letter === "other" ? "…" : letter),
    );
    chart.append(bar);
  });
  const at = (event) => event.target.closest?.("[data-i]");
  chart.addEventListener("pointerover", (event) => {
    const bar = at(event);
    if (!bar) return;
    const i = Number(bar.dataset.i);
    context.say([letters[i], `${percent(fires[i])} of firings`, `${percent(usual[i])} of all tokens`], bar);
  });
  chart.addEventListener("pointerleave", () => context.say(null));
  element.append(title, chart);
  // Linked hover: the letter of the token that the pointer is on, wherever that is on the card.
  return context.onToken((token) => {
    const text = token === null ? "" : context.tokenText(token.id).trim().toUpperCase();
    const place = token === null ? -1 : Math.max(letters.indexOf(text[0] ?? ""), -1);
    const chosen = token === null ? -1 : place < 0 ? letters.length - 1 : place;
    chart.querySelectorAll(".letter").forEach((bar, i) => bar.classList.toggle("on", i === chosen));
  });
}

function node(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function percent(share) {
  return `${(100 * share).toPrecision(3)}%`;
}

function spoken(letters, fires) {
  const order = fires.map((share, i) => [share, letters[i]]).sort((a, b) => b[0] - a[0]);
  return order
    .slice(0, 3)
    .map(([share, letter]) => `${letter} ${percent(share)}`)
    .join(", ");
}
