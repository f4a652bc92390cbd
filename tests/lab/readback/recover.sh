#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks go into a real repository and come back as files, images and exports; a recover killed anywhere goes on.
. "$(dirname "$0")/lib.sh"
need qemu-img nbdkit sfdisk mke2fs
make_disks || skip "cannot make test disks here"
export PASSPHRASE_FILE=$LAB/pass
echo "correct horse" >"$PASSPHRASE_FILE"
check "back up three disks" "$MAKE" "$LAB/repo" srv "$LAB/mbr.img" "$LAB/gpt.img" "$LAB/plain.img"
cd "$LAB" || exit 1
rec() { "$TOOL" recover "$LAB/repo" latest "$@"; }

for d in 0:mbr 1:gpt 2:plain; do
    check "raw file of ${d#*:}" rec "${d%:*}" "out-${d#*:}.raw" verify
    check "... is the same" cmp "out-${d#*:}.raw" "${d#*:}.img"
    check "qcow2 of ${d#*:}" rec "${d%:*}" "out-${d#*:}.qcow2" verify
    check "... is the same" qemu-img compare -f raw -F qcow2 "${d#*:}.img" "out-${d#*:}.qcow2"
    check "... has no leaks" qemu-img check -q "out-${d#*:}.qcow2"
done
check "a direct write" rec 2 direct.raw direct verify
check "... is the same" cmp direct.raw plain.img
check "holes stay holes" [ "$(stat -c %b out-gpt.raw)" -lt 4096 ]
check "existing data is refused" fails_with 5 rec 0 out-plain.raw
check "a plain folder is refused" fails_with 2 rec 0 "$LAB/tree"

truncate -s 41M export.img
nbdkit -U "$LAB/nbd.sock" -P "$LAB/nbd.pid" file export.img && PIDS="$PIDS $(cat "$LAB/nbd.pid")"
check "an NBD export" rec 2 "nbd+unix:///?socket=$LAB/nbd.sock" verify
check "... is the same" cmp -n 40000512 export.img plain.img

# Killed by time, at many places: the file system sees real kills, unlike the unit test's exact ones.
unset PASSPHRASE_FILE # opening would take most of the time
head -c 150000000 /dev/urandom >big.img
check "back up a dense disk" "$MAKE" "$LAB/repo2" big "$LAB/big.img"
begin=$(date +%s%N)
check "recover it" "$TOOL" recover "$LAB/repo2" latest 0 big.raw
ms=$(((($(date +%s%N) - begin) / 1000000)))
killed=0 good=0
for i in $(seq 16); do
    rm -f killed.raw killed.raw.bdr-recover
    "$TOOL" recover "$LAB/repo2" latest 0 killed.raw resume every=1 >/dev/null 2>&1 &
    pid=$!
    t=$((ms * i / 17))
    sleep "$((t / 1000)).$(printf %03d $((t % 1000)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -f killed.raw.bdr-recover ] && killed=$((killed + 1))
    "$TOOL" recover "$LAB/repo2" latest 0 killed.raw resume force >/dev/null 2>killed.err || cat killed.err
    cmp killed.raw big.img && good=$((good + 1))
done
check "$killed of 16 were killed in the middle, each resumed to the same disk" [ "$good" = 16 -a "$killed" -gt 0 ]
check "no state file is left" [ ! -e killed.raw.bdr-recover ]
summary
