#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Damage is an error at its place and nowhere else, with a log line that names it. Runs on a fake repository.
. "$(dirname "$0")/lib.sh"
need nbdkit qemu-io
[ -w /dev/fuse ] || skip "no right to use /dev/fuse"
cd "$LAB" || exit 1
# Block 3145728..3211264 of a dense disk is bad.
head -c 20000000 /dev/urandom >dense.img
printf 'point 0123456789abcdef0123456789abcdef srv 1795371300000 file:%s/dense.img\ncorrupt 0 3150000 10\n' "$LAB" >repo
mkdir mnt
check "mount" start "$LAB/mount" "$TOOL" mount repo mnt
check "reading the bad block fails" sh -c "! dd if=mnt/srv/latest/disk0.raw of=/dev/null bs=4096 skip=769 count=1 2>/dev/null"
check "the log names the disk's offset" grep -q 'mount.damaged.*disk=0 offset=3145728' mount.err
check "the blocks around it are read" sh -c "
    dd if=mnt/srv/latest/disk0.raw bs=65536 count=48 status=none | cmp - dense.img -n 3145728 &&
    dd if=mnt/srv/latest/disk0.raw bs=65536 skip=49 status=none | cmp -i 0:3211264 - dense.img"
kill "$STARTED"
wait "$STARTED"
check "over NBD the bad block is an error" sh -c \
    "nbdkit -U - $PLUGIN repo --run 'qemu-io -r -f raw -c \"read 3145728 4096\" \"\$uri\"' 2>&1 | grep -q 'Input/output error'"
check "over NBD the next block is read" nbdkit -U - "$PLUGIN" repo --run 'qemu-io -r -f raw -c "read 3211264 4096" "$uri"'
check "recover stops with the code for damage" fails_with 4 "$TOOL" recover repo latest 0 out.raw
check "... going on with skip tells the range" sh -c "'$TOOL' recover repo latest 0 out.raw resume skip | grep -qx 'damaged 3145728 65536'"
check "... which holds zeros" sh -c "dd if=out.raw bs=65536 skip=48 count=1 status=none | cmp -n 65536 - /dev/zero"
sed -i '/corrupt/d' repo
check "after a repair, resume fills it in" sh -c "'$TOOL' recover repo latest 0 out.raw resume verify && cmp out.raw dense.img"
summary
