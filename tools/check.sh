#!/usr/bin/env bash
# All checks that need no running code. Runs every one of them, then says which failed.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=()

check() {
    local name=$1
    shift
    printf -- '-- %s\n' "$name"
    "$@" || failed+=("$name")
}

# the worst exposure level that a unit of ours may have, in tenths, as systemd-analyze security rates it
exposure_max=20

unit_of() {
    # verify looks for the program, which is not installed where the sources are checked
    sed -E 's|^(ExecStart=)/usr/bin/[^ ]+|\1/bin/true|' "$1" >"$2/$(basename "$1")"
}

units() {
    local folder unit result=0
    folder=$(mktemp -d)
    for unit in systemd/*.service; do
        unit_of "$unit" "$folder"
        systemd-analyze verify "$folder/$(basename "$unit")" || result=1
        systemd-analyze security --no-pager --offline=true --threshold="$exposure_max" \
            "$folder/$(basename "$unit")" | tail -n 1 || result=1
    done
    rm -rf "$folder"
    return "$result"
}

check "ruff" .venv/bin/ruff check .
check "mypy --strict" .venv/bin/mypy --strict
check "floors" .venv/bin/lint-imports
check "lock file" tools/uv.sh lock --check --python "$(tools/uv.sh --which-python)"
if command -v systemd-analyze >/dev/null; then check "systemd units" units; else echo "-- systemd units: skipped"; fi
if command -v shellcheck >/dev/null; then
    check "shellcheck" shellcheck tools/*.sh .ci/run
else
    echo "-- shellcheck: skipped, not installed"
fi

if [ "${#failed[@]}" -gt 0 ]; then
    printf 'check: FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "check: all passed"
