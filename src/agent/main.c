/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main.c - bdr-agent: two processes that watch over each other.
 *
 * This one is the reader (reader.c); it starts the speaker (speaker.c), which gives its rights up, and starts it again
 * when it dies. When the reader dies the kernel ends the speaker. See docs/agent.md.
 */
#include "bdr/clock.h"
#include "bdr/log.h"
#include "bdr/service.h"
#include "bdr/track.h"
#include "speaker.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define AGENT_AGAIN_MS     1000
#define AGENT_AGAIN_MAX_MS 30000
#define AGENT_STEADY_MS    60000
#define AGENT_GOODBYE_MS   20000 /* then the speaker is ended; file systems are thawed before */

struct pairs {
    int reader[TALK_LANES], speaker[TALK_LANES];
};

static struct bdr_err *pairs_make(struct pairs *p)
{
    int room = 4 * (int)TALK_BODY_MAX;

    for (size_t i = 0; i < TALK_LANES; i++) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
            BDR_FAIL_ERRNO("making sockets between the agent's processes");
        p->reader[i] = fds[0];
        p->speaker[i] = fds[1];
        setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
        setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    }
    return NULL;
}

static void pairs_close(int fds[TALK_LANES])
{
    for (size_t i = 0; i < TALK_LANES; i++)
        close(fds[i]);
}

/* In the child: never returns. */
static void speaker_main(const struct bdr_prog_options *opt, struct pairs *p, uint8_t *slots, pid_t parent,
                         struct bdr_cancel *cancel)
{
    struct bdr_err *err = NULL;
    bool filtered = false;
    uid_t uid = 0;
    gid_t gid = 0;
    int code = 0;

    pairs_close(p->reader);
    unsetenv("NOTIFY_SOCKET"); /* the reader speaks to the service manager */
    if (opt->user && !geteuid()) {
        err = bdr_os_user(opt->user, &uid, &gid);
        if (!err)
            err = bdr_os_become(uid, gid);
    } else if (!geteuid()) {
        BDR_LOG(WARN, "agent.speaker-as-root", F_STR("why", "no --user was given"));
    }
    if (!err)
        err = bdr_os_die_with_parent(parent);
    if (!err)
        err = bdr_os_never(BDR_NEVER_EXEC | BDR_NEVER_SYSTEM | BDR_NEVER_DEVICE, &filtered);
    if (!err && !filtered)
        BDR_LOG(WARN, "agent.speaker-unfiltered", F_STR("why", "this kernel has no filter of system calls"));
    if (!err)
        err = speaker_run(opt, p->speaker, slots, cancel);
    if (err) {
        code = err->code == BDR_NOTFOUND ? 5 : bdr_code_exit(err->code);
        BDR_LOG(ERROR, "agent.speaker", F_ERR(err));
        bdr_err_drop(err, "told");
    }
    _exit(code);
}

/* Waits for the speaker's end, passing on the wish to stop. */
static int speaker_wait(pid_t pid, const struct bdr_cancel *cancel)
{
    uint64_t kill_ms = UINT64_MAX;
    int st = 0;

    while (waitpid(pid, &st, WNOHANG) == 0) {
        if (bdr_cancelled(cancel) && kill_ms == UINT64_MAX) {
            kill(pid, SIGTERM);
            kill_ms = bdr_clock_mono_ms() + AGENT_GOODBYE_MS;
        }
        if (bdr_clock_mono_ms() >= kill_ms)
            kill(pid, SIGKILL);
        bdr_err_drop(bdr_cancel_sleep(NULL, 20), "looks again");
    }
    return WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
}

/* One speaker from its start to its end. */
static struct bdr_err *agent_once(const struct bdr_prog_options *opt, struct reader *reader, uint8_t *slots,
                                  struct bdr_cancel *cancel, int *out_code)
{
    struct bdr_pool *pool = NULL;
    struct pairs p;
    struct bdr_err *err;
    pid_t pid, parent = getpid();

