"""The files of `examples/cluster/`: they parse, run as far as one machine goes, and every flag that they use exists."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

import sae_vis
from sae_vis.cli import app
from sae_vis.demo import run as demo
from sae_vis.index.objects import PROTOCOLS
from sae_vis.index.remote import protocol_of

CLUSTER = Path(__file__).parents[1] / "examples" / "cluster"
SLURM, RAY_JOB = CLUSTER / "slurm.sh", CLUSTER / "rayjob.yaml"


def flags_of(words: list[str]) -> dict[str, str]:
    """Flags of a `sae-vis index …`, all of which exist, with their values."""
    assert words[:2] == ["sae-vis", "index"]
    command = typer.main.get_command(app).commands["index"]  # type: ignore[attr-defined]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    names, values = words[2::2], words[3::2]
    assert len(names) == len(values)
    assert set(names) <= known, set(names) - known
    required = {parameter.opts[0] for parameter in command.params if parameter.required}
    assert required <= set(names)
    with command.make_context("index", list(words[2:])):  # values are of the right types
        return dict(zip(names, values, strict=True))


def submitted(tmp_path: Path, **environment: str) -> list[str]:
    """What a task of the Slurm script has srun do; srun here writes it down."""
    told, fake = tmp_path / "told", tmp_path / "bin" / "srun"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text(f'#!/bin/bash\nprintf "%s\\n" "$OMP_NUM_THREADS" "$@" > {shlex.quote(str(told))}\n')
    fake.chmod(0o755)
    path = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    subprocess.run([SLURM], check=True, env={**kept, "PATH": path, **environment}, cwd=tmp_path)
    return told.read_text(encoding="utf-8").splitlines()


def test_the_slurm_script_gives_each_task_its_rank(tmp_path):
    subprocess.run(["bash", "-n", SLURM], check=True)
    array = {"SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_CPUS_PER_TASK": "8"}
    ranks = []
    for task in range(3, 7):
        threads, *words = submitted(tmp_path, SLURM_ARRAY_TASK_ID=str(task), **array)
        assert threads == "8"
        flags = flags_of(words)
        ranks.append(int(flags["--rank"]))
        assert flags["--world"] == "4"
        assert flags["--out"] == f"{tmp_path}/my-index"
        assert flags["--device"] == "cuda"
        assert float(flags["--stall"]) > 0
    assert ranks == [0, 1, 2, 3]


def test_the_slurm_script_takes_what_is_given(tmp_path):
    array = {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "1", "SLURM_ARRAY_TASK_ID": "0"}
    given = {"MODEL": "a model", "SAE": "an sae", "DATASET": "some text", "TOKENS": "1000", "OUT": "else where"}
    flags = flags_of(submitted(tmp_path, **array, **given, DEVICE="cpu")[1:])
    names = ("--model", "--sae", "--dataset", "--tokens", "--out")
    assert [flags[name] for name in names] == list(given.values())
    assert flags["--device"] == "cpu"


def test_a_slurm_task_outside_of_an_array_says_so(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        submitted(tmp_path)


@pytest.mark.slow
def test_two_slurm_tasks_build_one_index(tmp_path):
    """The script as it is, with a srun that runs the command here."""
    text, out, fake = tmp_path / "text.txt", tmp_path / "index", tmp_path / "bin" / "srun"
    text.write_text("\n".join(demo.demo_texts())[:6000], encoding="utf-8")
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/bash\n[[ $1 == sae-vis ]] && exec {shlex.quote(sys.executable)} -m sae_vis.cli "${{@:2}}"\n'
    )
    fake.chmod(0o755)
    given = {"MODEL": demo.assets() / "model", "SAE": demo.assets() / "sae-resid", "TEXT": text, "OUT": out}
    given |= {"DEVICE": "cpu", "SEQ_LEN": "64", "SLURM_CPUS_PER_TASK": "1"}
    given |= {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "2"}
    kept = {**os.environ, "PATH": f"{fake.parent}{os.pathsep}{os.environ['PATH']}"}
    environment = {**kept, **{name: str(value) for name, value in given.items()}}
    tasks = [
        subprocess.Popen([SLURM], env={**environment, "SLURM_ARRAY_TASK_ID": str(rank)}, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    told = [task.communicate(timeout=300)[1].decode() for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], told
    tokenizer = sae_vis.load_tokenizer(given["MODEL"])
    corpus = sae_vis.Corpus.from_texts([text.read_text(encoding="utf-8")], tokenizer, seq_len=64)
    expected = sae_vis.index_features(corpus, demo.demo_parts(demo.RESID))
    assert sae_vis.Index.open(out).column("n_firings").tolist() == expected.column("n_firings").tolist()


def ray_job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(RAY_JOB.read_text(encoding="utf-8"))
    return found


def test_the_ray_job_runs_a_command_that_exists():
    job = ray_job()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    flags = flags_of(shlex.split(job["spec"]["entrypoint"]))
    assert flags["--ray"] == "auto"
    assert protocol_of(flags["--out"]) in PROTOCOLS


def test_all_pods_of_the_ray_job_have_the_keys_of_the_bucket_and_are_alike():
    cluster = ray_job()["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [group["template"]["spec"]["containers"][0] for group in groups]
    for container in containers:
        assert container["envFrom"] == [{"secretRef": {"name": "sae-vis-bucket"}}]
        assert container["resources"] == containers[0]["resources"]
        assert container["image"] == containers[0]["image"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        assert set(group) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
