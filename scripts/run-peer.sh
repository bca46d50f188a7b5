#!/bin/sh
# Runs a program of a layer that install-peers.sh has made: run-peer.sh LAYER OVERRIDES PROGRAM ARGUMENTS…
# It becomes the program, in a mount namespace of its own where the layer lies over /usr, /etc and /var. The layers are read only, so that several can use
# them at once; what is written to /etc and /var goes to a tmpfs and is gone with the namespace. The files of the folder OVERRIDES (- for none) are put into
# /etc first, such as resolv.conf. install-peers.sh puts a copy beside the layers, as `run`.
set -eu
if [ "${POSTERN_IN_LAYER:-}" != "$$" ]; then
    # unshare becomes this script again, with the same process number.
    POSTERN_IN_LAYER=$$ exec unshare --mount sh "$0" "$@"
fi
unset POSTERN_IN_LAYER
layer=$1 overrides=$2
shift 2
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/upper/etc /run/upper/var /run/work/etc /run/work/var
mount -t overlay postern-usr -o "lowerdir=$layer/usr:/usr" /usr
for part in etc var; do
    mount -t overlay "postern-$part" -o "lowerdir=$layer/$part:/$part,upperdir=/run/upper/$part,workdir=/run/work/$part" "/$part"
done
if [ "$overrides" != - ]; then cp -r "$overrides/." /etc; fi
exec "$@"
