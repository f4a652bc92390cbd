/* SPDX-License-Identifier: Apache-2.0 */
/* What lies on the disks, of machines that are not this one: trees of files as /proc and /sys show them. */
#include "bdr/osfile.h"
#include "lab.h"
#include "volumes_priv.h"
#include <limits.h>
#include <sys/stat.h>

static char proc[PATH_MAX], sys[PATH_MAX];
static const struct volumes_host host = {.proc = proc, .sys = sys};

/* An empty machine. */
static int tree_begin(void **state)
{
    (void)state;
    strcpy(lab_dir, "/tmp/bdr-tree-XXXXXX"); /* banned-ok: fits */
    if (!mkdtemp(lab_dir))
        return -1;
    snprintf(proc, sizeof(proc), "%s/proc", lab_dir);
    snprintf(sys, sizeof(sys), "%s/sys", lab_dir);
    lab_put("proc/self/mountinfo", "");
    lab_put("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    return 0;
}

static void tree_link(const char *to, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tree_link(const char *to, const char *fmt, ...)
{
    char name[256], path[PATH_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof(name), fmt, ap);
    va_end(ap);
    snprintf(path, sizeof(path), "%s/%s", lab_dir, name);
    *strrchr(path, '/') = 0;
    OK(bdr_os_mkdirs(path));
    path[strlen(path)] = '/';
    assert_int_equal(symlink(to, path), 0);
}

static void tree_attr(const char *device, const char *attr, const char *text)
{
    char name[256];

    snprintf(name, sizeof(name), "sys/devices/%s/%s", device, attr);
    lab_put(name, text);
}

/* A device in sys/devices: "sda", or a partition "sda/sda1" when `start` is set; size in sectors. */
static void tree_device(const char *path, unsigned major, unsigned minor, uint64_t start, uint64_t sectors)
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    char text[128], to[PATH_MAX], slashes[64];

    snprintf(slashes, sizeof(slashes), "%s", name);
    for (char *p = slashes; *p; p++)
        *p = *p == '!' ? '/' : *p;
    snprintf(text, sizeof(text), "%u:%u\n", major, minor);
    tree_attr(path, "dev", text);
    snprintf(text, sizeof(text), "MAJOR=%u\nMINOR=%u\nDEVNAME=%s\nDEVTYPE=disk\n", major, minor, slashes);
    tree_attr(path, "uevent", text);
    snprintf(text, sizeof(text), "%llu\n", (unsigned long long)sectors);
    tree_attr(path, "size", text);
    if (start) {
        snprintf(text, sizeof(text), "%llu\n", (unsigned long long)start);
        tree_attr(path, "start", text);
        tree_attr(path, "partition", "1\n");
    }
    snprintf(to, sizeof(to), "../../devices/%s", path);
    tree_link(to, "sys/dev/block/%u:%u", major, minor);
    tree_link(to, "sys/class/block/%s", name);
    if (!start)
        tree_link(to + 3, "sys/block/%s", name); /* ../devices/... */
}

/* `upper` is stacked on `lower`. */
static void tree_stack(const char *upper, const char *lower)
{
    const char *u = strrchr(upper, '/') ? strrchr(upper, '/') + 1 : upper;
    const char *l = strrchr(lower, '/') ? strrchr(lower, '/') + 1 : lower;
    char to[PATH_MAX];

    snprintf(to, sizeof(to), "%s/devices/%s", sys, lower);
    tree_link(to, "sys/devices/%s/slaves/%s", upper, l);
    snprintf(to, sizeof(to), "%s/devices/%s", sys, upper);
    tree_link(to, "sys/devices/%s/holders/%s", lower, u);
}

static int tree_setup(void **state)
{
    if (tree_begin(state))
        return -1;
    tree_device("sda", 8, 0, 0, 1 << 21);
    tree_device("sda/sda1", 8, 1, 2048, 4096);
    tree_device("sda/sda2", 8, 2, 8192, 1 << 20);
    tree_device("sda/sda3", 8, 3, 1 << 21, 65536);
    tree_device("sdb", 8, 16, 0, 1 << 21);
    tree_device("sdb/sdb1", 8, 17, 2048, 1 << 20);
    return 0;
}

static struct bdr_volumes *scan(const char *one, const char *two)
{
    const char *disks[2] = {one, two};
    struct bdr_volumes *v = NULL;

    OK(volumes_scan_host(&host, disks, two ? 2 : 1, &v));
    return v;
}

/* The result as text, so that one assert compares all of it: "MOUNT TYPE DEVICE depth disks[+]". */
static const char *told(const struct bdr_volumes *v)
{
    static char text[4096];
    size_t at = 0;

    text[0] = 0;
    for (size_t i = 0; i < v->fs_n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s %s %s %u %s%s%s%s\n", v->fs[i].mount, v->fs[i].type,
                               v->fs[i].device, v->fs[i].depth, bdr_volume_on(&v->fs[i], 0) ? "0" : "",
                               bdr_volume_on(&v->fs[i], 1) ? "1" : "", v->fs[i].outside ? "+" : "",
                               v->fs[i].read_only ? " ro" : "");
    for (size_t i = 0; i < v->swap_n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "swap %s %u:%llu+%llu\n", v->swap[i].what, v->swap[i].disk,
                               (unsigned long long)v->swap[i].off, (unsigned long long)v->swap[i].len);
    for (size_t i = 0; i < v->raw_n; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at, "raw %s %u:%llu+%llu\n", v->raw[i].what, v->raw[i].disk,
                               (unsigned long long)v->raw[i].off, (unsigned long long)v->raw[i].len);
    return text;
}

static void scanned(const char *one, const char *two, const char *want)
{
    BDR_AUTO(volumes) struct bdr_volumes *v = scan(one, two);

    assert_string_equal(told(v), want);
}

static void test_scan__partitions_and_others__only_what_lies_there(void **state)
{
    (void)state;
    lab_put("proc/self/mountinfo",
            "21 1 8:2 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro\n"
            "22 21 0:5 / /dev rw - devtmpfs udev rw,size=1k\n"
            "23 21 8:1 / /boot ro,nosuid shared:2 master:3 - vfat /dev/sda1 rw,fmask=0022\n" /* this mount only is ro */
            "24 21 8:17 / /srv/a\\040b\\134c ro - xfs /dev/sdb1 ro,attr2\n"
            "25 21 0:41 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw,lowerdir=/a,upperdir=/b\n"
            "26 21 0:42 / /mnt/sshfs rw - fuse.sshfs me@host:/ rw\n"
            "27 21 0:43 / /mnt/odd rw - tmpfs  rw\n"); /* mount("", ...): an empty source */
    scanned("/dev/sda", NULL,
            "/ ext4 /dev/sda2 2 0\n"
            "/boot vfat /dev/sda1 2 0\n");
    scanned("/dev/sdb", "/dev/sda",
            "/ ext4 /dev/sda2 2 1\n"
            "/boot vfat /dev/sda1 2 1\n"
            "/srv/a b\\c xfs /dev/sdb1 2 0 ro\n");
}

static void test_scan__fuse__only_on_a_device(void **state)
{
    (void)state;
    lab_put("proc/self/mountinfo", "31 21 8:17 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw,user_id=0\n"
                                   "32 21 0:50 / /mnt/other rw - fuse /dev/sdb1 rw,user_id=0\n");
    scanned("/dev/sdb", NULL, "/mnt/ntfs fuseblk /dev/sdb1 2 0\n");
}

static void test_scan__several_mounts__the_shortest_once(void **state)
{
    (void)state;
    lab_put("proc/self/mountinfo", "31 21 8:17 /lib /var/lib rw - ext4 /dev/sdb1 rw\n"
                                   "32 21 8:17 / /data rw - ext4 /dev/sdb1 rw\n"
                                   "33 21 8:17 /x /data/y rw - ext4 /dev/sdb1 rw\n");
    scanned("/dev/sdb", NULL, "/data ext4 /dev/sdb1 2 0\n");
}

static void test_scan__lvm_over_two_disks__both_or_outside(void **state)
{
    (void)state;
    tree_device("dm-0", 253, 0, 0, 1 << 21);
    tree_attr("dm-0", "dm/name", "vg-root\n");
    tree_stack("dm-0", "sda/sda2");
    tree_stack("dm-0", "sdb/sdb1");
    lab_put("proc/self/mountinfo", "21 1 253:0 / / rw - ext4 /dev/mapper/vg-root rw\n");
    scanned("/dev/sda", "/dev/sdb", "/ ext4 /dev/mapper/vg-root 3 01\n");
    scanned("/dev/sdb", NULL, "/ ext4 /dev/mapper/vg-root 3 0+\n");
}

static void test_scan__lvm_on_luks_on_md__deeper_than_its_neighbours(void **state)
{
    (void)state;
    tree_device("md0", 9, 0, 0, 1 << 20);
    tree_stack("md0", "sda/sda2");
    tree_stack("md0", "sdb/sdb1");
    tree_device("dm-0", 253, 0, 0, 1 << 20);
    tree_attr("dm-0", "dm/name", "crypt\n");
    tree_stack("dm-0", "md0");
    tree_device("dm-1", 253, 1, 0, 1 << 19);
    tree_attr("dm-1", "dm/name", "vg-root\n");
    tree_stack("dm-1", "dm-0");
    lab_put("proc/self/mountinfo", "21 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n"
                                   "22 21 8:1 / /boot rw - ext4 /dev/sda1 rw\n");
    scanned("/dev/sda", "/dev/sdb",
            "/ ext4 /dev/mapper/vg-root 5 01\n"
            "/boot ext4 /dev/sda1 2 0\n");
}

static void test_scan__a_disk_over_another__each_covers_itself(void **state)
{
    (void)state;
    tree_device("dm-0", 253, 0, 0, 1 << 21);
    tree_attr("dm-0", "dm/name", "mpatha\n");
    tree_stack("dm-0", "sda");
    tree_stack("dm-0", "sdb");
    lab_put("proc/self/mountinfo", "21 1 253:0 / / rw - ext4 /dev/mapper/mpatha rw\n");
    scanned("/dev/mapper/mpatha", NULL, "/ ext4 /dev/mapper/mpatha 2 0\n");
    scanned("/dev/mapper/mpatha", "/dev/sda", "/ ext4 /dev/mapper/mpatha 2 01\n");
    scanned("/dev/sda", NULL, "/ ext4 /dev/mapper/mpatha 2 0+\n");
}

static void test_scan__btrfs_of_two_devices__all_subvolumes_once(void **state)
{
    char to[PATH_MAX];

    (void)state;
    lab_put("sys/fs/btrfs/features/mixed_backref", "1\n");
    snprintf(to, sizeof(to), "%s/devices/sda/sda3", sys);
    tree_link(to, "sys/fs/btrfs/11111111-2222-3333-4444-555555555555/devices/sda3");
    snprintf(to, sizeof(to), "%s/devices/sdb", sys);
    tree_link(to, "sys/fs/btrfs/11111111-2222-3333-4444-555555555555/devices/sdb");
    lab_put("proc/self/mountinfo", "40 1 0:33 /@home /home rw - btrfs /dev/sdb rw,subvol=/@home\n"
                                   "41 1 0:33 /@ /b rw - btrfs /dev/sdb rw,subvol=/@\n");
    scanned("/dev/sda", "/dev/sdb", "/b btrfs /dev/sdb 2 01\n");
    scanned("/dev/sda", NULL, "/b btrfs /dev/sdb 2 0+\n");
}

static void test_scan__loop_files__lie_where_their_file_lies(void **state)
{
    (void)state;
    tree_device("loop0", 7, 0, 0, 2048);
    tree_attr("loop0", "loop/backing_file", "/data/images/a.img\n");
    tree_device("loop1", 7, 1, 0, 2048);
    tree_attr("loop1", "loop/backing_file", "/mnt/inner/b.img (deleted)\n");
    lab_put("proc/self/mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                                   "22 21 8:17 / /data rw - xfs /dev/sdb1 rw\n"
                                   "23 21 7:0 / /mnt/inner rw - ext4 /dev/loop0 rw\n"
                                   "24 21 7:1 / /mnt/innermost rw - ext4 /dev/loop1 rw\n");
    scanned("/dev/sdb", NULL,
            "/mnt/innermost ext4 /dev/loop1 4 0\n"
            "/mnt/inner ext4 /dev/loop0 3 0\n"
            "/data xfs /dev/sdb1 2 0\n");
    scanned("/dev/loop0", NULL,
            "/mnt/innermost ext4 /dev/loop1 4 0\n"
            "/mnt/inner ext4 /dev/loop0 3 0\n");
}

/* Namespaces of containers: what is here too is reached here, the rest once, by the process that came first. */
static void test_scan__other_namespaces__what_is_not_here_once(void **state)
{
    char want[PATH_MAX + 64];

    (void)state;
    lab_put("proc/self/mountinfo", "23 21 8:1 / / rw - ext4 /dev/sda1 rw\n");
    tree_link("mnt:[4026531841]", "proc/self/ns/mnt");
    tree_link("mnt:[4026531841]", "proc/1/ns/mnt");
    lab_put("proc/1/mountinfo", "23 21 8:1 / / rw - ext4 /dev/sda1 rw\n");
    tree_link("mnt:[4026532999]", "proc/900/ns/mnt");
    lab_put("proc/900/mountinfo", "41 40 8:2 / /data rw - ext4 /dev/sda2 rw\n");
    tree_link("mnt:[4026532999]", "proc/77/ns/mnt");
    lab_put("proc/77/mountinfo", "41 40 8:2 / /data rw - ext4 /dev/sda2 rw\n42 40 8:1 /x /own rw - ext4 /dev/sda1 rw\n"
                                 "43 40 0:50 / /tmp rw - tmpfs tmpfs rw\n");
    tree_link("mnt:[4026533000]", "proc/78/ns/mnt");
    lab_put("proc/78/mountinfo", "51 50 8:2 / /the/same/there rw - ext4 /dev/sda2 rw\n52 50 8:17 / /b rw - xfs /dev/sdb1 rw\n");
    tree_link("mnt:[4026533001]", "proc/79/ns/mnt"); /* it ended while we looked */
    tree_link("mnt:[4026533002]", "proc/80/ns/mnt"); /* nothing is told of it */
    lab_put("proc/80/mountinfo", "");
    snprintf(want, sizeof(want), "/ ext4 /dev/sda1 2 0\n%s/77/root/data ext4 /dev/sda2 2 0\n", proc);
    scanned("/dev/sda", NULL, want);
    lab_put("proc/78/mountinfo", "51 50 8:2 rubbish\n");
    FAILS(INVAL, "line 1", volumes_scan_host(&host, (const char *[]){"/dev/sda"}, 1, &(struct bdr_volumes *){NULL}));
}

static void test_scan__ring__ends(void **state)
{
    (void)state;
    tree_device("loop0", 7, 0, 0, 2048);
    tree_attr("loop0", "loop/backing_file", "/mnt/self/a.img\n");
    lab_put("proc/self/mountinfo", "23 21 7:0 / /mnt/self rw - ext4 /dev/loop0 rw\n");
    scanned("/dev/sda", NULL, "");
}

static void test_scan__xfs_with_its_log_elsewhere__on_both(void **state)
{
    (void)state;
    lab_put("proc/self/mountinfo", "21 1 8:2 / /x rw - xfs /dev/sda2 rw,logbufs=8,logdev=/dev/sdb1,noquota\n");
    scanned("/dev/sda", "/dev/sdb", "/x xfs /dev/sda2 2 01\n");
    scanned("/dev/sdb", NULL, "/x xfs /dev/sda2 2 0+\n");
}

static void test_scan__swap__placed_without_its_header(void **state)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    char want[256];

    (void)state;
    tree_device("dm-0", 253, 0, 0, 1 << 20);
    tree_attr("dm-0", "dm/name", "vg-swap\n");
    tree_stack("dm-0", "sdb/sdb1");
    tree_device("zram0", 252, 0, 0, 1 << 20);
    lab_put("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
                          "/dev/sda3                               partition\t32764\t\t0\t\t-2\n"
                          "/dev/mapper/vg-swap                     partition\t524284\t\t0\t\t-3\n"
                          "/dev/zram0                              partition\t524284\t\t0\t\t100\n"
                          "/swap\\040file                           file\t\t1020\t\t0\t\t-4\n");
    snprintf(want, sizeof(want), "swap /dev/sda3 0:%llu+%llu\n", (1ull << 30) + page, 32764ull * 1024);
    scanned("/dev/sda", "/dev/sdb", want);
    scanned("/dev/sdb", NULL, "");
}

