#!/usr/bin/env bash
# Create .venv with the locked set of one world: ./install.sh PYTHON cpu|gpu
#
# torch comes from one of three places: a CPU wheel in the folder that PIP_FIND_LINKS names,
# the PyTorch project's own CPU index, or (gpu) the package registry.
set -euo pipefail
cd "$(dirname "$0")"
python=$1 world=$2

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' ||
  { echo "Mailroom needs Python 3.11 to 3.13, not $("$python" --version 2>&1); name one: make PYTHON=python3.11 ..." >&2; exit 2; }
[ -x .venv/bin/python ] || "$python" -m venv .venv ||
  { echo "python cannot make a virtual environment; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 2; }
.venv/bin/python -m pip install --quiet --disable-pip-version-check -r locks/uv.txt

options=()
if [ "$world" = cpu ]; then
  if compgen -G "${PIP_FIND_LINKS:-/nowhere}/torch-*cpu*.whl" >/dev/null; then
    options+=(--find-links "$PIP_FIND_LINKS")
  else
    options+=(--torch-backend cpu)
  fi
fi
export UV_HTTP_TIMEOUT=300
[ -z "${PIP_CERT:-}" ] || export SSL_CERT_FILE="$PIP_CERT"
echo "Installing the locked $world set into .venv (about 6 GB; minutes the first time) ..." >&2
.venv/bin/uv pip install --python .venv/bin/python "${options[@]}" --compile-bytecode -r "locks/$world.txt"
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
