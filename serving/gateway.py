"""The one door: a small HTTP gateway before the engines, closed to whoever has no credential."""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from pydantic import BaseModel, ConfigDict, Field

from data.declared import read_declared
from data.feedback import OpenRecord
from data.workspace import UserError
from serving.audit import SEGMENT_BYTES, open_audit
from serving.bundle import Bundle
from serving.canary import Canary
from serving.credentials import Keyring, ensure_owner_key
from serving.door import Doors
from serving.engines import runs_on_gpu
from serving.findings import read_policy
from serving.guard import Checks, Guards
from serving.launch import Placements, Role, roles_of
from serving.limits import Limits
from serving.live import served_bundle
from serving.metrics import Metrics
from serving.placement import Placement
from serving.pool import EnginePool
from serving.ports import require_free
from serving.revealing import Reveals
from serving.routes import build_app
from serving.swap import follow_live, start_door
from serving.tokens import Issuer, TokenCheck, keep_fresh
from serving.tool_matrix import read_matrix
from serving.traces import start_tracing, stop_tracing


class Settings(BaseModel):
    """What a gateway's file may say; everything has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    limits: Limits = Limits()
    issuers: tuple[Issuer, ...] = Field(default=(), description="whose tokens count, beside our own keys")
    engines: dict[Role, Placement] = Field(default={}, description="on which GPUs each runs, with how much")
    canary: Canary | None = Field(default=None, description="what becomes live is tried first; default: not")
    policy: Path | None = Field(default=None, description="what labels ask for; serving/policy.yaml")
    tools: Path | None = Field(default=None, description="who may call which tool; serving/tools.yaml")
    reveal: Reveals | None = Field(default=None, description="absent: no pseudonym is undone here")
    traces: float = Field(default=0.0, ge=0, le=1, description="share of requests traced into MLflow")
    audit_segment_bytes: int = Field(
        default=SEGMENT_BYTES, ge=100_000, description="a start reads one segment of the audit log"
    )
    tls_certificate: Path | None = None
    tls_key: Path | None = None


def read_settings(path: str | Path) -> Settings:
    """Return the settings of a file, or the defaults without one.

    Raises:
        UserError: it cannot be read, or says something that no gateway knows.
    """
    if not path:
        return Settings()
    settings = read_declared(
        path, Settings, what="the gateway's settings", way_out="docs/gateway.md has an example"
    )
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise UserError(f"the gateway's settings {path}: tls_certificate and tls_key belong together")
    return settings


def tell_of_unused(placements: Placements, engine: str) -> None:
    """Say so where the settings place engines on GPUs and none of them uses one.

    Raises:
        UserError: an unknown engine, or vLLM where it cannot run.
    """
    if placements and not runs_on_gpu(engine):
        named = ", ".join(placements)
        words = f"the settings' engines ({named}) are for vLLM on GPUs, and count for nothing here"
        print(f"mailroom: {words}", file=sys.stderr, flush=True)


def _read_labels(labels: OpenRecord) -> None:
    """Check what reviewers said before the first of them says more; damage is told, and told to them, too."""
    try:
        labels.history()
    except (UserError, OSError) as error:
        print(f"mailroom: no label is taken: {error}", file=sys.stderr, flush=True)


def drain_s(limits: Limits) -> int:
    """Return how long a gateway that ends waits for those inside: a second more than a request may take."""
    return math.ceil(limits.seconds) + 1


def serve(
    *,
    bundle: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    engine: str = "auto",
    settings: Settings | None = None,
    lazy: bool = False,
) -> None:
    """Start the engines and answer requests until Ctrl-C or SIGTERM, then stop the engines cleanly.

    With ``lazy`` each engine starts when a request first needs it.
    Without ``bundle`` the live one is served, and whatever becomes live afterwards takes its place.

    Raises:
        UserError: nothing is live, the bundle was changed or did not go live by a decision, the port
            is in use, another gateway serves this workspace, or no engine runs here.
        RuntimeError: an engine died while starting.
    """
    import uvicorn

    from serving.connections import Connection

    chosen, metrics, doors, stop = settings or Settings(), Metrics(), Doors(), threading.Event()
    policy, tools = read_policy(chosen.policy or ""), read_matrix(chosen.tools or "")
    served = served_bundle(bundle)
    require_free(host, port)
    tell_of_unused(chosen.engines, engine)
    pool = EnginePool(engine, metrics, stop=stop, placements=chosen.engines)
    key_file = ensure_owner_key()
    tokens = [TokenCheck(issuer) for issuer in chosen.issuers]
    checks: list[Checks] = [Keyring(), *tokens]
    with _leave_on_sigterm(), ExitStack() as stack:
        audit = stack.enter_context(open_audit(segment_bytes=chosen.audit_segment_bytes))
        start_tracing(chosen.traces)
        stack.callback(stop_tracing)
        stack.callback(doors.close)
        stack.callback(stop.set)
        asleep = roles_of(served.folder) if lazy else ()
        doors.open(*start_door(served, pool, metrics, asleep=asleep))
        for check in tokens:
            threading.Thread(target=keep_fresh, args=(check, stop), name="issuer", daemon=True).start()
        if bundle is None:
            follower = threading.Thread(
                target=follow_live,
                args=(doors, pool, metrics, audit),
                kwargs={"stop": stop, "canary": chosen.canary, "lazy": lazy},
                name="follow",
            )
            follower.start()
            stack.callback(follower.join)
            stack.callback(stop.set)
        encrypted = chosen.tls_key is not None
        guards = Guards(
            checks,
            audit,
            metrics,
            chosen.limits,
            policy,
            tools,
            reveals=chosen.reveal,
            encrypted=encrypted,
        )
        threading.Thread(target=_read_labels, args=(guards.labels,), name="labels", daemon=True).start()
        _announce(served, host, port, key_file, encrypted=guards.encrypted)
        server = uvicorn.Config(
            build_app(doors, guards),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            http=Connection,
            limit_concurrency=4 * chosen.limits.requests_at_once,
            timeout_graceful_shutdown=drain_s(chosen.limits),
            ssl_certfile=chosen.tls_certificate,
            ssl_keyfile=chosen.tls_key,
        )
        uvicorn.Server(server).run()


def _announce(bundle: Bundle, host: str, port: int, key_file: Path, *, encrypted: bool) -> None:
    scheme = "https" if encrypted else "http"
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"bundle {bundle.digest[:12]} of release {bundle.release_id} is served")
    if not encrypted and host not in ("127.0.0.1", "::1", "localhost"):
        print("mailroom: keys and mail cross the network in the clear: set tls_certificate and tls_key")
    print(f"listening on {address}; the owner's key is in {key_file}; others: mailroom key add")
    print(
        f'try: curl -s {address}/v1/ask -H "Authorization: Bearer $(cat {key_file})" '
        '-H "Content-Type: application/json" -d \'{"question": "What was agreed?"}\''
    )
    sys.stdout.flush()


@contextmanager
def _leave_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an orderly exit, so that the engines are stopped at any moment of the start."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(0) from None
    finally:
        signal.signal(signal.SIGTERM, before)
