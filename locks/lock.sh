#!/usr/bin/env bash
# Resolve the locks from pyproject.toml: ./locks/lock.sh PYTHON. The reasons for every bound stand there.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/uv ] || { "$1" -m venv .venv && .venv/bin/python -m pip install --quiet -r locks/uv.txt; }
resolve() { .venv/bin/uv pip compile pyproject.toml --quiet --python-version 3.11 --no-emit-index-url --no-emit-find-links \
  --custom-compile-command "make lock" "$@"; }

cpu=(--torch-backend cpu)
compgen -G "${PIP_FIND_LINKS:-/nowhere}/torch-*cpu*.whl" >/dev/null && cpu=(--find-links "$PIP_FIND_LINKS")
resolve --extra cpu --extra dev "${cpu[@]}" --output-file locks/cpu.txt
sed -i 's/^torch==\(.*\)+cpu$/torch==\1/' locks/cpu.txt # the wheel's place decides which build it is
resolve --extra gpu --extra dev --output-file locks/gpu.txt
# JupyterLab alone, and what the benchmarks compare with, on top of what the other two lock
for extra in lab bench; do
  resolve --extra cpu --extra dev --extra "$extra" "${cpu[@]}" --constraint locks/cpu.txt --output-file "/tmp/mailroom-$extra.txt"
  grep -E '^[a-zA-Z0-9]' "/tmp/mailroom-$extra.txt" | grep -vxFf <(grep -E '^[a-zA-Z0-9]' locks/cpu.txt) | grep -v '^torch==' >"locks/$extra.txt"
  rm "/tmp/mailroom-$extra.txt"
done
