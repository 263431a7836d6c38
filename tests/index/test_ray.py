"""Workers of a Ray cluster leave what one process leaves: whoever dies, whatever is lost, whose cluster it is."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sae_vis.config import RayWorkers
from sae_vis.demo import run as demo
from sae_vis.errors import InputError, StalledBuildError
from sae_vis.index.build import build_indices
from tests.fixtures.object_shelf import BUCKET, bucket
from tests.index.workers import CONFIG, SlowModel, contents, orders_at

pytestmark = [
    pytest.mark.usefixtures("small_ranges"),
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore"),
]  # Ray leaves sockets and processes to the collector


@contextlib.contextmanager
def three_nodes() -> Iterator[Any]:
    """A cluster of three pretended machines, the first without cores for workers; gives the other two as well."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1, include_dashboard=False) for _ in range(2)]
    cluster.wait_for_nodes()
    try:
        yield cluster, nodes
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with three_nodes() as (made, _):
        yield made


@pytest.fixture
def disconnected() -> Iterator[None]:
    """Each build connects by itself."""
    import ray

    yield
    ray.shutdown()


def build(out: Path | str, address: str, model: SlowModel | None = None, progress=None, **options) -> None:
    workers = RayWorkers(address=address, **{"stall": 60.0, **options})
    build_indices(orders_at(out, model), config=replace(CONFIG, workers=workers), progress=progress)


def test_one_that_is_started_for_it_has_a_token_and_is_gone_afterwards(tmp_path: Path, whole):
    """In a process of its own, as a user has it."""
    script = f"""
import json, os, pathlib
from sae_vis.config import RayWorkers
from tests.fixtures.object_shelf import BUCKET, bucket
from tests.index.workers import built
import ray
ended = []
shutdown = ray.shutdown
def watched():
    from ray._raylet import AuthenticationMode, get_authentication_mode
    import ray._private.worker as worker
    node = worker._global_node
    ended.append([get_authentication_mode() == AuthenticationMode.TOKEN, node.address_info.get("webui_url") or ""])
    shutdown()
ray.shutdown = watched
built(pathlib.Path({str(tmp_path / "out")!r}), RayWorkers(workers=2))
print(json.dumps([ended[0], os.environ["RAY_USAGE_STATS_ENABLED"], len(os.environ["RAY_AUTH_TOKEN"])]))
assert not ray.is_initialized()
"""
    found = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=150)
    assert found.returncode == 0, found.stderr[-3000:]
    assert found.stdout.strip().splitlines()[-1] == '[[true, ""], "0", 64]'
    assert "Error" not in found.stderr
    assert contents(tmp_path / "out") == whole


def test_a_cluster_that_is_there_is_used_and_left_as_it_is(tmp_path: Path, whole, cluster, disconnected):
    import ray

    told: list[tuple[str, int, int]] = []
    build(tmp_path, cluster.address, progress=lambda *what: told.append(what))
    assert contents(tmp_path) == whole
    assert ray.is_initialized()
    assert told[-1][1] == told[-1][2]
    until = time.monotonic() + 60
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < until:
        time.sleep(0.2)
    assert ray.available_resources()["CPU"] == 2


def test_a_worker_killed_in_mid_shard_is_replaced(tmp_path: Path, whole, cluster, disconnected):
    death = tmp_path / "death"
    death.touch()
    build(tmp_path / "out", cluster.address, SlowModel(0.01, str(death)))
    assert not death.exists()
    assert contents(tmp_path / "out") == whole


def test_at_an_address_of_an_object_store_with_a_worker_killed(tmp_path: Path, whole, cluster, disconnected):
    """The machines see no folder in common."""
    death = tmp_path / "death"
    death.touch()
    build(bucket(tmp_path / "out"), cluster.address, SlowModel(0.01, str(death)))
    assert not death.exists()
    (tmp_path / "out" / BUCKET).unlink()
    assert contents(tmp_path / "out") == whole


def test_a_driver_killed_and_started_again_goes_on(tmp_path: Path, whole, cluster):
    out = tmp_path / "out"
    script = f"""
import pathlib
from sae_vis.config import RayWorkers
from tests.fixtures.object_shelf import BUCKET, bucket
from tests.index.workers import SlowModel, built
built(pathlib.Path({str(out)!r}), RayWorkers(address={cluster.address!r}), SlowModel(0.05))
"""
    first = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 100
    while not list(out.glob("*/build/shard-*")) and time.monotonic() < until:
        time.sleep(0.05)
    first.kill()
    first.wait()
    done = len(list(out.glob("*/build/shard-*")))
    assert done
    second = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=150)
    assert second.returncode == 0, second.stderr[-3000:]
    assert contents(out) == whole


def test_what_nobody_has_room_for_is_an_error_that_says_so(tmp_path: Path, cluster, disconnected):
    words = (
        r"no progress for 2 s in the step 'index': no worker is at work, .* units wait, 1 of 1 workers have not begun; "
        r"each asks for 8 CPU, the cluster has 2 CPU, of which 2 CPU are free\. What is done is kept"
    )
    with pytest.raises(StalledBuildError, match=words):
        build(tmp_path, cluster.address, cpus=8, stall=2.0)


def test_an_error_of_a_worker_is_the_error_of_the_build(tmp_path: Path, cluster, disconnected):
    model = SlowModel()
    model.table[7, 2] = float("nan")
    with pytest.raises(InputError, match="NaN or infinite at sequence"):
        build(tmp_path, cluster.address, model)


def test_what_can_not_be_sent_is_refused(tmp_path: Path, cluster, disconnected):
    model = SlowModel()
    model.handle = sys.stdout.buffer
    with pytest.raises(InputError, match=r"can't be sent to other processes .* or build in ranks"):
        build(tmp_path, cluster.address, model)


def test_the_command_builds_the_index_of_a_real_model(tmp_path: Path, cluster):
    """Model, dictionary, logit lens and token text are sent to the workers."""
    text = tmp_path / "text.txt"
    text.write_text("\n".join(demo.demo_texts())[:20_000], encoding="utf-8")
    made = []
    for name, more in (("alone", ()), ("ray", ("--ray", cluster.address))):
        parts = ("--model", demo.assets() / "model", "--sae", demo.assets() / "sae-mlp", "--text", text)
        words = [sys.executable, "-m", "sae_vis.cli", "index", *map(str, parts), "--out", str(tmp_path / name), *more]
        found = subprocess.run(words, check=False, capture_output=True, text=True, timeout=150)
        assert found.returncode == 0, found.stderr[-3000:]
        made.append((contents(tmp_path / name), found.stdout.replace(name, "index")))
    assert made[0] == made[1]


def test_a_node_lost_in_mid_build(tmp_path: Path, whole):
    import ray

    with three_nodes() as (cluster, nodes):
        lost = []

        def progress(stage: str, done: int, total: int) -> None:
            if stage == "index" and done and not lost:
                lost.append(nodes[0])
                cluster.remove_node(nodes[0], allow_graceful=False)

        build(tmp_path, cluster.address, SlowModel(0.05), progress)
        assert lost
        assert ray.is_initialized()
    assert contents(tmp_path) == whole


def test_there_is_no_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match=r"there is no Ray cluster at '127\.0\.0\.1:1'.*start one, or use 'auto'"):
        build(tmp_path / "a", "127.0.0.1:1")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:2")
    with pytest.raises(InputError, match=r"there is no Ray cluster at '127\.0\.0\.1:2'"):
        build(tmp_path / "b", "auto")
