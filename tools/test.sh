#!/usr/bin/env bash
# Run the tests, arguments passed on to pytest. The lab tests move real VMs between real libvirtd hosts, which takes
# root and a few programs: where either is missing they are left out, loudly.
set -euo pipefail
cd "$(dirname "$0")/.."

why=""
[ "$(id -u)" -eq 0 ] || why="they need root: run 'sudo make test'"
PATH="$PATH:/usr/sbin:/sbin"
for program in libvirtd qemu-system-x86_64 ip mosquitto; do
    command -v "$program" >/dev/null || why="${why:+$why; }$program is not installed: run 'make setup'"
done

selection=()
if [ -n "$why" ]; then
    printf '%s\n' \
        '!! ------------------------------------------------------------------------------------------' \
        '!! THE LAB TESTS ARE LEFT OUT: no live migration is tried in this run.' \
        "!! $why" \
        '!! ------------------------------------------------------------------------------------------'
    selection=(-m "not lab")
fi
exec .venv/bin/python -m pytest "${selection[@]}" "$@"