static void test_scan__programs_writing_to_devices__named_with_their_range(void **state)
{
    char want[512];

    (void)state;
    tree_device("dm-0", 253, 0, 0, 1 << 20);
    tree_attr("dm-0", "dm/name", "vg-asm\n");
    tree_stack("dm-0", "sdb/sdb1");
    tree_link("/dev/sda3", "proc/4711/fd/9");
    lab_put("proc/4711/fdinfo/9", "pos:\t0\nflags:\t02100002\nmnt_id:\t5\n");
    lab_put("proc/4711/comm", "oracle\n");
    tree_link("/dev/sda2", "proc/4711/fd/10");
    lab_put("proc/4711/fdinfo/10", "pos:\t0\nflags:\t0100000\nmnt_id:\t5\n"); /* reads only */
    tree_link("/dev/null", "proc/4711/fd/1");
    lab_put("proc/4711/fdinfo/1", "pos:\t0\nflags:\t02\n");
    tree_link("socket:[1]", "proc/4711/fd/2");
    scanned("/dev/sda", NULL, "raw /dev/sda3 (written by oracle, process 4711) 0:1073741824+33554432\n");
    tree_link("/dev/mapper/vg-asm", "proc/99/fd/3");
    lab_put("proc/99/fdinfo/3", "flags:\t01\n");
    snprintf(want, sizeof(want), "raw /dev/mapper/vg-asm (written by a program, process 99) 0:0+%llu\n", 1ull << 30);
    scanned("/dev/sdb", NULL, want);
}

