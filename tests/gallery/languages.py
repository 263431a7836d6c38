"""Texts that a page must not break: right to left, without spaces, with tabs and line ends, characters over tokens."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from sae_vis import contract as p
from sae_vis.layout import Column, LogitsTableConfig, SaeVisLayoutConfig, SeqMultiGroupConfig
from tests.fixtures.synthetic_page import page_of, single_context, view_of

WORD = re.compile(r"\s?\w+|\s|[^\w\s]")

TEXTS = (
    "في البدء كانت الكلمة، وكانت الكلمات كلها مكتوبة من اليمين إلى اليسار (12 مرة).",
    "בראשית הייתה המילה, והמילים נכתבו מימין לשמאל (12 פעם) בספר sae_vis.",
    "The word كلمة stands in an English sentence, and so does מילה here.",
    "特征的含义是什么？我们看它在哪些文本上激活。",
    "これは日本語の文章です。トークンの境界に空白はありません。",
    "한국어 문장은 띄어쓰기가 있지만 글자는 모아쓴다.",
    "def f(x):\n\tif x:\n\t\treturn x[0]  # tabs\r\n\treturn None",
    "naïve café, Здравствуйте, Ελληνικά, ไม่มีช่องว่าง",
)
SPLIT = (
    [
        *(b"A smile \xf0\x9f", b"\x99\x82", b", an astronaut \xf0\x9f\x91\xa9\xe2\x80", b"\x8d\xf0\x9f\x9a\x80"),
        *(b" and thumbs ", b"\xf0\x9f\x91\x8d", b"\xf0\x9f\x8f\xbd", b" up"),
    ],
    [
        *(b"caf\xc3", b"\xa9 and \xe6\x97", b"\xa5\xe6\x9c", b"\xac\xe8\xaa\x9e", b", flags ", b"\xf0\x9f\x87\xab"),
        *(b"\xf0\x9f\x87\xb7", b" side by side, bytes \xff", b"\xfe alone"),
    ],
    [
        *(b"</script>", b"<img src=x onerror=alert(1)>", b"&amp;", b" &lt;b&gt; ", "\u2028".encode()),
        *(b" a \xed\xa0\x80 b ", b"\x00", "\u202e".encode(), b"abc"),
    ],
)


def languages_page() -> p.FeaturePage:
    """One feature whose examples are these texts; in each, tokens at the middle fire."""
    rows = [[word.encode() for word in WORD.findall(text)] for text in TEXTS] + [list(row) for row in SPLIT]
    vocabulary = sorted({token for row in rows for token in row})
    ids = {token: number for number, token in enumerate(vocabulary)}
    flat = [ids[token] for row in rows for token in row]
    lengths = np.array([len(row) for row in rows])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    focus = (lengths // 2).astype(np.int32)
    acts = np.zeros(len(flat), dtype=np.float32)
    for row, first in enumerate(offsets[:-1]):
        strongest = 9 - 0.7 * row
        acts[first + focus[row] - 1 : first + focus[row] + 3] = [strongest * s for s in (0.3, 1, 0.6, 0.15)]
    contexts = dataclasses.replace(
        single_context(flat, acts),
        offsets=offsets,
        sequence=np.arange(len(rows), dtype=np.int32),
        start=np.zeros(len(rows), dtype=np.int32),
        focus=focus,
        repeats=np.zeros(len(rows), dtype=np.int32),
    )
    strong = np.unique(flat)[:: max(len(ids) // 16, 1)][:16].astype(np.int32)
    values = np.linspace(1.4, 0.2, 8, dtype=np.float32)
    table = p.LogitTable(top_tokens=strong[:8], top_values=values, bottom_tokens=strong[8:16], bottom_values=-values)
    view = dataclasses.replace(view_of(0, contexts), logits_table=table)
    layout = SaeVisLayoutConfig([Column(LogitsTableConfig(n_rows=8), width=420), Column(SeqMultiGroupConfig())])
    return page_of([view], dict(enumerate(vocabulary)), layout=layout)
