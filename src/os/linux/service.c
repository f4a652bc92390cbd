/* SPDX-License-Identifier: Apache-2.0 */
/* service.c - sd_notify(3) by hand, another user, and filters of system calls. */
#include "bdr/service.h"
#include "bdr/bytes.h"
#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

void bdr_os_notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = path ? strlen(path) : 0;
    BDR_AUTO(fd) int fd = -1;

    if (!len || (path[0] != '/' && path[0] != '@') || len >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') /* an abstract name */
        to.sun_path[0] = 0;
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
        errno = 0; /* nobody listens: then nobody waits, either */
}

uint64_t bdr_os_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t us = 0, who = 0;
    struct bdr_err *err = usec ? bdr_u64_parse(usec, UINT64_MAX, &us) : NULL;

    err = bdr_err_first(err, pid ? bdr_u64_parse(pid, UINT32_MAX, &who) : NULL);
    if (err || (pid && who != (uint64_t)getpid()))
        us = 0;
    bdr_err_drop(err, "no watchdog then");
    return us / 1000;
}

struct bdr_err *bdr_os_user(const char *name, uid_t *out_uid, gid_t *out_gid)
{
    char line[512], want[64];
    size_t n = (size_t)snprintf(want, sizeof(want), "%s:", name);
    FILE *f = fopen("/etc/passwd", "re");

    /* By the file itself: a program that brings its own C library must not load the machine's name services. */
    if (!f)
        BDR_FAIL_ERRNO("opening /etc/passwd");
    while (fgets(line, sizeof(line), f)) {
        unsigned uid, gid;
        const char *p = strchr(line + n, ':');

        if (n < sizeof(want) && strlen(line) > n && !strncmp(line, want, n) && p &&
            sscanf(p + 1, "%u:%u:", &uid, &gid) == 2) {
            fclose(f);
            *out_uid = uid;
            *out_gid = gid;
            return NULL;
        }
    }
    fclose(f);
    BDR_FAIL(BDR_NOTFOUND, 0, "there is no user '%s' in /etc/passwd", name);
}

struct bdr_err *bdr_os_become(uid_t uid, gid_t gid)
{
    if (geteuid())
        return NULL;
    if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
        BDR_FAIL_ERRNO("becoming user %u", (unsigned)uid);
    if (uid && (!setuid(0) || !geteuid()))
        BDR_FAIL(BDR_DENIED, 0, "becoming user %u did not last", (unsigned)uid);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0))
        BDR_FAIL_ERRNO("giving up rights");
    return NULL;
}

struct bdr_err *bdr_os_become_server(uid_t uid, gid_t gid)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = 1u << CAP_NET_BIND_SERVICE, .permitted = 1u << CAP_NET_BIND_SERVICE}};

    if (geteuid())
        return NULL;
    if (prctl(PR_SET_KEEPCAPS, 1))
        BDR_FAIL_ERRNO("keeping the right to bind ports");
    BDR_TRY(bdr_os_become(uid, gid));
    if (syscall(SYS_capset, &head, caps)) /* all others go */
        BDR_FAIL_ERRNO("keeping the right to bind ports");
    return NULL;
}

struct bdr_err *bdr_os_die_with_parent(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL))
        BDR_FAIL_ERRNO("asking to die with the parent");
    if (getppid() != parent)
        BDR_FAIL(BDR_CANCELLED, ESRCH, "the parent died");
    return NULL;
}

#if defined(__x86_64__)
#define NEVER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NEVER_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef NEVER_ARCH
static const int never_exec[] = {SYS_execve, SYS_execveat};
static const int never_system[] = {
    SYS_mount,        SYS_umount2,          SYS_pivot_root,        SYS_chroot,        SYS_unshare,
    SYS_setns,        SYS_swapon,           SYS_swapoff,           SYS_reboot,        SYS_init_module,
    SYS_finit_module, SYS_delete_module,    SYS_kexec_load,        SYS_bpf,           SYS_perf_event_open,
    SYS_ptrace,       SYS_process_vm_readv, SYS_process_vm_writev, SYS_settimeofday,  SYS_clock_settime,
    SYS_adjtimex,     SYS_clock_adjtime,    SYS_sethostname,       SYS_setdomainname, SYS_acct,
    SYS_quotactl,     SYS_keyctl,           SYS_add_key,           SYS_request_key,   SYS_userfaultfd,
    SYS_syslog,
#ifdef SYS_iopl
    SYS_iopl,         SYS_ioperm,
#endif
};
static const int never_device[] = {
    SYS_open_by_handle_at,
    SYS_mknodat,
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
#ifdef SYS_mknod
    SYS_mknod,
#endif
};
static const int never_net[] = {SYS_socket};

struct never_prog {
    struct sock_filter at[256];
    unsigned short n;
};

static void never_put(struct never_prog *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
    p->at[p->n++] = (struct sock_filter){code, jt, jf, k};
}

static void never_calls(struct never_prog *p, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        never_put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], 0, 1);
        never_put(p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    }
}

/* socket(family): the families that lead out of this machine, or deep into its kernel, are refused. */
static void never_sockets(struct never_prog *p)
{
    never_put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)never_net[0], 0, 4);
    never_put(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0]), 0, 0);
    never_put(p, BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 2, 0);
    never_put(p, BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 1, 0);
    never_put(p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0, 0);
    never_put(p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
}

struct bdr_err *bdr_os_never(unsigned what, bool *out_on)
{
    struct never_prog p = {.n = 0};

    never_put(&p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
    never_put(&p, BPF_JMP | BPF_JEQ | BPF_K, NEVER_ARCH, 1, 0);
    never_put(&p, BPF_RET | BPF_K, SECCOMP_RET_KILL, 0, 0);
    never_put(&p, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
#ifdef __x86_64__ /* the x32 numbers are other names of the same calls */
    never_put(&p, BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1);
    never_put(&p, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
#endif
    if (what & BDR_NEVER_NET)
        never_sockets(&p);
    if (what & BDR_NEVER_EXEC)
        never_calls(&p, never_exec, BDR_COUNT(never_exec));
    if (what & BDR_NEVER_SYSTEM)
        never_calls(&p, never_system, BDR_COUNT(never_system));
    if (what & BDR_NEVER_DEVICE)
        never_calls(&p, never_device, BDR_COUNT(never_device));
    never_put(&p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    BDR_ASSERT(p.n < BDR_COUNT(p.at));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        BDR_FAIL_ERRNO("giving up rights");
    *out_on = !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){p.n, p.at});
    if (!*out_on && errno != EINVAL && errno != ENOSYS)
        BDR_FAIL_ERRNO("filtering system calls");
    return NULL;
}
#else
struct bdr_err *bdr_os_never(unsigned what, bool *out_on)
{
    (void)what;
    *out_on = false;
    return NULL;
}
#endif
