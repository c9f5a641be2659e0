#!/bin/bash
# host.sh NAME HOME: the first process of a lab host, in mount, uts, pid and network namespaces of its own.
# It reaps orphans (QEMU daemonises), starts libvirtd, again on SIGUSR1, and the agent, again on SIGUSR2.
set -e
name=$1 home=$2
hostname "$name"
mount --make-rprivate /
# a copy of another lab's namespace mount would keep that lab's network alive for as long as this host
umount -R /run/netns 2>/dev/null || true
own() { mount -t tmpfs "$name" "$1"; }
if mountpoint -q "$home/storage"; then
    # a disk of its own, which every start finds empty: it is diskless to everybody who looks from outside
    rm -rf "$home"/storage/*
    own() { mkdir -p "$home/storage$1"; mount --bind "$home/storage$1" "$1"; }
fi
for d in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do mkdir -p "$d"; own "$d"; done
for d in /run/libvirt /run/lock; do mkdir -p "$d"; mount -t tmpfs "$name" "$d"; done
mkdir -p /etc/libvirt/qemu /etc/libvirt/hooks /var/lib/libvirt/qemu /var/log/libvirt/qemu
cp -r "$home"/etc/. /etc/libvirt/
# what libvirtd learnt of QEMU on the first host: to ask again costs a second of CPU per host and power-on
if [ -d "$home/../qemu-cache" ]; then cp -rp "$home/../qemu-cache" /var/cache/libvirt/qemu; fi
mount --bind "$home/../etc-hosts" /etc/hosts
# an empty one: a look-up of the peer's name must end here, or it hangs the migration
if [ -e /etc/resolv.conf ]; then mount --bind "$home/../empty" /etc/resolv.conf; fi

start_libvirtd() {
    /usr/sbin/libvirtd --listen --pid-file /run/libvirt/libvirtd.pid </dev/null >>"$home/libvirtd.out" 2>&1 &
}
start_agent() {
    if [ -x "$home/agent.sh" ]; then
        "$home/agent.sh" </dev/null >>"$home/agent.log" 2>&1 &
        echo $! >"$home/agent.pid"
    fi
}
trap start_libvirtd USR1
trap start_agent USR2
start_libvirtd
start_agent
while :; do sleep 1000 & s=$!; wait $s || true; kill $s 2>/dev/null || true; done
