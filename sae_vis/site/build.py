"""Building a site: a folder with the explorer of an index, which any file host can serve."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from sae_vis.api.asked import hooks_of, require_parts
from sae_vis.api.index import Index
from sae_vis.api.options import require_page_address
from sae_vis.checks import a_text, feature_ids, whole_number
from sae_vis.contract import SitePage
from sae_vis.deliver.explorer_page import PARTS_AT, explorer_page
from sae_vis.deliver.output import write_whole
from sae_vis.errors import InputError
from sae_vis.index.build import Progress
from sae_vis.layout import CustomComponent, SaeVisLayoutConfig
from sae_vis.parts import ModelAndSae
from sae_vis.server.served import Desk, Served
from sae_vis.site.files import Files

MARK = ".sae_vis-site"
"""The file that tells a site's folder from others: nothing else is ever written into or deleted from."""
DATA, INDEX_PAGE = "data", "index.html"
BATCH = 8  # files that a process is given at a time
Parts = ModelAndSae | Callable[[], ModelAndSae] | None


@dataclass(frozen=True, kw_only=True)
class SiteSettings:
    """What a site says of itself, and how it is built.

    Attributes:
        title: of the explorer; None: made from the hook point.
        base: path under which it is served, such as ``/my-sae/``, where a host leaves out the slash at its end; None:
            wherever it lies.
        pages: further pages that lie in the folder or elsewhere, as ``{title: address}``, shown as links.
        workers: processes; None: one for each core.
        effects: whether to compute direct effects of examples that the index does not keep yet; needs ``parts``.

    Raises:
        InputError: a base without slashes at both ends, an address that can't be that of a page.
    """

    title: str | None = None
    base: str | None = None
    pages: tuple[tuple[str, str], ...] = ()
    workers: int | None = None
    effects: bool = True

    def __post_init__(self) -> None:
        """Addresses must be those of pages, numbers numbers."""
        if self.title is not None:
            object.__setattr__(self, "title", a_text(self.title, "title"))
        if self.base is not None and not (self.base.startswith("/") and self.base.endswith("/")):
            raise InputError(f"base is {self.base!r}, expected a path with a slash at both ends, such as '/my-sae/'")
        if self.workers is not None:
            object.__setattr__(self, "workers", whole_number(self.workers, "workers", 1))
        for _, address in self.pages:
            require_page_address("an address of pages", address)


@dataclass(frozen=True, kw_only=True)
class SiteReport:
    """What was written.

    Attributes:
        folder: of the site.
        files: how many there are.
        made: how many of them were made now; the others were there from a build before.
        n_bytes: of all files.
    """

    folder: Path
    files: int
    made: int
    n_bytes: int


def save_site(
    index: str | Path,
    folder: str | Path,
    *,
    features: Sequence[int] | None = None,
    parts: Parts = None,
    layout: SaeVisLayoutConfig | None = None,
    settings: SiteSettings | None = None,
    progress: Progress | None = None,
) -> SiteReport:
    """Write the explorer of an index as a folder of files: table, search and the cards of all features.

    It needs no server of its own: any host of files will do, also one that knows nothing of ranges. A build that was
    ended goes on when the same call is made again, and only what changed is made anew.

    Args:
        index: directory or address of the index.
        folder: to write into: one that is not there yet, empty, or that of a site before.
        features: that the site holds; None: all. What fires where, and a card's neighbours, are still those among all.
        parts: model and dictionary of the index, or a function that loads them, which several processes can call; with
            them tokens have logit effects, and features their decoder neighbours.
        layout: of the cards; None: the default.
        settings: title, path, links, processes.
        progress: called with stage, done, total.

    Returns:
        What the site holds, and how much of it was made now.

    Raises:
        InputError: a folder that holds something else, or can't be written to; no such feature.
        ForeignIndexError: ``parts`` are not those of the index.
    """
    settings, folder = settings or SiteSettings(), Path(folder)
    chosen = None if features is None else sorted(feature_ids(features))
    served = _served(index, parts, layout)
    desk = Desk(served)
    for feature in chosen or ():
        desk.index.require_feature(feature)
    _claim(folder)
    files = Files(desk, chosen)
    computes = settings.effects and served.parts is not None
    some = "" if chosen is None else "-" + hashlib.sha256(repr(chosen).encode()).hexdigest()[:10]
    data = folder / DATA / (desk.identity + some + ("-effects" if computes else ""))
    data.mkdir(parents=True, exist_ok=True)
    names = files.names()
    missing = [name for name in names if not (data / name).exists()]
    if computes:
        cards = [name for name in missing if name.startswith("cards/")]
        files.compute_effects(cards, lambda done: None if progress is None else progress("effects", done, len(cards)))
    makers = _Makers(index=index, chosen=chosen, parts=parts, layout=layout, workers=settings.workers)
    for done, _ in enumerate(_made(missing, data, files, makers), start=1):
        if progress is not None:
            progress("site", done, len(missing))
    title = settings.title or f"Features at {hooks_of(desk.index)}"
    pages = [SitePage(title=name, address=address) for name, address in settings.pages]
    write_whole(data / "head.bin", files.head(title, pages))
    _write_page(folder, desk, title, settings, f"{DATA}/{data.name}")
    _forget_others(folder / DATA, {data.name})
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return SiteReport(folder=folder, files=len(sizes), made=len(missing), n_bytes=sum(sizes))


