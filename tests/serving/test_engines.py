"""Engines really start, agree with transformers, answer, and leave nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from made_decisions import decide

from data.workspace import UserError, home
from serving.bundle import Bundle, read_bundle, verify_bundle
from serving.client import engine_client
from serving.deploy import deploy_bundle
from serving.engines import LONGEST_FOLDER, _temporary_in, choose_engine, engines
from serving.generator import generator_path
from serving.launch import vllm_device
from serving.live import live_bundle
from serving.parity import Parity, read_probes, reference_probabilities
from serving.processes import ServerProcess, start_process, stop_processes
from serving.request_id import on_behalf_of


def group_of(servers: tuple[ServerProcess, ...]) -> list[int]:
    """Return the processes of the servers' groups that still run; needs /proc.

    A killed orphan stays a zombie where nobody reaps, as in a container without an init process.
    """
    leaders = {server.process.pid for server in servers}
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.getpgid(int(entry.name)) in leaders:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                found += [int(entry.name)] if state != "Z" else []
        except (ProcessLookupError, FileNotFoundError):
            continue
    return found


def wait_until(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < until, "it did not happen within a minute"
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_an_unknown_engine_is_refused_with_the_choices():
    with pytest.raises(UserError, match="auto, vllm, transformers"):
        choose_engine("onnx")


def test_engines_that_disagree_are_refused_with_every_figure():
    apart = Parity(64, 0.02, 0.98, 1e-6, 1.0, passed=False)

    with pytest.raises(RuntimeError, match=r"2\.0e-02, labels 98%.*does not go live"):
        apart.require()


def test_an_ended_process_is_noticed_and_its_last_telling_line_found(tmp_path: Path):
    log = tmp_path / "log"
    script = "print('loading'); raise SystemExit('OSError: no space left')"
    process = start_process(
        [sys.executable, "-c", script], environment=dict(os.environ), stdout=log, stderr=log
    )
    server = ServerProcess(process, ("classifier",), {"classifier": log})
    process.wait()

    assert server.dead_roles() == ("classifier",)
    assert server.last_words("classifier") == "OSError: no space left"


def test_a_process_that_ignores_sigterm_is_ended_with_its_children(tmp_path: Path):
    log = tmp_path / "log"
    script = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print('up', flush=True);"
        "time.sleep(60)"
    )
    process = start_process(
        [sys.executable, "-c", script], environment=dict(os.environ), stdout=log, stderr=log
    )
    server = ServerProcess(process, ("classifier",), {"classifier": log})
    while "up" not in log.read_text():
        time.sleep(0.05)

    stop_processes([server], patience_s=0.2)

    deadline = time.monotonic() + 5  # the kernel ends them when it comes to it
    while group_of((server,)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert group_of((server,)) == []


def test_two_streams_share_a_log_and_go_on_at_its_start_when_it_is_cut(tmp_path: Path):
    log = tmp_path / "log"
    script = (
        "import sys; sys.stderr.write('a long first line\\n'); print('second', flush=True);"
        "sys.stdin.read(); "
        "import os, time;\nwhile os.path.getsize(sys.argv[1]): time.sleep(0.01)\n"
        "print('third', flush=True)"
    )
    process = start_process(
        [sys.executable, "-c", script, str(log)], environment=dict(os.environ), stdout=log, stderr=log
    )
    wait_until(lambda: log.exists() and log.read_text() == "a long first line\nsecond\n")

    os.truncate(log, 0)  # as logrotate does with copytruncate
    process.wait()

    assert log.read_text() == "third\n"


FORK_SERVER = """
import os, signal, time
from serving.processes import end_forks_with_parent, end_with_parent
end_forks_with_parent()
if os.fork() == 0:  # the server of one model
    end_with_parent()
    if os.fork() == 0:  # the process that holds the model, deaf to SIGTERM
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(os.getppid(), os.getpid(), flush=True)
    time.sleep(60)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends a child with its parent")
