/* SPDX-License-Identifier: Apache-2.0 */
/*
 * double_main.c - the console's double as a program, for stories: it prints "URL CA-PRINT", then does what it reads.
 *
 *   token WORD | job MACHINE|- JSON | wait ID finished|failed|stopped|running SECONDS | result ID | claims ID
 *   machines | deregister N | register N | revoke N | beat N SECONDS (wait for one) | stop | serve | quit
 * Each answers with one line; "no ..." is a failure.
 */
#include "bdr/bytes.h"
#include "console_double.h"
#include <stdio.h>
#include <string.h>

struct beats {
    size_t machine;
    unsigned from;
};
static bool beaten(struct console_double *d, void *ctx)
{
    const struct beats *b = ctx;

    return b->machine < d->n_machines && d->machines[b->machine].beats > b->from;
}

static enum double_state state_of(const char *word)
{
    return !strcmp(word, "running")   ? DOUBLE_RUNNING
           : !strcmp(word, "failed")  ? DOUBLE_FAILED
           : !strcmp(word, "stopped") ? DOUBLE_STOPPED
                                      : DOUBLE_FINISHED;
}

static void set_gone(struct console_double *d, const char *n, bool gone)
{
    size_t i = (size_t)strtoul(n, NULL, 10);

    pthread_mutex_lock(&d->lock);
    if (i < d->n_machines)
        d->machines[i].deregistered = gone;
    pthread_mutex_unlock(&d->lock);
    puts("ok");
}

static void do_job(struct console_double *d, char *rest)
{
    char *json = strchr(rest, ' ');

    if (json)
        *json++ = 0;
    printf("%llu\n", (unsigned long long)double_job(d, strcmp(rest, "-") ? rest : NULL, json ? json : "{}"));
}

static void do_wait(struct console_double *d, char *rest)
{
    unsigned long long id = 0;
    char word[32] = "";
    unsigned s = 0;

    if (sscanf(rest, "%llu %31s %u", &id, word, &s) != 3 || !id || id > DOUBLE_JOBS)
        puts("no such job");
    else if (double_wait_job(d, id, state_of(word), s * 1000ull))
        puts("ok");
    else
        printf("no: state %d %s %s\n", double_job_of(d, id).state, double_job_of(d, id).error_code,
               double_job_of(d, id).error_text);
}

static void do_beat(struct console_double *d, char *rest)
{
    struct beats b = {0};
    unsigned s = 10;

    if (sscanf(rest, "%zu %u", &b.machine, &s) < 1) {
        puts("no such machine");
        return;
    }
    pthread_mutex_lock(&d->lock);
    b.from = b.machine < d->n_machines ? d->machines[b.machine].beats : 0;
    pthread_mutex_unlock(&d->lock);
    puts(double_wait(d, beaten, &b, s * 1000ull) ? "ok" : "no beat");
}

static bool command(struct console_double *d, char *line)
{
    char *rest = strchr(line, ' ');

    if (rest)
        *rest++ = 0;
    else
        rest = line + strlen(line);
    if (!strcmp(line, "token"))
        double_token(d, rest), puts("ok");
    else if (!strcmp(line, "job"))
        do_job(d, rest);
    else if (!strcmp(line, "wait"))
        do_wait(d, rest);
    else if (!strcmp(line, "beat"))
        do_beat(d, rest);
    else if (!strcmp(line, "result"))
        puts(double_job_of(d, strtoul(rest, NULL, 10)).result);
    else if (!strcmp(line, "claims"))
        printf("%u\n", double_job_of(d, strtoul(rest, NULL, 10)).claims);
    else if (!strcmp(line, "machines"))
        printf("%zu\n", d->n_machines);
    else if (!strcmp(line, "deregister") || !strcmp(line, "register"))
        set_gone(d, rest, line[0] == 'd');
    else if (!strcmp(line, "revoke"))
        double_revoke(d, rest), puts("ok");
    else if (!strcmp(line, "stop"))
        double_stop(d), puts("ok");
    else if (!strcmp(line, "serve"))
        double_serve(d), puts("ok");
    else if (!strcmp(line, "quit"))
        return false;
    else
        puts("no such command");
    return true;
}

int main(void)
{
    struct console_double *d = double_new();
    static char line[65536];

    d->beat_s = 1;
    d->lease_s = 10;
    double_serve(d);
    printf("%s SHA256:%s\n", d->url, d->ca_print);
    setvbuf(stdout, NULL, _IOLBF, 0);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!command(d, line))
            break;
    }
    double_free(d);
    return 0;
}
