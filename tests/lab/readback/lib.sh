# SPDX-License-Identifier: Apache-2.0
# lib.sh - shared by the scripts beside it. They are run as: SCRIPT TOOL MAKE PLUGIN (by meson test --suite lab).
set -u
TOOL=$(realpath "$1") MAKE=$(realpath -m "$2") PLUGIN=$(realpath -m "$3")
PASSED=0 FAILED=0 PIDS=
LAB=$(mktemp -d /var/tmp/bdr-readback-XXXXXX)

lab_end() {
    for p in $PIDS; do kill "$p" 2>/dev/null && wait "$p" 2>/dev/null; done
    mountpoint -q "$LAB/part" && umount "$LAB/part"
    mountpoint -q "$LAB/mnt" && umount -l "$LAB/mnt"
    rm -rf "$LAB"
}
trap lab_end EXIT

skip() {
    echo "skip $(basename "$0"): $1"
    exit 77
}
need() {
    for program; do command -v "$program" >/dev/null || skip "$program is not installed"; done
}
# check "what" command...
check() {
    local what=$1
    shift
    if "$@" >"$LAB/check.log" 2>&1; then
        echo "ok $what"
        PASSED=$((PASSED + 1))
    else
        echo "not ok $what"
        sed 's/^/    /' "$LAB/check.log" | tail -20
        FAILED=$((FAILED + 1))
    fi
}
# fails_with CODE command...: it fails with this exit code
fails_with() {
    local want=$1 rc=0
    shift
    "$@" || rc=$?
    [ "$rc" = "$want" ] || { echo "exit code $rc, expected $want"; return 1; }
}
summary() {
    echo "$PASSED passed, $FAILED failed, 0 skipped"
    [ "$FAILED" = 0 ]
    exit
}
# start LOG command...: in the background; returns when it says "ready" or has ended. Its pid is in STARTED.
start() {
    local log=$1
    shift
    mkfifo "$LAB/fifo.$$"
    "$@" >"$LAB/fifo.$$" 2>"$log.err" &
    STARTED=$!
    PIDS="$PIDS $STARTED"
    read -r READY <"$LAB/fifo.$$" || READY=
    rm "$LAB/fifo.$$"
    [ -n "$READY" ]
}
# make_disks: $LAB/mbr.img with an ext4 file system and logical partitions, $LAB/gpt.img, $LAB/plain.img
make_disks() {
    mkdir -p "$LAB/tree/etc/deep"
    head -c 3000001 /dev/urandom >"$LAB/tree/etc/random"
    echo "a small file" >"$LAB/tree/etc/deep/small"
    seq 200000 >"$LAB/tree/numbers"
    truncate -s 64M "$LAB/mbr.img" "$LAB/gpt.img"
    printf 'label: dos\nstart=2048,size=61440,type=83\nstart=65536,size=30000,type=5\nstart=67584,size=4096,type=83\nstart=73728,size=4096,type=82\n' |
        sfdisk -q "$LAB/mbr.img" &&
        mke2fs -q -F -t ext4 -d "$LAB/tree" -E offset=1048576 "$LAB/mbr.img" 30M 2>/dev/null &&
        printf 'label: gpt\nstart=2048,size=20480,name="data"\nsize=4096\n' | sfdisk -q "$LAB/gpt.img" &&
        head -c 9000001 /dev/urandom >"$LAB/plain.img" && truncate -s 40000512 "$LAB/plain.img" &&
        seq 300000 | dd of="$LAB/plain.img" bs=1M seek=20 conv=notrunc status=none iflag=fullblock
}
