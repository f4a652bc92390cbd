# SPDX-License-Identifier: Apache-2.0
#
# archive.sh - packages of a Debian suite, unpacked into folders. Sourced; nothing is installed, root is not needed.
#
#   GUEST_CACHE     what was fetched and built, kept between runs (default: $BUILD/guest)
#   GUEST_MIRROR    default: where this machine's apt has bookworm from, else deb.debian.org
#
# A private apt configuration: the machine's own lists, packages and kernel stay as they are, its proxies are used.
# shellcheck shell=bash

guest_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest_top=$(cd "$guest_dir/../../.." && pwd)
guest_build=${BUILD:-build}
case $guest_build in /*) ;; *) guest_build=$guest_top/$guest_build ;; esac
GUEST_CACHE=${GUEST_CACHE:-$guest_build/guest}
PATH=$PATH:/sbin:/usr/sbin

archive_mirror() {
    local found=${GUEST_MIRROR:-}
    [ -n "$found" ] || found=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 2>/dev/null |
        awk '$2 == "bookworm" && $1 ~ /\/debian\/?$/ { print $1; exit }')
    echo "${found:-http://deb.debian.org/debian}"
}

archive_apt() { # SUITE COMMAND...: apt-get or apt-cache with the lists of that suite alone
    local dir=$GUEST_CACHE/apt-$1 command=$2
    shift 2
    "$command" -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State="$dir/state" -o Dir::State::status="$dir/status" -o Dir::Cache="$dir/cache" \
        -o APT::Sandbox::User=root -o APT::Install-Recommends=false -o Acquire::Languages=none \
        -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -q=2 "$@"
}

archive_lists() { # SUITE: fetches its list of packages, once a day
    local dir=$GUEST_CACHE/apt-$1 mirror
    [ -z "$(find "$dir/fresh" -mmin -1440 2>/dev/null)" ] || return 0
    command -v apt-get >/dev/null || { echo "no apt-get to fetch Debian's packages with" >&2; return 1; }
    mkdir -p "$dir"/state/lists/partial "$dir"/cache/archives/partial
    : >"$dir/status"
    mirror=$(archive_mirror)
    {
        echo "deb $mirror $1 main"
        case $1 in *-backports | sid) ;; *) echo "deb $mirror-security $1-security main" ;; esac
    } >"$dir/sources.list"
    archive_apt "$1" apt-get update && touch "$dir/fresh"
}

archive_closure() { # SUITE PACKAGE...: their names and those of all they depend on
    local suite=$1
    shift
    archive_lists "$suite" >&2 || return 1
    archive_apt "$suite" apt-get --simulate install "$@" | awk '$1 == "Inst" { print $2 }'
}

archive_get() { # SUITE FOLDER PACKAGE...: those packages' files, without what they depend on
    local suite=$1 into=$2 debs
    shift 2
    archive_lists "$suite" || return 1
    mkdir -p "$into"
    debs=$(mktemp -d "$GUEST_CACHE/debs.XXXXXX") || return 1
    (cd "$debs" && archive_apt "$suite" apt-get download "$@" >&2) &&
        for deb in "$debs"/*.deb; do # /bin may be a link to usr/bin in there: it stays one
            dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink --no-same-owner -C "$into" || break
        done
    local rc=$?
    rm -r "$debs"
    return $rc
}
