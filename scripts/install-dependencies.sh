#!/bin/bash
# Installs the Debian packages that Postern's build and its laboratory need, by name, and only those that are missing.
# A second run finds nothing to do and returns at once, without the network and without root.
set -euo pipefail

# What the build links against.
build_packages=(libunbound-dev libidn2-dev libsqlite3-dev libexpat1-dev zlib1g-dev libjemalloc-dev pkg-config)
# What the laboratory runs: name servers, a resolver, signing tools, the provider's MTA, and foreign clients.
lab_packages=(nsd unbound ldnsutils dnsutils postfix swaks libnet-ssleay-perl isync curl openssl python3 ca-certificates
    iproute2 nftables systemd libseccomp2 util-linux)
# What the tests of faults need: a compiler for the library of failing calls, file systems and namespaces, a packet filter.
fault_packages=(gcc libc6-dev e2fsprogs mount util-linux iproute2 nftables)
# What the benchmarks measure beside Postern.
bench_packages=(postfix dovecot-imapd openssl libssl-dev unbound python3)

case "${1:-all}" in
    all) wanted=("${build_packages[@]}" "${lab_packages[@]}" "${fault_packages[@]}") ;;
    build) wanted=("${build_packages[@]}") ;;
    bench) wanted=("${build_packages[@]}" "${bench_packages[@]}") ;;
    # The servers and clients of `make interop`, which aren't installed into the system itself.
    interop) exec "$(dirname "$0")/install-peers.sh" ;;
    *) echo "usage: $0 [all|build|bench|interop]" >&2; exit 64 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "install-dependencies: this system has no apt-get; please install the equivalents of: ${wanted[*]}" >&2
    exit 0
fi

# A virtual package (dnsutils) counts as installed when its provider is.
is_installed() {
    local status
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null || true)
    [ "$status" = installed ]
}

missing=()
for package in "${wanted[@]}"; do
    is_installed "$package" || missing+=("$package")
done
# What part `auth` of the benchmarks measures beside Postern isn't installed into the system itself; without it that part measures Postern alone.
peers() {
    if [ "${1:-all}" = bench ]; then
        "$(dirname "$0")/install-peers.sh" python authentication rspamd || echo "install-dependencies: part auth will measure Postern alone" >&2
    fi
}
if [ "${#missing[@]}" -eq 0 ]; then
    peers "$@"
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install-dependencies: missing: ${missing[*]}; run this script as root, or install them yourself" >&2
        exit 1
    fi
    as_root=(sudo)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    # DEBIAN_FRONTEND keeps Postfix from asking how this machine's own mail should work: the laboratory never uses that configuration.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >>"$log" 2>&1
}
# Postfix's package starts no service here: the laboratory starts its own instance with its own configuration.
preseed() {
    if command -v debconf-set-selections >/dev/null; then
        echo "postfix postfix/main_mailer_type select No configuration" | "${as_root[@]}" debconf-set-selections || true
    fi
}

echo "install-dependencies: installing ${#missing[@]} packages: ${missing[*]}"
preseed
started=$SECONDS
if ! apt install --no-install-recommends "${missing[@]}"; then
    echo "install-dependencies: the package lists are old or absent; refreshing them"
    apt update || true
    if ! apt install --no-install-recommends "${missing[@]}"; then
        echo "install-dependencies: installing failed; the last lines of apt-get:" >&2
        tail -n 20 "$log" >&2
        exit 1
    fi
fi
echo "install-dependencies: done in $((SECONDS - started)) s"
peers "$@"
