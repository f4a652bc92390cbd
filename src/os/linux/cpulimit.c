/* SPDX-License-Identifier: Apache-2.0 */
/* cpulimit.c - cgroups(7), Documentation/admin-guide/cgroup-v2.rst "CPU", scheduler/sched-bwc.rst (version 1). */
#include "bdr/cpulimit.h"
#include "bdr/clock.h"
#include "bdr/osfile.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CPU_PERIOD_US 100000u    /* the kernel's default */
#define CPU_BURST_NS  100000000u /* the same for pauses: what an idle time saves up at most */
#define CPU_SLICE_MS  1000u      /* a pause looks again so often */

static struct cpu_limit {
    pthread_mutex_t lock; /* guards what follows */
    enum bdr_cpu_way way;
    uint32_t pct;
    char file[PATH_MAX];         /* of the group's limit */
    bool version2;
    uint64_t base_ns, cpu_ns;    /* at this time the share was used up to this */
    uint64_t paused_ms;
} cpu = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the group ---- */

static bool cpu_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return good;
}

static bool cpu_read(const char *path, char *out, size_t max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, max - 1) : -1;

    if (fd >= 0)
        close(fd);
    out[BDR_MAX(n, 0)] = 0;
    return n > 0;
}

/* The path of our group in this hierarchy: a line "N:cpu,cpuacct:/PATH", or "0::/PATH" of version 2. */
static bool cpu_group(const char *controller, char out[PATH_MAX])
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX + 256];
    bool found = false;

    while (f && !found && fgets(line, sizeof(line), f)) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        names++;
        found = !*controller ? !*names : false;
        for (char *save = NULL, *n = strtok_r(names, ",", &save); n && *controller; n = strtok_r(NULL, ",", &save))
            found |= !strcmp(n, controller);
        if (found)
            snprintf(out, PATH_MAX, "%s", path);
    }
    if (f)
        fclose(f);
    return found && strcmp(out, "/") && !strstr(out, "/.."); /* the root has no limit; one outside our view is not ours */
}

/* Where the hierarchy is mounted as a whole: version 2, or that of version 1's controller. */
static bool cpu_mount(bool version2, char out[PATH_MAX])
{
    FILE *f = fopen("/proc/self/mounts", "re");
    char line[2 * PATH_MAX], at[PATH_MAX], type[64], opts[1024];
    bool found = false;

    while (f && !found && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%*s %4095s %63s %1023s", at, type, opts) != 3 || strcmp(type, version2 ? "cgroup2" : "cgroup"))
            continue;
        found = version2;
        for (char *save = NULL, *n = strtok_r(opts, ",", &save); n && !version2; n = strtok_r(NULL, ",", &save))
            found |= !strcmp(n, "cpu");
    }
    if (f)
        fclose(f);
    if (found)
        snprintf(out, PATH_MAX, "%s", at);
    return found;
}

/* Is nobody but this process in the group? Ours alone means that nobody else is slowed down. */
static bool cpu_alone(const char *folder)
{
    char path[PATH_MAX], text[256], mine[32];

    if (snprintf(path, sizeof(path), "%s/cgroup.procs", folder) >= PATH_MAX || !cpu_read(path, text, sizeof(text)))
        return false;
    snprintf(mine, sizeof(mine), "%ld\n", (long)getpid());
    return !strcmp(text, mine);
}

static bool cpu_group_set(bool limited)
{
    char text[64];

    if (!limited)
        return cpu_write(cpu.file, cpu.version2 ? "max" : "-1");
    if (cpu.version2)
        snprintf(text, sizeof(text), "%llu %u", (unsigned long long)cpu.pct * CPU_PERIOD_US / 100, CPU_PERIOD_US);
    else
        snprintf(text, sizeof(text), "%llu", (unsigned long long)cpu.pct * CPU_PERIOD_US / 100);
    return cpu_write(cpu.file, text);
}

