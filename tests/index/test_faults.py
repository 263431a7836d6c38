"""Kills, full disks, damage, wrong input: nothing lost, nothing written over, one clear line."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from sae_vis.config import IndexConfig
from sae_vis.corpus.mask import MaskConfig
from sae_vis.corpus.tokens import Corpus
from sae_vis.errors import BusyIndexError, DamagedIndexError, ForeignIndexError, IndexFileError, InputError
from sae_vis.index import lock, storage
from sae_vis.index.build import Source, build_index
from sae_vis.index.index import Index
from sae_vis.index.lock import LOCK, build_lock
from tests.index.test_build import same, some_corpus, source_of
from tests.whole_numbers import WholeModel, WholeSae

SMALL = IndexConfig(shard_tokens=40, part_firings=60, block_bytes=1 << 16)
KILLS = 100


def count_or_die(root: str, steps: int | None, delay: float) -> list[int]:
    """Count what this process does to files below ``root``; at step number ``steps``, kill it, ``delay`` seconds later.

    A delay lands in the middle of what follows: a half-written Parquet file, say. Without a delay the kill is certain
    to hit the build at work.
    """
    done = [0]

    def hook(event: str, args: tuple[object, ...]) -> None:
        if not (event == "open" or event.startswith("os.")) or not args or not str(args[0]).startswith(root):
            return
        done[0] += 1
        if done[0] - 1 == steps:
            if delay == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

    sys.addaudithook(hook)
    return done


def build_at(out: str, counted: Connection, steps: int | None, delay: float) -> None:
    """What the processes to be killed do."""
    torch.set_num_threads(1)
    done = count_or_die(out, steps, delay)
    build_index(source_of(some_corpus(60)), out, config=SMALL)
    counted.send(done[0])


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def build_elsewhere(out: Path, steps: int | None = None, delay: float = 0.0) -> int | None:
    """Build in a process of its own that dies ``delay`` seconds after its step ``steps``.

    Gives the number of its steps, or None where it was killed before it was done.
    """
    context = multiprocessing.get_context("forkserver")  # imports once; no thread runs where it forks
    context.set_forkserver_preload(["tests.index.test_faults"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=build_at, args=(str(out), there, steps, delay))
    process.start()
    process.join()
    there.close()
    return here.recv() if process.exitcode == 0 else None


def interrupted_build(out: Path, writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that is interrupted after so many writes to disk."""
    write, left = storage.DirectoryStore._write, [writes]

    def failing(self, *args):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return write(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(storage.DirectoryStore, "_write", failing)
        with pytest.raises(KeyboardInterrupt):
            build_index(source_of(some_corpus(60)), out, config=SMALL)


@pytest.mark.slow
def test_killed_a_hundred_times_then_resumed_equals_one_go(tmp_path: Path):
    one_go = build_index(source_of(some_corpus(60)), tmp_path / "whole", config=SMALL)
    steps = build_elsewhere(tmp_path / "counted")
    assert steps is not None
    assert steps > KILLS
    killed = 0
    dice = random.Random(0)
    for number in range(KILLS // 4):
        out = tmp_path / f"round-{number}"
        killed += build_elsewhere(out, dice.randrange(steps)) is None
        for _ in range(3):  # more kills of the same build, each further on, amid whatever it does then
            build_elsewhere(out, dice.randrange(steps // 3), dice.uniform(0, 0.005))
        resumed = build_index(source_of(some_corpus(60)), out, config=SMALL)
        assert same(one_go, resumed)
        assert snapshot(out) == snapshot(tmp_path / "whole")
    assert killed == KILLS // 4  # the first kill of each round waits for no clock


@pytest.mark.slow
def test_stopped_at_every_single_write_then_resumed_equals_one_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write, writes = storage.DirectoryStore._write, []
    with monkeypatch.context() as patch:
        patch.setattr(storage.DirectoryStore, "_write", lambda self, *a: (writes.append(a[0]), write(self, *a))[1])
        build_index(source_of(some_corpus(60)), tmp_path / "whole", config=SMALL)
    whole = snapshot(tmp_path / "whole")
    for stop in range(len(writes)):
        out = tmp_path / f"stop-{stop}"
        interrupted_build(out, stop, monkeypatch)
        with pytest.raises(DamagedIndexError, match=r"unfinished build|nothing|no index"):
            Index.open(out)
        build_index(source_of(some_corpus(60)), out, config=SMALL)
        assert snapshot(out) == whole


def test_what_a_kill_leaves_of_a_write_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build_index(source_of(some_corpus(60)), tmp_path / "whole", config=SMALL)
    whole = snapshot(tmp_path / "whole")
    for stop in range(6, 14):
        out = tmp_path / f"stop-{stop}"
        interrupted_build(out, stop, monkeypatch)
        for folder in (out, out / "build", out / "postings"):
            (folder / ".writing").mkdir(parents=True, exist_ok=True)
            (folder / ".writing" / ".tmpAbCdEf").write_bytes(b"half")
        build_index(source_of(some_corpus(60)), out, config=SMALL)
        assert {name for name in snapshot(out) if "postings" in str(name)} == {n for n in whole if "postings" in str(n)}
        assert Index.open(out).features.equals(Index.open(tmp_path / "whole").features)


def test_resuming_with_other_unit_sizes_is_still_the_same_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    interrupted_build(tmp_path / "a", 8, monkeypatch)
    resumed = build_index(
        source_of(some_corpus(60)), tmp_path / "a", config=IndexConfig(shard_tokens=100, batch_tokens=7)
    )
    assert same(resumed, build_index(source_of(some_corpus(60))))


def test_wrong_width_names_both(tmp_path: Path):
    model, sae = WholeModel(), WholeSae(d_in=5)
    source = Source(corpus=some_corpus(), model=model, sae=sae, hook=model.hook_point("here"))
    with pytest.raises(InputError, match=r"reads vectors of width 5.*at 'here' have width 6"):
        build_index(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_tokens_outside_the_vocabulary(tmp_path: Path):
    tokens = np.array([[1, 2, 3], [4, 99, 5]], dtype=np.int32)
    with pytest.raises(
        InputError, match=r"token id 99 \(sequence 1, position 1\) is outside the model's vocabulary of 12"
    ):
        build_index(source_of(Corpus.from_tokens(tokens)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_empty_corpus(shape: tuple[int, int]):
    with pytest.raises(InputError, match="corpus is empty"):
        Corpus.from_tokens(np.zeros(shape, dtype=np.int64))


def test_mask_that_leaves_nothing():
    with pytest.raises(InputError, match=r"mask leaves no token of 6 \(left out: ids 1; positions outside \[1:\]\)"):
        Corpus.from_tokens(np.ones((2, 3), dtype=np.int64), MaskConfig(ids=(1,), seqpos_slice=(1, None)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_activations_that_are_not_finite(tmp_path: Path, bad: float):
    source = source_of(Corpus.from_tokens(np.array([[1, 2], [3, 7]], dtype=np.int32)))
    source.model.table[7, 2] = bad
    with pytest.raises(InputError, match="NaN or infinite at sequence 1, position 1"):
        build_index(source, tmp_path / "out")


def test_index_of_another_sae_is_not_written_over(tmp_path: Path):
    build_index(source_of(some_corpus()), tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(ForeignIndexError, match="made from another model, SAE; nothing was written"):
        build_index(source_of(some_corpus(), seed=1), tmp_path)
    with pytest.raises(ForeignIndexError, match="another setting logit_tokens;"):
        build_index(source_of(some_corpus()), tmp_path, config=IndexConfig(logit_tokens=3))
    assert snapshot(tmp_path) == before


def test_unfinished_index_of_another_corpus_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    interrupted_build(tmp_path / "a", 8, monkeypatch)
    before = snapshot(tmp_path / "a")
    with pytest.raises(ForeignIndexError, match=r"unfinished\) holds an index made from another corpus"):
        build_index(source_of(some_corpus()), tmp_path / "a", config=SMALL)
    assert snapshot(tmp_path / "a") == before


def test_a_directory_with_other_files_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ForeignIndexError, match="is not a sae_vis index; nothing was written"):
        build_index(source_of(some_corpus()), tmp_path)
    assert snapshot(tmp_path) == {"thesis.tex": b"years of work"}


FILES = [
    "tokens.safetensors",
    "features.parquet",
    "postings/part-00001.parquet",
    "codes/part-00001.parquet",
    "lists/part-00000.parquet",
]


def everything(index: Index) -> list[bytes]:
    """What is in every part of every file."""
    parts = [index.tokens, *index.postings(range(index.n_features)), *index.codes(range(len(index.tokens)))]
    return [np.asarray(part).tobytes() for part in parts] + [str(index.features.to_pydict()).encode()]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_file_cut_short_or_missing_is_named_on_opening(tmp_path: Path, name: str, damage: str):
    build_index(source_of(some_corpus()), tmp_path / "index", config=SMALL)
    path = tmp_path / "index" / name
    data = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(data[:-3])
    words = {"truncated": "has .* bytes, the manifest says", "missing": "is missing"}
    for verify in ("lazily", "sizes", "contents"):
        with pytest.raises(DamagedIndexError, match=f"{Path(name).name} {words[damage]}"):
            Index.open(tmp_path / "index", verify=verify)


@pytest.mark.parametrize("name", FILES)
def test_an_altered_byte_gives_no_wrong_number(tmp_path: Path, name: str):
    """Where no checksum covers it, in the header of a page, it changes nothing that is read."""
    build_index(source_of(some_corpus()), tmp_path / "index", config=SMALL)
    path, found = tmp_path / "index" / name, 0
    data, whole = path.read_bytes(), everything(Index.open(tmp_path / "index"))
    for at in sorted(random.Random(0).sample(range(4, len(data)), 40)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(DamagedIndexError, match="does not match its checksum"):
            Index.open(tmp_path / "index", verify="contents")
        try:
            assert everything(Index.open(tmp_path / "index")) == whole
        except DamagedIndexError as error:
            assert re.search(f"{Path(name).name} (does not match its checksum|can't be read)", str(error))  # noqa: PT017
            found += 1
    assert found >= 30


def test_a_shard_cut_short_while_building_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    interrupted_build(tmp_path / "a", 12, monkeypatch)
    shard = tmp_path / "a" / "build" / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(DamagedIndexError, match=r"shard-00000\.safetensors can't be read"):
        build_index(source_of(some_corpus(60)), tmp_path / "a", config=SMALL)


def test_nothing_there(tmp_path: Path):
    with pytest.raises(DamagedIndexError, match=r"has no manifest\.json: there is nothing"):
        Index.open(tmp_path / "nowhere")


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 2 MiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    made = shutil.which("mount") and os.geteuid() == 0
    if (
        not made
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)], check=False).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_full_disk_says_so_and_a_resumed_build_is_whole(small_disk: Path, tmp_path: Path):
    source = source_of(some_corpus(400))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(2_000_000))
    with pytest.raises(
        IndexFileError, match=r"could not write .*: No space left on device; what was finished before is kept"
    ):
        build_index(source, small_disk / "index", config=IndexConfig(shard_tokens=500))
    assert not list(small_disk.rglob("*.writing"))
    filler.unlink()
    resumed = build_index(source, small_disk / "index", config=IndexConfig(shard_tokens=500))
    assert same(resumed, build_index(source))
    assert same(resumed, Index.open(small_disk / "index"))


def test_tokens_of_the_wrong_kind():
    with pytest.raises(InputError, match=r"integer array \[n_seqs, seq_len\], found float32 with shape \(2, 3\)"):
        Corpus.from_tokens(torch.zeros(2, 3))
    with pytest.raises(InputError, match="must not be negative, found -100"):
        Corpus.from_tokens(torch.tensor([[1, -100]]))


def test_a_second_build_in_one_directory_is_refused(tmp_path: Path):
    source = source_of(some_corpus(60))
    refused = []

    def interfere(stage: str, done: int, total: int) -> None:
        if stage == "index" and done and not refused:
            with pytest.raises(BusyIndexError, match=rf"is being built by another process \(process {os.getpid()} on "):
                build_index(source_of(some_corpus(60)), tmp_path / "a", config=SMALL)
            refused.append(done)

    built = build_index(source, tmp_path / "a", config=SMALL, progress=interfere)
    assert refused
    assert same(built, build_index(source))
    assert not (tmp_path / "a" / LOCK).exists()
    assert same(built, build_index(source, tmp_path / "a", config=SMALL))


def hold_the_lock(root: str, ready: Connection) -> None:
    with build_lock(Path(root)):
        ready.send(True)
        time.sleep(600)


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path):
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=hold_the_lock, args=(str(tmp_path / "a"), there))
    process.start()
    assert here.recv()
    with pytest.raises(BusyIndexError, match=rf"process {process.pid} on "):
        build_index(source_of(some_corpus()), tmp_path / "a")
    process.kill()
    process.join()
    assert (tmp_path / "a" / LOCK).exists()
    build_index(source_of(some_corpus()), tmp_path / "a")
    assert not (tmp_path / "a" / LOCK).exists()


def test_the_lock_of_a_build_killed_after_its_last_step_is_cleared_away(tmp_path: Path):
    build_index(source_of(some_corpus()), tmp_path / "a")
    (tmp_path / "a" / LOCK).write_text("process 1 on another")
    build_index(source_of(some_corpus()), tmp_path / "a")
    assert not (tmp_path / "a" / LOCK).exists()


def test_a_lock_that_its_holder_took_away_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Between opening the file and locking it, the holder ends: the file locked is no longer the one of that name."""
    flock, calls = lock.fcntl.flock, []

    def slow(handle: int, how: int) -> None:
        calls.append(handle)
        if len(calls) == 1:
            (tmp_path / LOCK).unlink()
        flock(handle, how)

    monkeypatch.setattr(lock.fcntl, "flock", slow)
    with build_lock(tmp_path):
        assert len(calls) == 2
        with pytest.raises(BusyIndexError), build_lock(tmp_path):
            pass


def test_versions_are_told_and_no_part_of_the_identity(tmp_path: Path):
    source = source_of(some_corpus())
    built = build_index(source, tmp_path / "a")
    assert built.manifest.versions["torch"].split("+")[0] == torch.__version__.split("+")[0]
    path = tmp_path / "a" / "manifest.json"
    found = json.loads(path.read_text())
    del found["versions"]
    path.write_text(json.dumps(found))
    assert Index.open(tmp_path / "a").manifest.versions == {}
    assert same(built, build_index(source, tmp_path / "a"))


def test_every_file_is_as_readable_as_the_process_makes_files(tmp_path: Path):
    before = os.umask(0o027)
    try:
        build_index(source_of(some_corpus(20)), tmp_path / "index", config=SMALL)
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "index").rglob("*") if path.is_file()}
    assert "tokens.safetensors" in modes
    assert set(modes.values()) == {"0o640"}, modes