static void test_scan__wrong_disks__refused(void **state)
{
    const char *partition[] = {"/dev/sda2"}, *missing[] = {"/dev/sdz"}, *twice[] = {"/dev/sda", "/dev/sda"};
    struct bdr_volumes *v = NULL;

    (void)state;
    FAILS(INVAL, "/dev/sda2 is a partition; give its disk, /dev/sda", volumes_scan_host(&host, partition, 1, &v));
    FAILS(NOTFOUND, "/dev/sdz", volumes_scan_host(&host, missing, 1, &v));
    FAILS(INVAL, "same disk", volumes_scan_host(&host, twice, 2, &v));
    FAILS(INVAL, "at most", volumes_scan_host(&host, twice, BDR_VOLUMES_DISKS_MAX + 1, &v));
    lab_put("proc/self/mountinfo", "21 1 8:2 / / rw - ext4 /dev/root rw\nnonsense\n");
    FAILS(INVAL, "line 2", volumes_scan_host(&host, twice, 1, &v));
    assert_null(v);
}

static void whole(const char *device, const char *want)
{
    BDR_AUTO(mem) char *got = NULL;

    OK(volumes_whole_host(&host, device, &got));
    assert_string_equal(got, want);
}

static void test_whole_disk__of_anything__its_disk(void **state)
{
    char *got = NULL;

    (void)state;
    tree_device("cciss!c0d0", 104, 0, 0, 100);
    tree_device("cciss!c0d0/cciss!c0d0p1", 104, 1, 10, 10);
    tree_device("nvme0n1", 259, 0, 0, 100);
    tree_device("nvme0n1/nvme0n1p2", 259, 2, 10, 10);
    tree_device("loop0", 7, 0, 0, 100);
    whole("/dev/sda2", "/dev/sda");
    whole("/dev/sda", "/dev/sda");
    whole("/dev/nvme0n1p2", "/dev/nvme0n1");
    whole("/dev/cciss/c0d0p1", "/dev/cciss/c0d0");
    whole("/dev/loop0", "/dev/loop0");
    FAILS(NOTFOUND, "/dev/sdz1", volumes_whole_host(&host, "/dev/sdz1", &got));
}

