#!/bin/sh
# ballastd-cordon-hook 1
# While the flag file stands, no guest starts, is restored or arrives on this host; guests may leave.
# libvirt calls this as: qemu OBJECT OPERATION SUBOPERATION EXTRA, with the guest's XML on standard input.
# It must not call libvirt. First line of the flag: seconds since the epoch until which it stands; empty: for good.

flag='/run/libvirt/cordon'

case "$2/$3" in
prepare/begin | migrate/begin | restore/begin) ;;
*) exit 0 ;;
esac

[ -e "$flag" ] || exit 0
expires=
IFS= read -r expires <"$flag" 2>/dev/null
case "$expires" in
'' | *[!0-9]*) ;;
*) [ "$(date +%s)" -gt "$expires" ] && exit 0 ;;
esac

echo "this host is cordoned (see $flag)" >&2
exit 1