    BDR_TRY(pairs_make(&p));
    pid = fork();
    if (pid == 0)
        speaker_main(opt, &p, slots, parent, cancel);
    pairs_close(p.speaker);
    if (pid < 0) {
        pairs_close(p.reader);
        BDR_FAIL_ERRNO("starting the agent's other process");
    }
    err = reader_serve(reader, p.reader, &pool);
    if (err)
        kill(pid, SIGKILL);
    *out_code = speaker_wait(pid, cancel);
    reader_stop(reader);
    for (size_t i = 0; i < TALK_LANES; i++)
        shutdown(p.reader[i], SHUT_RDWR);
    bdr_err_drop(bdr_pool_join(pool), "a lane that broke with its speaker");
    pairs_close(p.reader);
    reader_reset(reader); /* thaws, closes */
    return err;
}

static struct bdr_err *agent_life(const struct bdr_prog_options *opt, uint8_t *slots, struct bdr_cancel *cancel)
{
    const struct reader_config cfg = {.disks = opt->disks, .scripts = opt->scripts};
    struct reader *reader = NULL;
    struct bdr_err *err = NULL;
    uint64_t pause = AGENT_AGAIN_MS;
    int code = 0;

    BDR_TRY(reader_new(&cfg, slots, &reader));
    bdr_os_notify("READY=1\nSTATUS=running");
    while (!err && !bdr_cancelled(cancel)) {
        uint64_t begun = bdr_clock_mono_ms();

        err = agent_once(opt, reader, slots, cancel, &code);
        if (err || bdr_cancelled(cancel))
            break;
        if (code == 5) {
            err = bdr_err_new(BDR_NOTFOUND, 0, BDR_AT, "this machine is not enrolled; run 'bdr-agent enrol' first");
            break;
        }
        pause = bdr_clock_mono_ms() - begun > AGENT_STEADY_MS ? AGENT_AGAIN_MS
                                                              : BDR_MIN(pause * 2, (uint64_t)AGENT_AGAIN_MAX_MS);
        BDR_LOG(ERROR, "agent.speaker-died", F_U64("code", (uint64_t)code), F_U64("again_ms", pause));
        bdr_err_drop(bdr_cancel_sleep(cancel, pause), "the loop looks");
    }
    bdr_os_notify("STOPPING=1");
    reader_free(reader);
    return err;
}

static struct bdr_err *agent_run(const struct bdr_prog_options *opt, struct bdr_cancel *cancel)
{
    struct bdr_worker_identity who;
    size_t bytes = (size_t)TALK_LANES * TALK_SLOT_BYTES;
    uint8_t *slots;
    struct bdr_err *err;

    BDR_TRY(bdr_worker_identity(opt->state, &who));
    slots = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED)
        BDR_FAIL_ERRNO("making memory for both processes");
    err = agent_life(opt, slots, cancel);
    munmap(slots, bytes);
    return err;
}

static bool agent_more(const char *command, const struct bdr_prog_options *opt, struct bdr_cancel *cancel,
                       struct bdr_err **out_err)
{
    BDR_AUTO(mem) char *text = NULL;

    (void)cancel;
    if (!strcmp(command, "untrack")) {
        *out_err = bdr_track_stop(NULL);
        return true;
    }
    if (strcmp(command, "inventory"))
        return false;
    *out_err = agent_inventory(opt->disks, &text);
    if (!*out_err)
        printf("%s\n", text);
    return true;
}

int main(int argc, char **argv)
{
    static const struct bdr_prog prog = {
        .name = "bdr-agent",
        .title = "OpenBDR agent: protects this machine",
        .state = "/var/lib/egisplus-agent/state",
        .kind = BDR_MACHINE_AGENT,
        .run = agent_run,
        .more = agent_more,
        .more_help = "  inventory       what would be told of this machine, as JSON\n"
                     "  untrack         take what tracks changed blocks out of the kernel\n",
    };

    return bdr_prog_main(&prog, argc, argv);
}
