-- SPDX-License-Identifier: Apache-2.0
-- Work: jobs with their lease, and recoveries, which are what it is all for.

CREATE TABLE recovery (
    id @id,
    kind TEXT NOT NULL,                     -- drill, takeover, failback, export
    host_id @i64 NOT NULL REFERENCES host (id),
    point_id @i64 REFERENCES point (id),    -- NULL: the newest when it starts
    target TEXT NOT NULL,                   -- target driver
    params TEXT NOT NULL,                   -- JSON, of the target driver
    state TEXT NOT NULL,                    -- planned, running, up, ended, failed
    network TEXT NOT NULL DEFAULT '',       -- isolated, or the name of one
    started_ms @i64,
    up_ms @i64,                             -- first sign of life
    ended_ms @i64,
    rpo_ms @i64,                            -- measured
    rto_ms @i64,
    report TEXT NOT NULL DEFAULT '',        -- JSON: checks, screenshot's name, signature
    account TEXT NOT NULL,
    created_ms @i64 NOT NULL
) @strict;
CREATE INDEX recovery_host ON recovery (host_id, id);
CREATE INDEX recovery_state ON recovery (state, id);

CREATE TABLE job (
    id @id,
    kind TEXT NOT NULL,                     -- sync, scan, verify, prune, recover, ...
    state TEXT NOT NULL,                    -- schema/jobs.def
    writes @bool NOT NULL,                  -- it writes its host's points: one such job of a host at a time
    host_id @i64 REFERENCES host (id),
    platform_id @i64 REFERENCES platform (id), -- any alive proxy bound to it is able ...
    machine_id @i64 REFERENCES machine (id),   -- ... or this machine alone
    repository_id @i64 REFERENCES repository (id),
    recovery_id @i64 REFERENCES recovery (id),
    params TEXT NOT NULL DEFAULT '',        -- JSON, of the kind
    origin TEXT NOT NULL,                   -- policy, or who asked
    disks @i64 NOT NULL DEFAULT 1,          -- what it takes of a proxy's disks at once
    priority @i64 NOT NULL DEFAULT 0,       -- higher first
    due_ms @i64 NOT NULL,
    tries @i64 NOT NULL DEFAULT 0,
    max_tries @i64 NOT NULL DEFAULT 5,
    worker_id @i64 REFERENCES machine (id), -- who holds the lease, or held it last
    fence @i64 NOT NULL DEFAULT 0,          -- grows with each lease: who has an older number is refused
    lease_until_ms @i64 NOT NULL DEFAULT 0,
    beat_ms @i64 NOT NULL DEFAULT 0,
    checkpoint TEXT NOT NULL DEFAULT '',    -- where the next worker continues
    moved @bool NOT NULL DEFAULT 0,         -- the checkpoint moved under this lease: the next try counts as a first one
    pass @i64 NOT NULL DEFAULT 0,
    done_bytes @i64 NOT NULL DEFAULT 0,
    total_bytes @i64 NOT NULL DEFAULT 0,
    stored_bytes @i64 NOT NULL DEFAULT 0,
    rate_bps @i64 NOT NULL DEFAULT 0,       -- bytes a second, smoothed
    error_code TEXT NOT NULL DEFAULT '',
    error_text TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '',        -- JSON
    created_ms @i64 NOT NULL,
    started_ms @i64,
    ended_ms @i64
) @strict;
ALTER TABLE job SET (fillfactor = 70); -- pg
CREATE UNIQUE INDEX job_one_writer ON job (host_id) WHERE writes = 1 AND state IN ('running', 'pausing', 'cancelling');
-- one run of a policy at a time: a missed one is caught up, not queued behind itself
CREATE UNIQUE INDEX job_one_run ON job (host_id, kind)
 WHERE origin = 'policy' AND state NOT IN ('done', 'failed', 'cancelled');
CREATE INDEX job_ready ON job (priority DESC, due_ms, id) WHERE state = 'ready';
CREATE INDEX job_lease ON job (lease_until_ms) WHERE state IN ('running', 'pausing', 'cancelling');
CREATE INDEX job_worker ON job (worker_id) WHERE state IN ('running', 'pausing', 'cancelling');
CREATE INDEX job_host ON job (host_id, id);
CREATE INDEX job_platform ON job (platform_id, id);
CREATE INDEX job_state ON job (state, id);
CREATE INDEX job_machine ON job (machine_id) WHERE state = 'ready';

CREATE TABLE job_log (                      -- every change of state, and each lease: the job's history
    id @id,
    job_id @i64 NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    at_ms @i64 NOT NULL,
    event TEXT NOT NULL,
    was TEXT NOT NULL,
    now TEXT NOT NULL,
    actor TEXT NOT NULL,
    fence @i64 NOT NULL,
    done_bytes @i64 NOT NULL,
    text TEXT NOT NULL DEFAULT ''
) @strict;
CREATE INDEX job_log_job ON job_log (job_id, id);
