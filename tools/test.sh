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
# lab tests mostly wait for hosts: two workers, a file each at a time, halve the time on two cores
exec .venv/bin/python -m pytest -n 2 --dist loadfile "${selection[@]}" "$@"