static void test_disks__of_all_kinds__what_a_person_calls_so(void **state)
{
    static const char *const no[] = {"loop0", "ram0", "zram0", "sr0", "fd0", "dm-0", "md127", "md_d0", "mmcblk0boot0"};
    static const char *const want[] = {"/dev/sda", "/dev/sdb", "/dev/sdab", "/dev/fdisk", "/dev/nvme0n1"};
    char **disks = NULL;
    size_t n = 0;

    (void)state;
    for (unsigned i = 0; i < BDR_COUNT(no); i++)
        tree_device(no[i], 200, i, 0, 100);
    tree_device("sdab", 65, 0, 0, 100);
    tree_device("fdisk", 66, 0, 0, 100); /* begins like a floppy */
    tree_device("sdc", 8, 32, 0, 0);     /* a card reader without a card */
    tree_device("nvme0n1", 259, 0, 0, 100);
    tree_device("nvme0c1n1", 259, 1, 0, 100);
    tree_attr("nvme0c1n1", "hidden", "1\n");
    OK(volumes_disks_host(&host, &disks, &n));
    assert_int_equal(n, BDR_COUNT(want));
    for (size_t i = 0; i < n; i++)
        assert_string_equal(disks[i], want[i]);
    bdr_volumes_disks_free(disks, n);
}