static bool cpu_group_take(bool version2)
{
    char mount[PATH_MAX], group[PATH_MAX], folder[PATH_MAX], now[64];

    if (!cpu_group(version2 ? "" : "cpu", group) || !cpu_mount(version2, mount) ||
        snprintf(folder, sizeof(folder), "%s%s", mount, group) >= PATH_MAX || !cpu_alone(folder) ||
        snprintf(cpu.file, sizeof(cpu.file), "%s/%s", folder, version2 ? "cpu.max" : "cpu.cfs_quota_us") >= PATH_MAX)
        return false;
    /* What somebody else set is not ours to change. */
    if (!cpu_read(cpu.file, now, sizeof(now)) || strncmp(now, version2 ? "max" : "-1", version2 ? 3 : 2))
        return false;
    cpu.version2 = version2;
    return cpu_group_set(true);
}

/* ---- pauses ---- */

static uint64_t cpu_used(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void cpu_begin(void)
{
    cpu.base_ns = bdr_clock_mono_ns();
    cpu.cpu_ns = cpu_used();
}

/* How long until what was used has been earned; idle times save up one burst. Under the lock. */
static uint64_t cpu_debt_ms(void)
{
    uint64_t now = bdr_clock_mono_ns(), used = cpu_used() - cpu.cpu_ns;
    double earned = (double)(now - cpu.base_ns) * cpu.pct / 100;

    if ((double)used <= earned) {
        if (earned - (double)used > CPU_BURST_NS) {
            cpu.base_ns = now - (uint64_t)CPU_BURST_NS * 100 / cpu.pct;
            cpu.cpu_ns += used;
        }
        return 0;
    }
    return (uint64_t)(((double)used - earned) * 100 / cpu.pct / 1e6) + 1;
}

struct bdr_err *bdr_os_cpu_pause(const struct bdr_cancel *cancel)
{
    for (;;) {
        uint64_t ms = 0;

        pthread_mutex_lock(&cpu.lock);
        if (cpu.way == BDR_CPU_PAUSES)
            ms = BDR_MIN(cpu_debt_ms(), (uint64_t)CPU_SLICE_MS);
        cpu.paused_ms += ms;
        pthread_mutex_unlock(&cpu.lock);
        if (!ms)
            return NULL;
        BDR_TRY(bdr_cancel_sleep(cancel, ms));
    }
}

uint64_t bdr_os_cpu_paused_ms(void)
{
    uint64_t ms;

    pthread_mutex_lock(&cpu.lock);
    ms = cpu.paused_ms;
    pthread_mutex_unlock(&cpu.lock);
    return ms;
}

/* ---- all ---- */

enum bdr_cpu_way bdr_os_cpu_limit(uint32_t pct)
{
    enum bdr_cpu_way way;

    pthread_mutex_lock(&cpu.lock);
    if (cpu.way == BDR_CPU_GROUP)
        (void)cpu_group_set(false); /* a group that is gone has no limit either */
    cpu.pct = BDR_MIN(pct, (uint32_t)BDR_CPU_LIMIT_MAX_PCT);
    cpu.way = !pct ? BDR_CPU_FREE : cpu_group_take(true) || cpu_group_take(false) ? BDR_CPU_GROUP : BDR_CPU_PAUSES;
    cpu_begin();
    way = cpu.way;
    pthread_mutex_unlock(&cpu.lock);
    return way;
}

void bdr_os_cpu_lift(void)
{
    pthread_mutex_lock(&cpu.lock);
    if (cpu.way == BDR_CPU_GROUP)
        (void)cpu_group_set(false);
    pthread_mutex_unlock(&cpu.lock);
}

void bdr_os_cpu_again(void)
{
    pthread_mutex_lock(&cpu.lock);
    if (cpu.way == BDR_CPU_GROUP)
        (void)cpu_group_set(true);
    pthread_mutex_unlock(&cpu.lock);
}
