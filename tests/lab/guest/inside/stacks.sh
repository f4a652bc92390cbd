# SPDX-License-Identifier: Apache-2.0
# stacks.sh - what four disks of a machine may carry: `. /job/stacks.sh`, with disk[0..3]
#   /mnt/lvm   ext4 on LVM on disk 0 ; /mnt/md  XFS on md RAID1 of disks 1 and 2 ; /mnt/luks  btrfs on LUKS on a partition
#   of disk 3 ; /mnt/vfat on another
# shellcheck shell=bash disable=SC2154

stacks_make() {
    modprobe btrfs # makes its /dev/btrfs-control
    pvcreate -q "${disk[0]}" && vgcreate -q vg "${disk[0]}" && lvcreate -q -y -n data -l 100%FREE vg
    mkfs.ext4 -q /dev/vg/data
    mdadm -q --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean "${disk[1]}" "${disk[2]}"
    mkfs.xfs -q /dev/md0
    printf 'label: gpt\nsize=160M\nsize=64M\n' | sfdisk -q "${disk[3]}"
    wait_for 10 test -b "${disk[3]}2"
    printf secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 -d - "${disk[3]}1"
    printf secret | cryptsetup open -d - "${disk[3]}1" crypt
    mkfs.btrfs -q /dev/mapper/crypt
    mkfs.vfat "${disk[3]}2" >/dev/null
    stacks_mount
}
stacks_open() {
    vgchange -q -ay vg
    mdadm -q --assemble --run /dev/md0 "${disk[1]}" "${disk[2]}"
    wait_for 10 test -b "${disk[3]}2"
    printf secret | cryptsetup open -d - "${disk[3]}1" crypt
}
stacks_mount() {
    mkdir -p /mnt/lvm /mnt/md /mnt/luks /mnt/vfat
    mount /dev/vg/data /mnt/lvm
    mount /dev/md0 /mnt/md
    mount /dev/mapper/crypt /mnt/luks
    mount "${disk[3]}2" /mnt/vfat
}
stacks_close() { # afterwards nothing writes to the disks
    umount /mnt/lvm /mnt/md /mnt/luks /mnt/vfat
    cryptsetup close crypt
    mdadm -q --stop /dev/md0
    vgchange -q -an vg
}