/* --- the parsers --- */

static void test_mounts_parse__wrong_lines__refused_by_number(void **state)
{
    static const char *const wrong[] = {
        "36 35 98:0 /r /p rw - ext4 /dev/sda",
        "36 35 98:0 /r /p rw",
        "36 35 98 /r /p rw - ext4 /dev/sda rw",
        "36 35 98:0 /r p rw - ext4 /dev/sda rw",
        "x 35 98:0 /r /p rw - ext4 /dev/sda rw",
        "",
        "36 35 98:99999999999 /r /p rw - ext4 /dev/sda rw",
        "36 35 98:0 /r /p rw -  /dev/sda rw",
    };
    struct volumes_mounts m;
    char text[256];

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(wrong); i++) {
        int n = snprintf(text, sizeof(text), "36 35 98:0 /r /p rw - ext4 /dev/sda rw\n%s\n", wrong[i]);

        FAILS(INVAL, "line 2", volumes_mounts_parse(text, (size_t)n, &m));
        assert_int_equal(m.n, 0);
    }
    FAILS(INVAL, "line 1", volumes_mounts_parse("1 1 1:1 / /a\0b rw - e / rw", 26, &m));
}

static void test_mounts_parse__escapes_and_fields__as_meant(void **state)
{
    static const char text[] =
        "36 35 98:12 /r /p\\040q\\011r\\134s\\012t\\0x rw,noatime shared:1 master:2 unbindable - "
        "ext4 /dev/my\\040disk ro\n"
        "37 35 0:5 / / rw - tmpfs  rw,a=b,size=5k,ab=c";
    struct volumes_mounts m;
    char value[8];

    (void)state;
    OK(volumes_mounts_parse(text, strlen(text), &m));
    assert_int_equal(m.n, 2);
    assert_string_equal(m.at[0].point, "/p q\tr\\s\nt\\0x");
    assert_string_equal(m.at[0].source, "/dev/my disk");
    assert_true(m.at[0].read_only && m.at[0].id == 36 && m.at[0].dev == volumes_dev_of(98, 12));
    assert_string_equal(m.at[1].source, "");
    assert_true(volumes_option(m.at[1].options, "size", value, sizeof(value)));
    assert_string_equal(value, "5k");
    assert_true(volumes_option(m.at[1].options, "ab", value, sizeof(value)));
    assert_string_equal(value, "c");
    assert_false(volumes_option(m.at[1].options, "rw", value, sizeof(value)));
    assert_false(volumes_option(m.at[1].options, "size", value, 2));
    volumes_mounts_free(&m);
}

