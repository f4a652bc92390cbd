-- SPDX-License-Identifier: Apache-2.0
-- What is protected, how, and what there is to go back to.

CREATE TABLE repository (
    id @id,
    name TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL UNIQUE,               -- folder or s3://; its keys and passphrase are rows of sealed
    gateway_id @i64 REFERENCES gateway (machine_id), -- who owns it; NULL: written to directly
    encrypted @bool NOT NULL,
    state TEXT NOT NULL DEFAULT 'ok',
    state_text TEXT NOT NULL DEFAULT '',
    used_bytes @i64 NOT NULL DEFAULT 0,
    free_bytes @i64,                        -- NULL: nobody knows, as in a bucket
    measured_ms @i64 NOT NULL DEFAULT 0,
    created_ms @i64 NOT NULL
) @strict;
CREATE INDEX repository_gateway ON repository (gateway_id);

CREATE TABLE policy (
    id @id,
    name TEXT NOT NULL UNIQUE,
    interval_ms @i64 NOT NULL DEFAULT 0 CHECK (interval_ms = 0 OR interval_ms >= 60000), -- 0: by cron alone
    cron TEXT NOT NULL DEFAULT '',
    zone TEXT NOT NULL DEFAULT 'UTC',       -- of cron, windows and bandwidth
    windows TEXT NOT NULL DEFAULT '',       -- when runs may begin; empty: always
    bandwidth TEXT NOT NULL DEFAULT '',     -- bytes a second by time of day; empty: unlimited
    retention TEXT NOT NULL DEFAULT '',     -- daily=7 weekly=4 ...
    compression TEXT NOT NULL DEFAULT 'zstd',
    encrypt @bool NOT NULL DEFAULT 1,
    consistency TEXT NOT NULL DEFAULT 'crash', -- crash, filesystem, application
    rpo_ms @i64 NOT NULL DEFAULT 0,         -- alarm when the newest point is older; 0: twice the interval
    tries @i64 NOT NULL DEFAULT 5 CHECK (tries BETWEEN 1 AND 100),
    created_ms @i64 NOT NULL,
    changed_ms @i64 NOT NULL
) @strict;

CREATE TABLE host (
    id @id,
    platform_id @i64 REFERENCES platform (id), -- of a host without an agent
    machine_id @i64 UNIQUE REFERENCES machine (id), -- of a host with one
    ref TEXT NOT NULL DEFAULT '',           -- the platform's own name for it
    name TEXT NOT NULL,
    addr TEXT NOT NULL DEFAULT '',
    os TEXT NOT NULL DEFAULT '',
    power TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL,                    -- seen, registered, protected, gone
    policy_id @i64 REFERENCES policy (id),
    repository_id @i64 REFERENCES repository (id),
    paused @bool NOT NULL DEFAULT 0,
    fence @i64 NOT NULL DEFAULT 0,          -- number of its newest writer's lease; only grows
    next_ms @i64,                           -- when the policy wants the next run; NULL: never
    last_run_ms @i64 NOT NULL DEFAULT 0,    -- when the newest run was due
    last_point_ms @i64 NOT NULL DEFAULT 0,  -- the moment of the newest point
    needs_full @bool NOT NULL DEFAULT 1,
    created_ms @i64 NOT NULL,
    seen_ms @i64 NOT NULL,
    CHECK ((platform_id IS NULL) <> (machine_id IS NULL)),
    UNIQUE (platform_id, ref)
) @strict;
CREATE INDEX host_state ON host (state, id);
CREATE INDEX host_name ON host (name, id);
CREATE INDEX host_policy ON host (policy_id);
CREATE INDEX host_repository ON host (repository_id);
CREATE INDEX host_next ON host (next_ms) WHERE next_ms IS NOT NULL;
CREATE INDEX host_point ON host (last_point_ms) WHERE state = 'protected';

CREATE TABLE disk (
    id @id,
    host_id @i64 NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    ref TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    position @i64 NOT NULL DEFAULT 0,
    size_bytes @i64 NOT NULL,
    excluded @bool NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',        -- why it cannot be protected: shared, independent
    tracker TEXT NOT NULL DEFAULT '',       -- the source's token of the newest point
    gone_ms @i64 NOT NULL DEFAULT 0,
    UNIQUE (host_id, ref)
) @strict;

CREATE TABLE point (
    id @id,
    host_id @i64 NOT NULL REFERENCES host (id),
    repository_id @i64 NOT NULL REFERENCES repository (id),
    ref TEXT NOT NULL,                      -- its id in the repository
    taken_ms @i64 NOT NULL,
    kind TEXT NOT NULL,                     -- full, incremental: how it was made; any point is a whole one
    consistency TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'ok',       -- ok, damaged, removed
    disk_bytes @i64 NOT NULL,
    read_bytes @i64 NOT NULL DEFAULT 0,
    stored_bytes @i64 NOT NULL DEFAULT 0,
    held @bool NOT NULL DEFAULT 0,          -- no retention rule removes it
    note TEXT NOT NULL DEFAULT '',
    verified_ms @i64 NOT NULL DEFAULT 0,
    booted_ms @i64 NOT NULL DEFAULT 0,      -- the newest drill that came up
    UNIQUE (repository_id, ref)
) @strict;
CREATE INDEX point_host ON point (host_id, taken_ms);
CREATE INDEX point_state ON point (state, id);
