"""The widget's script as a notebook's front end loads it: packed, since a notebook may keep a copy of it."""

from __future__ import annotations

from functools import cache

from sae_vis.deliver.explorer_page import packed_text
from sae_vis.deliver.page import static_file

LOADER = """\
// Of sae_vis. The script holds Preact (c) Jason Miller and fflate (c) Arjun Barrett, MIT licence, and modules of D3
// (c) Mike Bostock, ISC licence; the licences' texts are in sae_vis/static/licences.md of the sae_vis package.
const packed = "{packed}";

// Each view runs a script of its own: what the pointer is on in one must not show up in another.
async function unpacked() {{
  const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = new Blob([await new Response(stream).arrayBuffer()], {{ type: "text/javascript" }});
  const address = URL.createObjectURL(script);
  try {{
    return await import(/* @vite-ignore */ address);
  }} finally {{
    URL.revokeObjectURL(address);
  }}
}}

export default {{
  async render(context) {{
    return (await unpacked()).default.render(context);
  }},
}};
"""


@cache
def widget_script() -> str:
    """An ES module with anywidget's ``render``."""
    return LOADER.format(packed=packed_text(static_file("widget.js")))