def _claim(folder: Path) -> None:
    """Make the folder ours. Raises `InputError` where it holds anything else than a site."""
    try:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file, expected a folder to write the site into")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
            raise InputError(
                f"{folder} holds other files, which are left as they are: give a new folder, or an empty one"
            )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).touch()
        (folder / ".nojekyll").touch()  # GitHub Pages then serves the files as they are
    except OSError as error:
        raise InputError(f"can't write into {folder}: {error.strerror or error}; choose another folder") from error


def _served(index: str | Path, parts: Parts, layout: SaeVisLayoutConfig | None) -> Served:
    made = parts if parts is None or isinstance(parts, ModelAndSae) else parts()
    if made is not None:
        require_parts(Index.open(index), made)
    return Served(open=lambda: Index.open(index), title="", parts=made, layout=layout)


@dataclass(frozen=True, kw_only=True)
class _Makers:
    """What other processes make files from, and how many there are at most; None: one for each core."""

    index: str | Path
    chosen: Sequence[int] | None
    parts: Parts
    layout: SaeVisLayoutConfig | None
    workers: int | None


def _made(names: Sequence[str], data: Path, files: Files, makers: _Makers) -> Iterator[str]:
    """Make files, by several processes where that is worth it; gives the name of each that is there."""
    many, few = [name for name in names if _of_some(name)], [name for name in names if not _of_some(name)]
    workers = min(makers.workers or _cores(), max(len(many) // (2 * BATCH), 1))
    if workers == 1 or isinstance(makers.parts, ModelAndSae):
        for name in names:
            _write(files, data, name)
            yield name
        return
    batches = [many[first : first + BATCH] for first in range(0, len(many), BATCH)]
    start = (makers.index, makers.chosen, makers.parts, None if makers.layout is None else makers.layout.to_json())
    with ProcessPoolExecutor(workers, get_context("spawn"), _open_in_worker, start) as pool:
        with nullcontext() if _of_script(makers.parts) else _script_left_alone():
            waiting = [pool.submit(_write_in_worker, batch, data) for batch in batches]
        for name in few:
            _write(files, data, name)
            yield name
        try:
            for future in as_completed(waiting):
                yield from future.result()
        except BrokenProcessPool as error:
            raise InputError(
                "a process that makes cards ended; what it said is above. Where it ran out of memory, or can't import "
                "the function that loads model and dictionary, give SiteSettings(workers=1)"
            ) from error


def _of_script(parts: Parts) -> bool:
    """Whether model and dictionary are loaded by a function of the user's script, which processes must then run."""
    return getattr(getattr(parts, "func", parts), "__module__", None) == "__main__"


@contextmanager
def _script_left_alone() -> Iterator[None]:
    """Processes that start meanwhile don't run the user's script again: its calls may stand outside any function.

    A process that is spawned finds the script by these attributes of its main module.
    """
    main = sys.modules["__main__"]
    kept = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    for name in kept:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def _of_some(name: str) -> bool:
    """Whether a file is of a few features. The others are made from all of them, which one process is to read once."""
    return name.startswith(("cards/", "rows/"))


_of_worker: list[Files] = []
"""What a process makes files from."""


def _open_in_worker(index: str | Path, chosen: Sequence[int] | None, parts: Parts, layout: str | None) -> None:
    import torch

    torch.set_num_threads(1)
    given = None if layout is None else SaeVisLayoutConfig.from_json(layout)
    _of_worker[:] = [Files(Desk(_served(index, parts, given)), chosen)]


def _write_in_worker(names: Sequence[str], data: Path) -> list[str]:
    for name in names:
        _write(_of_worker[0], data, name)
    return list(names)


def _write(files: Files, data: Path, name: str) -> None:
    (data / name).parent.mkdir(parents=True, exist_ok=True)
    write_whole(data / name, files.make(name))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_page(folder: Path, desk: Desk, title: str, settings: SiteSettings, at: str) -> None:
    own = [c.module(desk.index) for c in desk.layout.components if isinstance(c, CustomComponent)]
    page = explorer_page(f"{title} — sae_vis", own, data=at, base=settings.base, folder=folder.name)
    parts = folder / PARTS_AT
    parts.mkdir(exist_ok=True)
    for name, text in page.parts.items():
        write_whole(parts / name, text.encode())
    write_whole(folder / INDEX_PAGE, page.text.encode())
    _forget_others(parts, page.parts)


def _forget_others(folder: Path, names: Container[str]) -> None:
    """Delete what builds before wrote and no page names any more."""
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
