/* SPDX-License-Identifier: Apache-2.0 */
/* rows.c - the disks that the conformance suite is run on. */
#include "bdr/bytes.h"
#include "bdr/live.h"
#include "bdr/log.h"
#include "bdr/osfile.h"
#include "bdr/track.h"
#include "conform.h"
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define SIZE            "12M"
#define ODD_SIZE        "12345679"
#define OLD             "seed=11,gen=1"
#define NEW             "seed=11,gen=4"
#define OLD_TOKEN(size) "mem1:" size ":11:1"

/* ---- mem ---- */

static bool make_mem(struct lab *lab, struct conform_disk *out)
{
    *out = (struct conform_disk){
        .spec = {.location = "mem:" ODD_SIZE "," NEW, .base_token = OLD_TOKEN(ODD_SIZE)},
        .ref = lab_path(lab, "ref"),
        .base = lab_path(lab, "base"),
        .holes = true,
    };
    lab_fill(out->ref, out->spec.location);
    lab_fill(out->base, "mem:" ODD_SIZE "," OLD);
    return true;
}

static bool make_mem_4096(struct lab *lab, struct conform_disk *out)
{
    make_mem(lab, out);
    out->spec.location = "mem:" ODD_SIZE "," NEW ",sector=4096";
    return true;
}

static bool make_mem_plain(struct lab *lab, struct conform_disk *out)
{
    make_mem(lab, out);
    out->spec.base_token = NULL;
    out->base = NULL;
    return true;
}

/* ---- file ---- */

static bool make_file(struct lab *lab, struct conform_disk *out)
{
    *out = (struct conform_disk){.ref = lab_path(lab, "disk.img"), .holes = true};
    lab_fill(out->ref, "mem:" SIZE "," NEW);
    lab_poke(out->ref, ((uint64_t)5 << 20) + 1, "x", 1);
    out->spec.location = out->ref;
    return true;
}

static bool make_file_odd(struct lab *lab, struct conform_disk *out)
{
    *out = (struct conform_disk){.ref = lab_path(lab, "odd.img"), .holes = true};
    lab_fill(out->ref, "mem:" ODD_SIZE "," NEW);
    out->spec.location = lab_text("file:%s", out->ref);
    return true;
}

static bool make_file_empty(struct lab *lab, struct conform_disk *out)
{
    *out = (struct conform_disk){.ref = lab_path(lab, "empty.img")};
    lab_fill(out->ref, "mem:0");
    out->spec.location = out->ref;
    return true;
}

