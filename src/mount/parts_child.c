/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts_child.c - bdr-parts: reads a partition table that a guest made, with no other right than that.
 *
 * Started by the mount for one disk (parts.c). It has no key, no environment, no file and no network: only a socket,
 * over which it asks for bytes of the disk (parts_wire.h). They go into a memory file, as libblkid wants a file. Before
 * the first of them is read every system call but the few below is forbidden; before libblkid gets the file it can't be
 * written any more, so a table that takes libblkid over can neither grow it nor say anything but wrong partitions.
 * Stands alone: nothing of ours is linked into it.
 */
#include "parts_wire.h"
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHILD_SOCKET 3
#define CHILD_MEMORY (128u << 20) /* address space: libblkid keeps what it has read, 2 MiB here */
#define CHILD_CPU_S  5
#define CHILD_NOBODY 65534

#if defined(__x86_64__)
#define CHILD_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CHILD_ARCH AUDIT_ARCH_AARCH64
#endif

/* ---- giving up rights ---- */

static void child_limit(int what, rlim_t n)
{
    struct rlimit r = {n, n};

    setrlimit(what, &r);
}

#ifdef CHILD_ARCH
#define CHILD_ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* What libc's malloc and libblkid's reading of a regular file need. Anything else fails with EPERM. */
static const struct sock_filter child_calls[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CHILD_ARCH, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    CHILD_ALLOW(SYS_read),
    CHILD_ALLOW(SYS_pread64),
    CHILD_ALLOW(SYS_lseek),
    CHILD_ALLOW(SYS_sendto),
    CHILD_ALLOW(SYS_recvfrom),
    CHILD_ALLOW(SYS_brk),
    CHILD_ALLOW(SYS_mmap),
    CHILD_ALLOW(SYS_munmap),
    CHILD_ALLOW(SYS_mremap),
    CHILD_ALLOW(SYS_mprotect),
    CHILD_ALLOW(SYS_madvise),
    CHILD_ALLOW(SYS_futex),
    CHILD_ALLOW(SYS_fstat),
    CHILD_ALLOW(SYS_newfstatat),
    CHILD_ALLOW(SYS_close),
    CHILD_ALLOW(SYS_exit),
    CHILD_ALLOW(SYS_exit_group),
    CHILD_ALLOW(SYS_rt_sigreturn),
    CHILD_ALLOW(SYS_restart_syscall),
    /* to fill and seal the memory file; a second filter takes these back */
    CHILD_ALLOW(SYS_pwrite64),
    CHILD_ALLOW(SYS_fcntl),
    CHILD_ALLOW(SYS_prctl),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
};
static const struct sock_filter child_calls_later[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwrite64, 2, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 1, 0),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
#define CHILD_FILTER(calls)                                                                                            \
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,                                                                         \
          &(struct sock_fprog){sizeof(calls) / sizeof((calls)[0]), (struct sock_filter *)(uintptr_t)(calls)})
#else /* an architecture nobody has listed the calls of: limits and privileges only */
#define CHILD_FILTER(calls) 0
#endif

