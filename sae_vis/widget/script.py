"""The widget's script: packed, and in a model of its own, since a notebook may keep the state of all its models."""

from __future__ import annotations

import gzip
from functools import cache

from sae_vis.deliver.page import static_file

LOADER = """\
// Of sae_vis. The script itself is in the model that `_script` names; it is asked for where none is shared.
// It holds Preact (c) Jason Miller and fflate (c) Arjun Barrett, MIT licence, and modules of D3 (c) Mike Bostock, ISC
// licence; the licences' texts are in sae_vis/static/licences.md of the sae_vis package.
const NOTHING_COMES = 60_000;

// Each view runs a script of its own: what the pointer is on in one must not show up in another.
async function unpacked(packed) {
  const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = new Blob([await new Response(stream).arrayBuffer()], { type: "text/javascript" });
  const address = URL.createObjectURL(script);
  try {
    return await import(/* @vite-ignore */ address);
  } finally {
    URL.revokeObjectURL(address);
  }
}

async function shared(model) {
  try {
    const [, id] = /^IPY_MODEL_(.+)$/.exec(model.get("_script")) ?? [];
    return (await model.widget_manager.get_model(id)).get("packed");
  } catch {
    return undefined;
  }
}

function asked(model) {
  return new Promise((resolve, reject) => {
    const end = (then, value) => {
      clearTimeout(timer);
      model.off("msg:custom", hear);
      then(value);
    };
    const hear = (answer) => {
      if (answer.id === "script" && answer.block !== undefined) end(resolve, answer.block);
    };
    const silent = new Error("the explorer's script did not come from the kernel: run the cell again");
    const timer = setTimeout(() => end(reject, silent), NOTHING_COMES);
    model.on("msg:custom", hear);
    model.send({ id: "script", path: "script", body: null });
  });
}

export default {
  async render(context) {
    try {
      const packed = (await shared(context.model)) ?? (await asked(context.model));
      return (await unpacked(packed)).default.render(context);
    } catch (error) {
      context.el.textContent = error.message;
    }
  },
};
"""
"""An ES module with anywidget's ``render``."""


@cache
def packed_script() -> bytes:
    """The script, compressed."""
    return gzip.compress(static_file("widget.js").encode(), compresslevel=9, mtime=0)