static bool make_file_changed(struct lab *lab, struct conform_disk *out)
{
    static const char list[] = "# from a tracker\n5242881 1\n0x0 0x200\n5242881 1\n12345678 1 # the last byte\n";

    make_file_odd(lab, out);
    out->base = lab_path(lab, "base.img");
    lab_fill(out->base, "mem:" ODD_SIZE "," NEW);
    lab_poke(out->ref, 5242881, "x", 1);
    lab_poke(out->ref, 100, "yz", 2);
    lab_poke(out->ref, 12345678, "!", 1);
    out->spec.changed_extents = lab_path(lab, "changed");
    close(open(out->spec.changed_extents, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    lab_poke(out->spec.changed_extents, 0, list, sizeof(list) - 1);
    return true;
}

/* ---- blockdev ---- */

static bool make_loop(struct lab *lab, struct conform_disk *out, unsigned sector, const char *mem)
{
    *out = (struct conform_disk){.ref = lab_path(lab, "ref.img")};
    lab_fill(lab_path(lab, "loop.img"), mem);
    lab_fill(out->ref, mem);
    out->spec.location = lab_loop(lab, lab_path(lab, "loop.img"), sector);
    return out->spec.location != NULL;
}

static bool make_loop_512(struct lab *lab, struct conform_disk *out)
{
    return make_loop(lab, out, 512, "mem:" SIZE "," NEW);
}

static bool make_loop_4096(struct lab *lab, struct conform_disk *out)
{
    return make_loop(lab, out, 4096, "mem:" SIZE "," NEW);
}

/* 12 MiB and 1 KiB: the last sector of 4096 bytes is not whole, and is not there. */
static bool make_loop_ragged(struct lab *lab, struct conform_disk *out)
{
    if (!make_loop(lab, out, 4096, "mem:12583936," NEW))
        return false;
    assert_int_equal(truncate(out->ref, 12 << 20), 0);
    return true;
}

/* A device that fails where its file was cut. */
static void more_loop(struct lab *lab, const struct conform_disk *disk)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    struct bdr_source_info info;
    BDR_AUTO(mem) uint8_t *buf = aligned_alloc(4096, (size_t)4 << 20);

    assert_non_null(buf);
    OK(bdr_source_open(&disk->spec, &src));
    OK(bdr_source_info(src, &info));
    assert_string_equal(src->drv->name, "blockdev");
    assert_non_null(strstr(info.identity, "loop:"));
    assert_non_null(strstr(info.identity, "loop.img"));
    assert_int_equal(truncate(lab_path(lab, "loop.img"), 8 << 20), 0);
    OK(bdr_source_read(src, 0, buf, 4 << 20));
    FAILS(IO, "reading", bdr_source_read(src, 8 << 20, buf, 4096));
    FAILS(IO, "reading", bdr_source_read(src, 6 << 20, buf, 4 << 20)); /* half of it is there */
    OK(bdr_source_read(src, 4 << 20, buf, 4 << 20));
}

/* From here on this process has no io_uring, as in many containers. */
static void forbid_io_uring(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1 /* EPERM */),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = BDR_COUNT(code), .filter = code};
    struct io_uring ring;

    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
    assert_int_equal(io_uring_queue_init(1, &ring, 0), -1);
}

static bool make_loop_pread(struct lab *lab, struct conform_disk *out)
{
    if (!make_loop_4096(lab, out))
        return false;
    forbid_io_uring();
    return true;
}

/* ---- nbd ---- */

static bool make_nbdkit(struct lab *lab, struct conform_disk *out, const char *filter, const char *arg)
{
    const char *sock = lab_path(lab, "sock"), *pid = lab_path(lab, "nbdkit.pid");

    *out = (struct conform_disk){.ref = lab_path(lab, "disk.img"), .holes = true};
    lab_fill(out->ref, "mem:" SIZE "," NEW);
    SERVE(lab, pid, "nbdkit", "-r", "-U", sock, "-P", pid, filter, "file", out->ref, arg);
    out->spec.location = lab_text("nbd+unix:///?socket=%s", sock);
    return true;
}

static bool make_nbdkit_multi(struct lab *lab, struct conform_disk *out)
{
    make_nbdkit(lab, out, "--filter=noextents", "cache=default");
    out->holes = false;
    return true;
}

static bool make_nbdkit_single(struct lab *lab, struct conform_disk *out)
{
    return make_nbdkit(lab, out, "--filter=multi-conn", "multi-conn-mode=disable");
}

static bool make_nbdkit_4096(struct lab *lab, struct conform_disk *out)
{
    make_nbdkit(lab, out, "--filter=blocksize-policy", "blocksize-minimum=4096");
    return true;
}

/* The server is ended under an open source, and comes back. */
static void more_nbdkit(struct lab *lab, const struct conform_disk *disk)
{
    BDR_AUTO(source) struct bdr_source *src = NULL;
    const char *pid = lab_path(lab, "again.pid");
    struct bdr_source *other = NULL;
    uint8_t buf[4096];

    OK(bdr_source_open(&disk->spec, &src));
    OK(bdr_source_read(src, 0, buf, sizeof(buf)));
    {
        struct lab first = *lab;

        first.dir[0] = 0;
        lab->n = 0;
        lab_close(&first);
    }
    for (int i = 0; i < 6; i++)
        FAILS(NET, "nbd+unix", bdr_source_read(src, 0, buf, sizeof(buf)));
    unlink(lab_path(lab, "sock"));
    FAILS(NOTFOUND, "connecting", bdr_source_open(&disk->spec, &other));
    SERVE(lab, pid, "nbdkit", "-r", "-U", lab_path(lab, "sock"), "-P", pid, "file", disk->ref);
    OK(bdr_source_read(src, 0, buf, sizeof(buf)));
}