def test_a_killed_server_leaves_no_process_with_its_model(tmp_path: Path):
    log = tmp_path / "log"
    process = start_process(
        [sys.executable, "-c", FORK_SERVER], environment=dict(os.environ), stdout=log, stderr=log
    )
    server = ServerProcess(process, ("classifier",), {"classifier": log})
    try:
        while not log.read_text().endswith("\n"):
            time.sleep(0.02)
        killed, holder = map(int, log.read_text().split())
        os.kill(killed, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while holder in group_of((server,)) and time.monotonic() < deadline:
            time.sleep(0.02)

        assert group_of((server,)) == [process.pid]  # the one that serves the other models goes on
    finally:
        stop_processes([server], patience_s=0.2)


GATEWAY = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from serving import engines
from serving.launch import EngineModel
engines.vllm_device = lambda: "cuda"
model = EngineModel("embedder", Path(sys.argv[1]), "BertModel", 256)
servers, logs = [], ExitStack()
engines._start("vllm", [model], Path(sys.argv[1]), servers, {}, logs=logs)
print(servers[0].process.pid, flush=True)
time.sleep(100)
"""
VLLM = """
import json, multiprocessing, os, signal, sys, time

def hold(ready=None):
    if ready:
        ready.set()
    time.sleep(100)

if __name__ == "__main__":
    def leave(*_):
        spawned.terminate()
        sys.exit(0)
    signal.signal(signal.SIGTERM, leave)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    spawned = context.Process(target=hold, args=(ready,))
    spawned.start()
    ready.wait()
    if (forked := os.fork()) == 0:
        hold()
    print(json.dumps([sys.argv[1:], spawned.pid, forked]), flush=True)
    time.sleep(100)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends a child with its parent")
def test_a_killed_gateway_leaves_no_engine_on_a_gpu(tmp_path: Path, workspace: Path):
    module = tmp_path / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    for folder in [tmp_path / "vllm", *module.relative_to(tmp_path).parents][:-1]:
        (tmp_path / folder / "__init__.py").touch()
    module.write_text(VLLM)
    log = tmp_path / "log"
    gateway = start_process(
        [sys.executable, "-c", GATEWAY, str(tmp_path)],
        environment=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=log,
        stderr=log,
    )
    engine_log = workspace / "logs" / "embedder.log"
    wait_until(lambda: engine_log.exists() and engine_log.read_text().endswith("\n"))
    leader = int(log.read_text())
    arguments, *others = json.loads(engine_log.read_text())
    try:
        assert [True] * 3 == [is_running(process) for process in (leader, *others)]

        os.kill(gateway.pid, signal.SIGKILL)
        gateway.wait()

        assert ["--model", str(tmp_path)] == arguments[:2]
        wait_until(lambda: not any(is_running(process) for process in (leader, *others)))
    finally:
        for process in (leader, *others):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


LEAVES_A_CHILD = "import os, time; os.fork() == 0 and time.sleep(60)"


def test_what_an_ended_leader_leaves_is_killed_when_that_is_noticed(tmp_path: Path):
    log = tmp_path / "log"
    process = start_process(
        [sys.executable, "-c", LEAVES_A_CHILD], environment=dict(os.environ), stdout=log, stderr=log
    )
    server = ServerProcess(process, ("classifier",), {"classifier": log})
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert group_of((server,))

    assert server.dead_roles() == ("classifier",)

    wait_until(lambda: group_of((server,)) == [])


def test_a_group_whose_leader_ended_long_ago_may_be_anothers_and_is_left_alone(tmp_path: Path):
    log = tmp_path / "log"
    process = start_process(
        [sys.executable, "-c", LEAVES_A_CHILD], environment=dict(os.environ), stdout=log, stderr=log
    )
    process.wait()  # its number is free from now on; the child stands for who has it next
    server = ServerProcess(process, ("classifier",), {"classifier": log})

    try:
        assert server.dead_roles() == ("classifier",)
        stop_processes([server])

        assert len(group_of((server,))) == 1
    finally:
        os.killpg(process.pid, signal.SIGKILL)


def test_a_fork_server_tells_which_role_ended(tmp_path: Path):
    events = tmp_path / "events"
    events.write_text('{"event": "started", "role": "embedder", "number": 7}\n'
                      '{"event": "ended", "role": "embedder", "number": 1}\n{"event": "en')  # fmt: skip
    process = start_process(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        environment=dict(os.environ),
        stdout=tmp_path / "log",
        stderr=tmp_path / "log",
    )
    server = ServerProcess(process, ("classifier", "embedder"), {}, events)

    try:
        assert server.dead_roles() == ("embedder",)
    finally:
        stop_processes([server])


@pytest.mark.slow
def test_the_converted_generator_speaks_and_reads_as_before(small_bundle: Bundle):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = generator_path()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    turns = [{"role": "user", "content": "What is the capital of France?"}]
    encoded = tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )

    said = model.generate(**encoded, max_new_tokens=12, do_sample=False)[0][encoded["input_ids"].shape[1] :]

    assert "Paris" in tokenizer.decode(said)
    assert tokenizer.model_max_length == 2048
    sentence = "Wer hat den Handel genehmigt, and was it 4.5 % or [EMAIL_1f3a9c2b]?"
    assert tokenizer.decode(tokenizer(sentence)["input_ids"]) == sentence


