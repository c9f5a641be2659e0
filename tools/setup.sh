#!/usr/bin/env bash
# Make this machine ready for tests and demo: system packages (Debian 12), then .venv exactly as locked.
# Idempotent. It stops and enables no service of the system; what apt starts by itself is pointed out.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients libvirt-dev pkg-config gcc python3-dev
    python3-venv qemu-system-x86 qemu-utils binutils iproute2 mosquitto mosquitto-clients ca-certificates
    e2fsprogs faketime
)

say() { printf 'setup: %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "this needs root, and there is no sudo. As root, run: $*" >&2
        return 1
    fi
}

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" != installed ]; then
            echo "$package"
        fi
    done
}

running() {
    local daemon
    for daemon in libvirtd virtqemud virtlogd mosquitto; do
        if pgrep -x "$daemon" >/dev/null 2>&1; then echo "$daemon"; fi
    done
}

install_packages() {
    local missing before started
    if ! command -v apt-get >/dev/null; then
        say "no apt-get here: install what corresponds to: ${packages[*]}" >&2
        return 0
    fi
    mapfile -t missing < <(missing_packages)
    if [ "${#missing[@]}" -eq 0 ]; then
        say "system packages: all ${#packages[@]} are installed"
        return 0
    fi
    say "system packages: installing with apt-get: ${missing[*]}"
    before=$(running)
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    started=$(comm -13 <(sort <<<"$before") <(running | sort) | tr '\n' ' ')
    if [ -n "${started// /}" ]; then
        say "note: apt has started as services of this system: $started"
        say "      tests and demo do not use them; stop or disable them if you do not want them"
    fi
}

install_venv() {
    local python
    python=$(tools/uv.sh --which-python)
    say "python: $python ($("$python" -V))"
    say "venv: .venv, exactly as uv.lock says, with libvirt's binding"
    # compiled once here: daemons and agents that tests start by the dozen would each compile it all again
    tools/uv.sh sync --locked --extra libvirt --extra redfish --extra demo --python "$python" --compile-bytecode
    .venv/bin/python -m compileall -q daemon tests
    .venv/bin/python -c 'import ballastd, libvirt; print("setup: ready: ballastd", ballastd.__version__,
        "with libvirt binding", libvirt.getVersion())'
}

install_packages
install_venv