static void test_areas_parse__wrong_lines__refused_by_number(void **state)
{
    static const char *const wrong[] = {"/dev/sda3 partition",
                                        "/dev/sda3 disk 5 0 0",
                                        "/dev/sda3 file x 0 0",
                                        "rel file 5 0",
                                        "/dev/sda3 file 99999999999999999999 0",
                                        "",
                                        "Filename Type"};
    struct volumes_areas a;
    char text[256];

    (void)state;
    for (size_t i = 0; i < BDR_COUNT(wrong); i++) {
        int n = snprintf(text, sizeof(text), "Filename Type Size Used Priority\n%s\n", wrong[i]);

        FAILS(INVAL, "line 2", volumes_areas_parse(text, (size_t)n, &a));
        assert_int_equal(a.n, 0);
    }
}

#define TREE(test) cmocka_unit_test_setup_teardown(test, tree_setup, lab_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE(test_scan__partitions_and_others__only_what_lies_there),
        TREE(test_scan__fuse__only_on_a_device),
        TREE(test_scan__several_mounts__the_shortest_once),
        TREE(test_scan__lvm_over_two_disks__both_or_outside),
        TREE(test_scan__lvm_on_luks_on_md__deeper_than_its_neighbours),
        TREE(test_scan__a_disk_over_another__each_covers_itself),
        TREE(test_scan__btrfs_of_two_devices__all_subvolumes_once),
        TREE(test_scan__loop_files__lie_where_their_file_lies),
        TREE(test_scan__other_namespaces__what_is_not_here_once),
        TREE(test_scan__ring__ends),
        TREE(test_scan__xfs_with_its_log_elsewhere__on_both),
        TREE(test_scan__swap__placed_without_its_header),
        TREE(test_scan__programs_writing_to_devices__named_with_their_range),
        TREE(test_scan__wrong_disks__refused),
        TREE(test_whole_disk__of_anything__its_disk),
        TREE(test_disks__of_all_kinds__what_a_person_calls_so),
        cmocka_unit_test(test_mounts_parse__wrong_lines__refused_by_number),
        cmocka_unit_test(test_mounts_parse__escapes_and_fields__as_meant),
        cmocka_unit_test(test_areas_parse__wrong_lines__refused_by_number),
    };

    return cmocka_run_group_tests_name("os volumes trees", tests, NULL, NULL);
}