static bool make_nbd_tcp(struct lab *lab, struct conform_disk *out)
{
    const char *pid = lab_path(lab, "qemu-nbd.pid"), *port = lab_text("%u", lab_port());

    *out = (struct conform_disk){.ref = lab_path(lab, "disk.img"), .holes = true};
    lab_fill(out->ref, "mem:" SIZE "," NEW);
    SERVE(lab, pid, "qemu-nbd", "-r", "-t", "-f", "raw", "-b", "127.0.0.1", "-p", port, "-x", "disk one", "-e", "8",
          "--fork", "--pid-file", pid, out->ref);
    out->spec.location = lab_text("nbd://127.0.0.1:%s/disk%%20one", port);
    return true;
}

static void more_nbd_tcp(struct lab *lab, const struct conform_disk *disk)
{
    struct bdr_source *src = NULL;
    struct bdr_source_spec spec = disk->spec;

    (void)lab;
    spec.location =
        lab_text("%.*s/nothing", (int)(strrchr(disk->spec.location, '/') - disk->spec.location), disk->spec.location);
    FAILS(NOTFOUND, "nothing", bdr_source_open(&spec, &src));
    spec.location = lab_text("nbd://127.0.0.1:%u/x", lab_port());
    FAILS(NET, "refused", bdr_source_open(&spec, &src));
    spec.location = "nbd://[bad";
    FAILS(INVAL, "connecting to nbd://[bad", bdr_source_open(&spec, &src));
    spec = disk->spec;
    spec.dirty_bitmap = "nobody";
    FAILS(NOTFOUND, "has no qemu:dirty-bitmap:nobody", bdr_source_open(&spec, &src));
    spec = disk->spec;
    spec.tls_ca = "/etc/ssl/ca.pem";
    FAILS(INVAL, "write nbds", bdr_source_open(&spec, &src));
}

/* A CA, and a certificate of it for 127.0.0.1; twice: the second CA is nobody's friend. */
static void make_certs(struct lab *lab)
{
    const char *dir = lab_path(lab, "pki");

    assert_int_equal(mkdir(dir, 0700), 0);
    for (int i = 0; i < 2; i++)
        RUN("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=test ca", "-keyout", lab_text("%s/%s-key.pem", dir, i ? "other" : "ca"), "-out",
            lab_text("%s/%s-cert.pem", dir, i ? "other" : "ca"));
    RUN("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext",
        "basicConstraints=critical,CA:FALSE", "-CA", lab_text("%s/ca-cert.pem", dir), "-CAkey",
        lab_text("%s/ca-key.pem", dir), "-keyout", lab_text("%s/server-key.pem", dir), "-out",
        lab_text("%s/server-cert.pem", dir));
}

static bool make_nbds(struct lab *lab, struct conform_disk *out)
{
    const char *pid = lab_path(lab, "nbdkit.pid"), *port = lab_text("%u", lab_port());

    *out = (struct conform_disk){.ref = lab_path(lab, "disk.img"), .holes = true};
    lab_fill(out->ref, "mem:" SIZE "," NEW);
    make_certs(lab);
    SERVE(lab, pid, "nbdkit", "-r", "-i", "127.0.0.1", "-p", port, "-P", pid, "--tls=require",
          lab_text("--tls-certificates=%s", lab_path(lab, "pki")), "file", out->ref);
    out->spec.location = lab_text("nbds://localhost:%s/", port);
    out->spec.tls_ca = lab_path(lab, "pki/ca-cert.pem");
    return true;
}

static void more_nbds(struct lab *lab, const struct conform_disk *disk)
{
    struct bdr_source_spec spec = disk->spec;
    struct bdr_source *src = NULL;

    spec.tls_ca = lab_path(lab, "pki/other-cert.pem");
    FAILS(AUTH, "check the TLS files", bdr_source_open(&spec, &src));
    spec.tls_ca = lab_path(lab, "pki/none.pem");
    FAILS(NOTFOUND, "none.pem", bdr_source_open(&spec, &src));
    spec = disk->spec;
    spec.tls_ca = NULL;
    spec.location = lab_text("nbd%s", strchr(disk->spec.location, ':'));
    FAILS(AUTH, "a server that wants TLS needs nbds://", bdr_source_open(&spec, &src));
}

