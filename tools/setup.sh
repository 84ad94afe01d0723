#!/bin/sh
# Sees to it that the packages of packages.txt are there. With root or a sudo that asks nothing it installs what is missing;
# elsewhere it prints the command that would and fails. When all is there it does nothing.
#
#   tools/setup.sh [--check] [SECTION ...]     sections of packages.txt, default: build; --check: never install
set -eu
cd "$(dirname "$0")/.."

install=yes
if [ "${1:-}" = --check ]; then
    install=no
    shift
fi
[ $# -gt 0 ] || set -- build

wanted=
for section in "$@"; do
    names=$(sed -n "/^\[$section\]/,/^\[/p" packages.txt | sed -e '/^\[/d' -e 's/#.*//' -e '/^[[:space:]]*$/d' -e 's/[[:space:]].*//')
    [ -n "$names" ] || { echo "setup: packages.txt has no section [$section]" >&2; exit 2; }
    wanted="$wanted $names"
done
wanted=$(echo $wanted)

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "setup: this is not a Debian system. These packages, or what they are called here, are needed:" >&2
    echo "    $wanted" >&2
    echo "When they are there: make SETUP=no" >&2
    exit 1
fi

# "package status" a line; a package that dpkg has never heard of has no line.
have=" $(dpkg-query -W -f '${Package}:${db:Status-Status} ' $wanted 2>/dev/null || true)"
missing=
for package in $wanted; do
    case $have in
    *" $package:installed "*) ;;
    *) missing="$missing $package" ;;
    esac
done
missing=${missing# }
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" != 0 ]; then
    root=sudo
    sudo -n true 2>/dev/null || install=no
fi
if [ $install = no ]; then
    echo "setup: packages are missing. To install them:" >&2
    echo "    ${root:+$root }apt-get install --no-install-recommends $missing" >&2
    exit 1
fi

echo "setup: installing $missing"
get()
{
    ${root:+sudo -n} env DEBIAN_FRONTEND=noninteractive apt-get -y -q "$@" >"$log" 2>&1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Package lists may be absent, or so old that what they name is gone: then, and only then, they are fetched.
if ! get install --no-install-recommends $missing; then
    echo "setup: fetching the package lists"
    if ! { get update && get install --no-install-recommends $missing; }; then
        tail -20 "$log" >&2
        echo "setup: apt-get failed; to try by hand: ${root:+$root }apt-get install --no-install-recommends $missing" >&2
        exit 1
    fi
fi