@pytest.mark.slow
def test_a_bundle_goes_live_when_its_engines_agree(small_bundle: Bundle, small_dataset: Path, tmp_path: Path):
    shutil.copytree(small_bundle.folder, tmp_path / "bundle")
    decide("approved", "first", models=tmp_path / "bundle")
    stated = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(stated | {"release_id": "first"}))
    bundle = read_bundle(tmp_path / "bundle")

    deployment = deploy_bundle(bundle, small_dataset, engine="transformers")

    assert deployment.is_live
    assert deployment.parity.passed
    assert deployment.parity.label_agreement == 1.0
    assert deployment.parity.max_probability_difference <= 1e-3
    assert deployment.parity.max_cosine_distance <= 1e-4
    assert live_bundle().digest == bundle.digest
    assert verify_bundle(live_bundle().folder).files == bundle.files
    written = json.loads((bundle.folder / "deploy.json").read_text())
    assert written["seconds_to_ready"] == deployment.seconds_to_ready
    shown = json.loads(bundle.folder.with_name(f"{bundle.folder.name}.smoke.json").read_text())
    assert shown["answer"]["text"]
    assert shown["answer"]["text"] not in str(deployment) + json.dumps(written)


@pytest.mark.slow
def test_an_engine_that_dies_says_why_and_leaves_nothing(small_bundle: Bundle, tmp_path: Path):
    broken = tmp_path / "bundle"
    shutil.copytree(small_bundle.folder, broken)
    (broken / "classifier" / "model.safetensors").write_bytes(b"no tensors")

    with (
        pytest.raises(RuntimeError, match=r"classifier engine died while starting: .*Error"),
        engines(broken, "transformers", roles=("classifier",)),
    ):
        pass


def test_a_folder_too_long_for_a_socket_is_not_the_engines(tmp_path: Path):
    longest = Path("/" + "t" * (LONGEST_FOLDER - 1))

    assert {"TMPDIR": str(longest)} == _temporary_in(longest)
    assert {} == _temporary_in(Path(f"{longest}t"))
    with socket.socket(socket.AF_UNIX) as fits, pytest.raises(FileNotFoundError):
        fits.connect(f"{longest}/{uuid4()}")  # a path too long would be another error


@pytest.mark.slow
@pytest.mark.skipif(vllm_device() != "cpu", reason="needs vLLM's CPU build")
def test_vllm_classifies_as_transformers_does_and_leaves_nothing_behind(
    small_bundle: Bundle, small_dataset: Path, monkeypatch: pytest.MonkeyPatch
):
    texts = [probe.classifier_text for probe in read_probes(small_dataset)] + ["", "word " * 2000]
    bundle = read_bundle(small_bundle.folder)
    roles = ("classifier",)

    with tempfile.TemporaryDirectory() as temporary:  # pytest's own is too long for a socket
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        monkeypatch.setenv("TMPDIR", temporary)
        with (
            engines(bundle.folder, "vllm", roles=roles) as running,
            engine_client(running) as client,
            on_behalf_of(["0123456789ab"]),
        ):
            served = client.classify(texts)
        left = os.listdir(temporary)
    monkeypatch.undo()

    assert [] == left
    expected = reference_probabilities(bundle.folder / "classifier", [text or " " for text in texts])
    assert np.abs(expected - served).max() <= 1e-3
    assert (expected.argmax(axis=1) == served.argmax(axis=1)).all()
    assert group_of(running.servers) == []
    logged = (home() / "logs" / "classifier.log").read_text()
    assert "request 0123456789ab path /classify status 200 milliseconds" in logged
