"""The one door: a small HTTP gateway before the engines, closed to whoever has no key."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from serving.bundle import Bundle
from serving.client import engine_client, labels_of
from serving.engines import engines
from serving.index import open_index
from serving.live import served_bundle
from serving.ports import require_free
from serving.routes import Door, build_app, gateway_key, key_path

STOP_S = 10


def serve(
    *,
    bundle: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    engine: str = "auto",
) -> None:
    """Start the engines and answer requests until Ctrl-C or SIGTERM, then stop the engines cleanly.

    Raises:
        UserError: nothing is live, the bundle was changed or did not go live by a decision, the port
            is in use, or no engine runs here.
        RuntimeError: an engine died while starting.
    """
    import uvicorn

    chosen = served_bundle(bundle)
    require_free(host, port)
    with (
        _leave_on_sigterm(),
        engines(chosen.folder, engine) as running,
        engine_client(running) as client,
        open_index(chosen.folder / "index") as index,
    ):
        labels = labels_of(chosen.folder / "classifier")
        door = Door(bundle=chosen, client=client, index=index, labels=labels, key=gateway_key())
        _announce(chosen, f"{running.kind} engines ready in {running.seconds_to_ready:.0f} s", host, port)
        settings = uvicorn.Config(
            build_app(door), host=host, port=port, log_level="warning", timeout_graceful_shutdown=STOP_S
        )
        uvicorn.Server(settings).run()


def _announce(bundle: Bundle, ready: str, host: str, port: int) -> None:
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"bundle {bundle.digest[:12]} of release {bundle.release_id}; {ready}")
    print(f"listening on {address}; the key is in {key_path()}")
    print(
        f'try: curl -s {address}/v1/ask -H "Authorization: Bearer $(cat {key_path()})" '
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