static bool child_give_up_rights(void)
{
    close_range(CHILD_SOCKET + 1, ~0u, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
    child_limit(RLIMIT_CORE, 0);
    child_limit(RLIMIT_CPU, CHILD_CPU_S);
    child_limit(RLIMIT_AS, CHILD_MEMORY);
    if (!geteuid() && (setgroups(0, NULL) || setresgid(CHILD_NOBODY, CHILD_NOBODY, CHILD_NOBODY) ||
                       setresuid(CHILD_NOBODY, CHILD_NOBODY, CHILD_NOBODY)))
        errno = 0; /* a namespace that knows no nobody: no call that asks for an owner is left anyway */
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* ---- the disk, by asking ---- */

static uint8_t child_piece[PARTS_READ_BYTES];

/* False: the mount does not answer; it has gone, or had enough of us. */
static bool child_ask(uint64_t off, uint32_t len)
{
    uint8_t ask[PARTS_ASK_BYTES] = {'R'};

    parts_put(ask + 1, off, 8);
    parts_put(ask + 9, len, 4);
    return send(CHILD_SOCKET, ask, sizeof(ask), MSG_NOSIGNAL) == (ssize_t)sizeof(ask) &&
           recv(CHILD_SOCKET, child_piece, sizeof(child_piece), 0) == (ssize_t)len;
}

static bool child_copy(int fd, uint64_t off, uint64_t len)
{
    for (uint32_t n; len; off += n, len -= n) {
        n = len < PARTS_READ_BYTES ? (uint32_t)len : PARTS_READ_BYTES;
        if (!child_ask(off, n) || pwrite(fd, child_piece, n, (off_t)off) != (ssize_t)n)
            return false;
    }
    return true;
}

/* The first entry of a boot record that is an extended partition: its start in sectors, or 0. */
static uint32_t child_extended(const uint8_t *sector)
{
    if (sector[510] != 0x55 || sector[511] != 0xaa)
        return 0;
    for (const uint8_t *e = sector + 446; e < sector + 510; e += 16)
        if (e[4] == 0x05 || e[4] == 0x0f || e[4] == 0x85)
            return (uint32_t)parts_get(e + 8, 4);
    return 0;
}

/* Extended boot records lie anywhere on the disk, each naming the next relative to the first. */
static bool child_copy_ebrs(int fd, uint64_t size, uint32_t sector)
{
    uint64_t first, at;
    uint32_t next = 0;

    if (size < 512)
        return true;
    if (!child_ask(0, 512))
        return false;
    first = child_extended(child_piece);
    for (unsigned i = 0; first && i < PARTS_EBR_MAX; i++) {
        at = (first + next) * sector;
        if (at > size || size - at < 512)
            return true;
        if (!child_copy(fd, at, 512))
            return false;
        next = child_extended(child_piece);
        if (!next)
            return true;
    }
    return true;
}

/* ---- what is in it ---- */

static void child_text(uint8_t *out, size_t n, const char *text)
{
    snprintf((char *)out, n, "%s", text ? text : "");
}

static bool child_tell(blkid_partition par)
{
    uint8_t row[PARTS_ROW_BYTES] = {'P'}, *p = row + 1;
    int number = blkid_partition_get_partno(par);
    int64_t start = blkid_partition_get_start(par), len = blkid_partition_get_size(par);
    const char *type = blkid_partition_get_type_string(par);

    if (blkid_partition_is_extended(par) || number <= 0 || start < 0 || len <= 0 || start > INT64_MAX / 512 ||
        len > INT64_MAX / 512)
        return true;
    parts_put(p, (uint64_t)number, 4);
    parts_put(p + 4, (uint64_t)start * 512, 8); /* libblkid counts 512-byte sectors whatever the disk's are */
    parts_put(p + 12, (uint64_t)len * 512, 8);
    p += 20;
    if (type)
        child_text(p, PARTS_TYPE, type);
    else
        snprintf((char *)p, PARTS_TYPE, "0x%02x", (unsigned)blkid_partition_get_type(par));
    child_text(p + PARTS_TYPE, PARTS_UUID, blkid_partition_get_uuid(par));
    child_text(p + PARTS_TYPE + PARTS_UUID, PARTS_NAME, blkid_partition_get_name(par));
    return send(CHILD_SOCKET, row, sizeof(row), MSG_NOSIGNAL) == (ssize_t)sizeof(row);
}

static bool child_probe(int fd, uint64_t size, uint32_t sector)
{
    blkid_probe probe = blkid_new_probe();
    blkid_partlist list = NULL;
    bool ok = true;

    if (!probe)
        return false;
    if (!blkid_probe_set_device(probe, fd, 0, (blkid_loff_t)size) && !blkid_probe_set_sectorsize(probe, sector) &&
        !blkid_probe_enable_superblocks(probe, 0) && !blkid_probe_enable_partitions(probe, 1))
        list = blkid_probe_get_partitions(probe);
    for (int i = 0; ok && list && i < blkid_partlist_numof_partitions(list) && i < (int)PARTS_MAX; i++)
        ok = child_tell(blkid_partlist_get_partition(list, i));
    return ok; /* the process ends: nothing is freed */
}

int main(void)
{
    uint8_t hello[PARTS_HELLO_BYTES];
    uint64_t size, edge;
    uint32_t sector;
    int fd;

    if (recv(CHILD_SOCKET, hello, sizeof(hello), 0) != (ssize_t)sizeof(hello))
        return 2;
    size = parts_get(hello, 8);
    sector = (uint32_t)parts_get(hello + 8, 4);
    edge = size < PARTS_EDGE_BYTES ? size : PARTS_EDGE_BYTES;
    if (!child_give_up_rights())
        return 3;
    fd = memfd_create("bdr-parts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)size) || CHILD_FILTER(child_calls))
        return 4;
    /* From here on bytes of the guest are in this process. */
    if (!child_copy(fd, 0, edge) || !child_copy(fd, size - edge, edge) || !child_copy_ebrs(fd, size, sector))
        return 5;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) || CHILD_FILTER(child_calls_later))
        return 6;
    if (!child_probe(fd, size, sector))
        return 7;
    return send(CHILD_SOCKET, "E", 1, MSG_NOSIGNAL) == 1 ? 0 : 8;
}