/* ---- qcow2 and friends ---- */

/* An image with a bitmap "since" of what qemu-io changed, discarded and zeroed; ref and base by qemu-img. */
static void make_image(struct lab *lab, struct conform_disk *out, const char *image)
{
    *out = (struct conform_disk){.ref = lab_path(lab, "ref.raw"), .base = lab_path(lab, "base.raw"), .holes = true};
    lab_fill(out->base, "mem:" SIZE "," OLD);
    RUN("qemu-img", "convert", "-f", "raw", "-O", "qcow2", out->base, image);
    RUN("qemu-img", "bitmap", "--add", "-g", "4096", "-f", "qcow2", image, "since");
    RUN("qemu-io", "-f", "qcow2", "-d", "unmap", "-c", "write -P 7 1048577 5000", "-c", "write -z 3M 64k", "-c",
        "discard 5M 128k", "-c", "write -P 0 7M 4k", "-c", "write -P 9 12582400 512", image);
    RUN("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, out->ref);
}

static bool make_qcow2(struct lab *lab, struct conform_disk *out)
{
    const char *image = lab_path(lab, "with, comma and space.qcow2");

    make_image(lab, out, image);
    out->spec.location = image;
    out->spec.dirty_bitmap = "since";
    return true;
}

static bool make_nbd_bitmap(struct lab *lab, struct conform_disk *out)
{
    const char *image = lab_path(lab, "disk.qcow2"), *sock = lab_path(lab, "sock"), *pid = lab_path(lab, "pid");

    make_image(lab, out, image);
    SERVE(lab, pid, "qemu-nbd", "-r", "-t", "-f", "qcow2", "-k", sock, "-B", "since", "-e", "8", "--fork", "--pid-file",
          pid, image);
    out->spec.location = lab_text("nbd+unix:///?socket=%s", sock);
    out->spec.dirty_bitmap = "since";
    return true;
}

static void more_qcow2(struct lab *lab, const struct conform_disk *disk)
{
    const char *locked = lab_path(lab, "locked.qcow2"), *linked = lab_path(lab, "linked.qcow2"), *sock, *pid;
    struct bdr_source_spec spec = disk->spec;
    struct bdr_source *src = NULL;
    struct bdr_source_info info;

    OK(bdr_source_open(&spec, &src));
    OK(bdr_source_info(src, &info));
    assert_string_equal(src->drv->name, "qemu");
    assert_string_equal(info.identity, lab_text("file:%s", disk->spec.location));
    bdr_source_close(src);
    src = NULL;
    spec.dirty_bitmap = "nobody";
    FAILS(NOTFOUND, "nobody", bdr_source_open(&spec, &src));
    spec = (struct bdr_source_spec){.location = lab_text("qcow2:%s", disk->ref)};
    FAILS(INVAL, "qcow2", bdr_source_open(&spec, &src));
    spec.location = "qcow2:/nowhere";
    FAILS(NOTFOUND, "/nowhere", bdr_source_open(&spec, &src));
    spec.location = "qemu:/nowhere";
    FAILS(INVAL, "write qemu:FORMAT:/path", bdr_source_open(&spec, &src));
    spec.location = "qemu:ssh:/nowhere";
    FAILS(INVAL, "write qemu:FORMAT:/path", bdr_source_open(&spec, &src));

    /* A backing file: only by the explicit scheme. */
    RUN("qemu-img", "create", "-q", "-f", "qcow2", "-b", disk->ref, "-F", "raw", linked);
    spec.location = linked;
    FAILS(INVAL, "names other files", bdr_source_open(&spec, &src));
    spec.location = lab_text("qcow2:%s", linked);
    OK(bdr_source_open(&spec, &src));
    bdr_source_close(src);
    src = NULL;

    /* In use: somebody has it open for writing. */
    RUN("qemu-img", "create", "-q", "-f", "qcow2", locked, "1M");
    sock = lab_path(lab, "lock.sock");
    pid = lab_path(lab, "lock.pid");
    SERVE(lab, pid, "qemu-nbd", "-t", "-f", "qcow2", "-k", sock, "--fork", "--pid-file", pid, locked);
    spec.location = locked;
    FAILS(BUSY, "stop the machine that uses it", bdr_source_open(&spec, &src));

    /* Not installed. */
    {
        const char *path = lab_text("%s", getenv("PATH"));

        setenv("PATH", "/nowhere", 1);
        FAILS(UNSUPPORTED, "install qemu-utils", bdr_source_open(&disk->spec, &src));
        setenv("PATH", path, 1);
    }
    assert_null(src);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no server is left behind */
    assert_int_equal(errno, ECHILD);
}

static bool make_format(struct lab *lab, struct conform_disk *out, const char *format)
{
    const char *image = lab_path(lab, "image"), *first = lab_path(lab, "first.raw");

    *out = (struct conform_disk){.ref = lab_path(lab, "ref.raw"), .holes = true};
    lab_fill(first, "mem:" SIZE "," NEW);
    RUN("qemu-img", "convert", "-f", "raw", "-O", format, first, image);
    RUN("qemu-img", "convert", "-f", format, "-O", "raw", image, out->ref);
    out->spec.location = lab_text("qemu:%s:%s", format, image);
    return true;
}

static bool make_vmdk(struct lab *lab, struct conform_disk *out)
{
    return make_format(lab, out, "vmdk");
}

/* QEMU 7.2 tells no zeros for these two. */
static bool make_vdi(struct lab *lab, struct conform_disk *out)
{
    make_format(lab, out, "vdi");
    out->holes = false;
    return true;
}

static bool make_vhdx(struct lab *lab, struct conform_disk *out)
{
    make_format(lab, out, "vhdx");
    out->holes = false;
    return true;
}

/* ---- live ---- */

static bool make_live(struct lab *lab, struct conform_disk *out)
{
    if (geteuid() || !make_loop_512(lab, out))
        return false;
    out->spec.location = lab_text("live:%s", out->spec.location);
    return true;
}

/* A partition is refused with the name of its disk; a file is no disk of this machine. */
static void more_live(struct lab *lab, const struct conform_disk *disk)
{
    struct bdr_source *src = NULL;
    struct bdr_source_info info;

    (void)lab;
    FAILS(INVAL, "not a block device", bdr_source_open(&(struct bdr_source_spec){.location = lab_text("live:%s", disk->ref)}, &src));
    FAILS(NOTFOUND, "finding", bdr_source_open(&(struct bdr_source_spec){.location = "live:/dev/none"}, &src));
    OK(bdr_source_open(&disk->spec, &src));
    OK(bdr_source_info(src, &info));
    assert_true(info.live);
    assert_string_equal(info.consistency, "inconsistent"); /* without a moment */
    assert_int_equal(strncmp(info.identity, "loop:", 5), 0); /* as blockdev has it: points before and after fit */
    bdr_source_close(src);
}

static struct {
    struct bdr_moment *moments[128];
    size_t n;
    struct bdr_source_spec spec;
    char *token;
    char pins[64];
} tracked;

static void tracked_end(void)
{
    while (tracked.n)
        bdr_moment_close(tracked.moments[--tracked.n]);
    bdr_err_drop(bdr_track_stop(NULL), "the pins go with it");
    bdr_err_drop(bdr_os_remove_tree(tracked.pins), "nothing but folders is left");
    free(tracked.token);
}

/* The same disk, opened with a moment of its own. */
static void wrap_tracked(struct bdr_source **src)
{
    struct bdr_moment *m = NULL;
    struct bdr_source_spec spec = tracked.spec;

    bdr_source_close(*src);
    *src = NULL;
    assert_true(tracked.n < BDR_COUNT(tracked.moments));
    OK(bdr_live_moment_open(&(struct bdr_live_options){0}, &m));
    tracked.moments[tracked.n++] = m;
    spec.moment = m;
    OK(bdr_source_open(&spec, src));
    if (tracked.token)
        OK(bdr_source_since(*src, tracked.token));
}

static bool make_tracked(struct lab *lab, struct conform_disk *out)
{
    struct bdr_source *src = NULL;
    struct bdr_err *err;
    BDR_AUTO(fd) int fd = -1;

    snprintf(tracked.pins, sizeof(tracked.pins), "/sys/fs/bpf/bdr-conform-%d", (int)getpid());
    setenv("BDR_TRACK_PINS", tracked.pins, 1);
    err = bdr_track_supported();
    if (err || !make_live(lab, out)) {
        bdr_err_drop(err, "no tracking here");
        return false;
    }
    out->base = lab_path(lab, "base");
    lab_fill(out->base, "mem:" SIZE "," NEW);
    tracked.spec = out->spec;
    atexit(tracked_end);
    OK(bdr_source_open(&out->spec, &src));
    wrap_tracked(&src);
    OK(bdr_source_token(src, &tracked.token));
    assert_non_null(tracked.token);
    bdr_source_close(src);
    fd = open(strchr(out->spec.location, '/'), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (unsigned i = 0; i < 4; i++) {
        static const uint8_t bytes[5000] = {1, 2, 3};

        OK(bdr_os_pwrite(fd, "the loop device", bytes, sizeof(bytes), i * 3000001));
        lab_poke(out->ref, i * 3000001, bytes, sizeof(bytes));
    }
    assert_int_equal(fsync(fd), 0);
    return true;
}

/* ---- wrappers around mem ---- */

static void wrap_all(struct bdr_source **src)
{
    static const struct bdr_retry_policy policy = {.attempts = 20, .first_delay_ms = 1, .max_delay_ms = 1};

    bdr_log_setup(BDR_LOG_ERROR, false); /* retries warn */
    OK(bdr_source_wrap_fault(src, &(struct bdr_fault_plan){.every_nth = 5}));
    OK(bdr_source_wrap_retry(src, &policy, NULL));
    OK(bdr_source_wrap_rate(src, (uint64_t)1 << 40, (uint64_t)1 << 40, NULL));
    OK(bdr_source_wrap_trace(src));
}

const struct conform_row source_rows[] = {
    {.name = "mem", .make = make_mem},
    {.name = "mem-4096", .make = make_mem_4096},
    {.name = "mem-plain", .make = make_mem_plain},
    {.name = "file", .make = make_file},
    {.name = "file-odd", .make = make_file_odd},
    {.name = "file-empty", .make = make_file_empty},
    {.name = "file-changed", .make = make_file_changed},
    {.name = "blockdev-512", .make = make_loop_512, .more = more_loop},
    {.name = "blockdev-4096", .make = make_loop_4096, .more = more_loop},
    {.name = "blockdev-ragged", .make = make_loop_ragged},
    {.name = "blockdev-pread", .make = make_loop_pread, .more = more_loop},
    {.name = "nbd-multi", .make = make_nbdkit_multi, .more = more_nbdkit},
    {.name = "nbd-single", .make = make_nbdkit_single, .more = more_nbdkit},
    {.name = "nbd-4096", .make = make_nbdkit_4096},
    {.name = "nbd-tcp", .make = make_nbd_tcp, .more = more_nbd_tcp},
    {.name = "nbd-tls", .make = make_nbds, .more = more_nbds},
    {.name = "nbd-bitmap", .make = make_nbd_bitmap},
    {.name = "qcow2", .make = make_qcow2, .more = more_qcow2},
    {.name = "vmdk", .make = make_vmdk},
    {.name = "vdi", .make = make_vdi},
    {.name = "vhdx", .make = make_vhdx},
    {.name = "live", .make = make_live, .more = more_live},
    {.name = "live-tracked", .make = make_tracked, .wrap = wrap_tracked, .since = true},
    {.name = "wrappers", .make = make_mem, .wrap = wrap_all},
};
const size_t source_rows_n = BDR_COUNT(source_rows);
