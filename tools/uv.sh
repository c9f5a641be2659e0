#!/usr/bin/env bash
# Run uv: the one on the PATH where it works, else a private one in .uv, installed with pip on first use.
# It takes the interpreter it is told to and never downloads another.
set -euo pipefail
cd "$(dirname "$0")/.."
export UV_PYTHON_DOWNLOADS=never

python311() {
    local candidate
    for candidate in python3.11 /usr/bin/python3.11 python3 /usr/bin/python3; do
        # a pyenv shim exists even where its version does not: ask it
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import os, sys; print(os.path.realpath(sys.executable))'
            return
        fi
    done
    echo "no Python 3.11 found (looked for python3.11 and python3); on Debian 12: apt install python3 python3-venv" >&2
    return 1
}

if [ "${1-}" = --which-python ]; then
    python311
elif uv --version >/dev/null 2>&1; then
    exec uv "$@"
else
    if ! [ -x .uv/bin/uv ]; then
        echo "uv is not on the PATH: installing a private one in .uv" >&2
        "$(python311)" -m venv .uv
        .uv/bin/pip install --quiet --disable-pip-version-check uv >&2
    fi
    exec .uv/bin/uv "$@"
fi
