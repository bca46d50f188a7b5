#!/bin/bash
# Installs the foreign servers and clients that `make interop` and `make bench` need beside those of the laboratory, each set into a layer of its own below
# .build-peers (or the folder in POSTERN_PEERS): Debian's mail servers exclude each other, and none of them has to be on the machine itself.
# Its arguments name the layers, without any all of `make interop`'s; `python` stands for the libraries in Python.
#
# A layer holds what the packages changed in /usr, /etc and /var. It is made, and later used, in a private mount namespace where it lies over these folders;
# outside of it nothing changes. A second run finds all layers and returns at once, without the network.
set -euo pipefail

folder=${POSTERN_PEERS:-$(cd "$(dirname "$0")/.." && pwd)/.build-peers}

mkdir -p "$folder"
# What starts a program of a layer.
cmp --quiet "$(dirname "$0")/run-peer.sh" "$folder/run" || install -m 755 "$(dirname "$0")/run-peer.sh" "$folder/run"

layers=("$@")
[ "${#layers[@]}" -gt 0 ] || layers=(python exim opensmtpd sendmail dovecot clients authentication authority scanners)
packages_of() {
    case "$1" in
        exim) echo exim4-daemon-heavy ;;
        opensmtpd) echo opensmtpd ;;
        # An MTA before our milter; its users' passwords are SASL's.
        sendmail) echo sendmail-bin sendmail-cf sasl2-bin libsasl2-modules ;;
        dovecot) echo dovecot-imapd dovecot-lmtpd ;;
        # A certificate authority for tests, and a name server that takes updates.
        authority) echo pebble knot ;;
        # Programs that look for weaknesses of TLS servers.
        scanners) echo testssl.sh sslscan ;;
        clients) echo mutt msmtp fetchmail thunderbird libnss3-tools ;;
        # Sender authentication, by others: a milter that signs and verifies, and the two libraries in Perl.
        authentication) echo opendkim libmail-dkim-perl libmail-spf-perl ;;
        rspamd) echo rspamd ;;
        *) echo "install-peers: there is no layer $1" >&2; return 64 ;;
    esac
}

# Other people's libraries of sender authentication, in an environment of Python's own.
python_packages="dkimpy authres PyNaCl pyspf dnspython"
if [[ " ${layers[*]} " == *" python "* ]] && [ "$(cat "$folder/python/packages" 2>/dev/null || true)" != "$python_packages" ]; then
    echo "install-peers: python: $python_packages"
    rm -rf "$folder/python"
    # Debian's Python has no venv without a package of its own.
    python3 -m venv "$folder/python" 2>/dev/null || { apt-get --yes --quiet install python3-venv && python3 -m venv "$folder/python"; }
    # shellcheck disable=SC2086
    "$folder/python/bin/pip" install --quiet --disable-pip-version-check $python_packages
    echo "$python_packages" >"$folder/python/packages"
fi

missing=()
for layer in "${layers[@]}"; do
    [ "$layer" != python ] || continue
    packages=$(packages_of "$layer")
    # The file names what the layer was made for: with another list of packages it is made again.
    if [ "$(cat "$folder/$layer/packages" 2>/dev/null || true)" != "$packages" ]; then missing+=("$layer"); fi
done
if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi

if [ "$(id -u)" -ne 0 ]; then
    echo "install-peers: missing: ${missing[*]}; the layers are mounted, so run this script as root" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "install-peers: this system has no apt-get, so the peers of make interop can't be installed" >&2
    exit 1
fi

# Runs in the namespace: the layer over the system, and then apt-get.
inside='
set -eu
layer=$1; shift
mount --make-rprivate /
for part in usr etc var; do
    mount -t overlay "postern-$part" -o "lowerdir=/$part,upperdir=$layer/$part,workdir=$layer/work-$part" "/$part"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/lock
# No service is started by its installation.
printf "#!/bin/sh\nexit 101\n" >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get --yes --quiet -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io "$@"; }
apt install --no-install-recommends "$@" || { apt update && apt install --no-install-recommends "$@"; }
apt clean
'

for layer in "${missing[@]}"; do
    started=$SECONDS
    read -r -a packages <<<"$(packages_of "$layer")"
    echo "install-peers: $layer: ${packages[*]}"
    rm -rf "${folder:?}/$layer"
    mkdir -p "$folder/$layer"/{usr,etc,var,work-usr,work-etc,work-var}
    if ! unshare --mount sh -c "$inside" install-peers "$folder/$layer" "${packages[@]}" >"$folder/$layer/install.log" 2>&1; then
        echo "install-peers: installing $layer failed; the last lines of $folder/$layer/install.log:" >&2
        tail -n 20 "$folder/$layer/install.log" >&2
        exit 1
    fi
    rm -rf "$folder/$layer"/work-*
    packages_of "$layer" >"$folder/$layer/packages"
    echo "install-peers: $layer: done in $((SECONDS - started)) s"
done
