/* SPDX-License-Identifier: Apache-2.0 */
#include "bdr/osfile.h"
#include "bdr/osproc.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Field 22 of /proc/PID/stat: start time in clock ticks since boot (proc(5)); 0 when there is no such process. */
static unsigned long long proc_start(long pid)
{
    BDR_AUTO(mem) char *text = NULL;
    char path[40];
    size_t len = 0;
    char *p;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    struct bdr_err *err = bdr_os_read_file(path, 4096, &text, &len);
    if (err) {
        bdr_err_drop(err, "no such process");
        return 0;
    }
    p = strrchr(text, ')'); /* the name before it may hold anything */
    if (p && p[1] == ' ' && (p[2] == 'Z' || p[2] == 'X'))
        return 0; /* dead, only not yet waited for */
    for (int i = 0; p && i < 20; i++)
        p = strchr(p + 1, ' ');
    return p ? strtoull(p + 1, NULL, 10) : 0;
}

static struct bdr_err *proc_boot(char out[33])
{
    BDR_AUTO(mem) char *boot = NULL;
    size_t len = 0, n = 0;

    BDR_TRY(bdr_os_read_file("/proc/sys/kernel/random/boot_id", 64, &boot, &len));
    for (size_t i = 0; i < len && n < 32; i++)
        if (boot[i] != '-' && boot[i] != '\n')
            out[n++] = boot[i];
    out[n] = 0;
    return NULL;
}

struct bdr_err *bdr_os_process_name(char out[BDR_PROC_CHARS])
{
    char boot[33], machine[33] = "unknown";

    /* A container without a machine-id still has its kernel's boot id. */
    bdr_err_drop(bdr_os_machine_id("process", machine), "optional part of the name");
    BDR_TRY(proc_boot(boot));
    snprintf(out, BDR_PROC_CHARS, "%.8s/%.32s/%ld/%llu", machine, boot, (long)getpid(), proc_start((long)getpid()));
    return NULL;
}

struct bdr_err *bdr_os_process_alive(const char *name, bool *out_known, bool *out_alive)
{
    char machine[33] = "unknown", boot[33], want_machine[33], want_boot[33];
    long pid;
    unsigned long long start;

    *out_known = *out_alive = false;
    if (sscanf(name, "%32[^/]/%32[^/]/%ld/%llu", want_machine, want_boot, &pid, &start) != 4)
        return NULL;
    bdr_err_drop(bdr_os_machine_id("process", machine), "optional part of the name");
    if (strncmp(machine, want_machine, 8) != 0 || strlen(want_machine) > 8)
        return NULL;
    BDR_TRY(proc_boot(boot));
    *out_known = true;
    *out_alive = !strcmp(boot, want_boot) && proc_start(pid) == start;
    return NULL;
}

struct bdr_err *bdr_os_beside(const char *const *names, size_t n, char **out)
{
    char exe[4096];
    ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *slash;

    if (len < 0)
        BDR_FAIL_ERRNO("looking where this program lies");
    exe[len] = 0;
    slash = strrchr(exe, '/');
    if (slash)
        *slash = 0;
    for (size_t i = 0; i < n; i++) {
        BDR_AUTO(mem) char *path = NULL;

        if (asprintf(&path, "%s/%s", exe, names[i]) < 0) {
            path = NULL;
            BDR_FAIL(BDR_NOMEM, 0, "allocating memory");
        }
        if (!access(path, R_OK)) {
            *out = BDR_STEAL(path);
            return NULL;
        }
    }
    BDR_FAIL(BDR_NOTFOUND, 0, "'%s' is not beside the program in %s; is the installation complete?",
             strrchr(names[0], '/') ? strrchr(names[0], '/') + 1 : names[0], exe);
}
