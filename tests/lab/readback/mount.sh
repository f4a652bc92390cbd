#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Recovery points as files: ordinary tools read whole disks, partitions and the file systems in them.
. "$(dirname "$0")/lib.sh"
need sfdisk mke2fs qemu-img
[ -w /dev/fuse ] || skip "no right to use /dev/fuse"
make_disks || skip "cannot make test disks here"
cd "$LAB" || exit 1
export PASSPHRASE_FILE=$LAB/pass
echo "correct horse" >"$PASSPHRASE_FILE"
"$MAKE" repo srv mbr.img gpt.img plain.img >id1 || exit 1
"$MAKE" repo other/host plain.img >/dev/null || exit 1
mkdir mnt part full
touch full/file

check "a folder that is not empty is refused" fails_with 5 "$TOOL" mount repo full
check "a folder that is not there is refused" fails_with 5 "$TOOL" mount repo nowhere
check "a file is refused" fails_with 2 "$TOOL" mount repo plain.img
check "mount" start "$LAB/mount" "$TOOL" mount repo mnt
mounted=$STARTED
id8=$(cut -c1-8 id1)
check "a point has its time and id as name" sh -c "ls -d mnt/srv/20??-??-??T??:??:??Z-$id8"
check "latest leads there" [ "$(basename "$(readlink -f mnt/srv/latest)")" = "$(cd mnt/srv && echo 2*-"$id8")" ]
check "a host with a slash has a name" ls mnt/other_host/latest/disk0.raw
for d in 0:mbr 1:gpt 2:plain; do
    check "disk ${d#*:} is the same" cmp "mnt/srv/latest/disk${d%:*}.raw" "${d#*:}.img"
done
check "sizes are right" [ "$(stat -c %s mnt/srv/latest/disk2.raw)" = 40000512 ]
check "partitions of MBR with logical ones" [ "$(cd mnt/srv/latest && echo disk0.p*)" = "disk0.p1 disk0.p5 disk0.p6" ]
check "partitions of GPT" [ "$(cd mnt/srv/latest && echo disk1.p*)" = "disk1.p1 disk1.p2" ]
check "a partition is that part of the disk" sh -c \
    "tail -c +1048577 mbr.img | head -c 31457280 | cmp - mnt/srv/latest/disk0.p1"
check "point.json" python3 -c "
import json
p = json.load(open('mnt/srv/latest/point.json'))
assert p['host'] == 'srv' and p['id'] == open('id1').read().strip()
assert [d['size_bytes'] for d in p['disks']] == [67108864, 67108864, 40000512]
assert p['disks'][0]['partitions'][0]['offset_bytes'] == 1048576
assert p['disks'][1]['partitions'][0]['name'] == 'data'"
check "qemu-img reads it" qemu-img compare -f raw -F raw mnt/srv/latest/disk0.raw mbr.img
check "cp keeps holes" sh -c "cp --sparse=auto mnt/srv/latest/disk1.raw c.raw && cmp c.raw gpt.img && [ \$(stat -c %b c.raw) -lt 4096 ]"
check "four readers at once" sh -c "for i in 1 2 3 4; do cmp mnt/srv/latest/disk0.raw mbr.img & done; wait"
check "nothing can be written" sh -c "! touch mnt/x 2>/dev/null && ! sh -c 'echo > mnt/srv/latest/disk0.raw' 2>/dev/null"
if mount -o loop,ro mnt/srv/latest/disk0.p1 part; then
    check "the file system in a partition file" diff -r tree part -x lost+found
    umount part
    mount -o loop,ro,offset=1048576,sizelimit=31457280 mnt/srv/latest/disk0.raw part
    check "the file system at an offset of the disk file" diff -r tree part -x lost+found
    umount part
fi
inode=$(stat -c %i mnt/srv/latest/disk0.p1)
"$MAKE" repo srv gpt.img >id2
sleep 2.5 # how old a list of points may be
check "a new point appears" ls -d mnt/srv/*-"$(cut -c1-8 id2)"
check "... and is the latest" cmp mnt/srv/latest/disk0.raw gpt.img

kill "$mounted"
check "a signal unmounts" wait "$mounted"
check "... cleanly" [ -z "$(ls -A mnt)" ]
check "mount again" start "$LAB/mount" "$TOOL" mount repo mnt
check "inode numbers are the same" [ "$(stat -c %i mnt/srv/*-"$id8"/disk0.p1)" = "$inode" ]
umount mnt
check "umount ends the program without an error" wait "$STARTED"
check "mount, with a file held open" start "$LAB/mount" "$TOOL" mount repo mnt
exec 7<mnt/srv/latest/disk0.raw
kill "$STARTED"
check "... a signal still ends it" wait "$STARTED"
exec 7<&-
check "... cleanly" [ -z "$(ls -A mnt)" ]
check "mount, then kill -9" start "$LAB/mount" "$TOOL" mount repo mnt
kill -9 "$STARTED"
wait "$STARTED" 2>/dev/null
check "a dead mount is told" fails_with 8 "$TOOL" mount repo mnt
umount -l mnt
summary
