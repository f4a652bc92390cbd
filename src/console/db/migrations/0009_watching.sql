-- SPDX-License-Identifier: Apache-2.0
-- What the console does by itself, and the series that charts are made of.

CREATE TABLE watch_mark (                   -- who of several consoles does it this time
    name TEXT NOT NULL PRIMARY KEY,
    at_ms @i64 NOT NULL
) @strict;

CREATE TABLE host_watch (                   -- a protected host, as the ticks see it
    host_id @i64 NOT NULL PRIMARY KEY REFERENCES host (id) ON DELETE CASCADE,
    since_ms @i64 NOT NULL,                 -- protection began: a promise counts from then
    planned_ms @i64 NOT NULL DEFAULT 0,     -- when host.next_ms was made; an older one than the policy is made again
    look_ms @i64 NOT NULL DEFAULT 0         -- when its RPO is measured next
) @strict;
CREATE INDEX host_watch_look ON host_watch (look_ms);

CREATE TABLE host_rpo (                     -- how old the newest point was
    host_id @i64 NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    step_ms @i64 NOT NULL,                  -- 0: one look; 3600000: the worst of the hour from at_ms on
    at_ms @i64 NOT NULL,
    age_ms @i64 NOT NULL,
    minutes @i64 NOT NULL,                  -- what it stands for
    missed @i64 NOT NULL,                   -- of these, how many with an older point than promised
    PRIMARY KEY (host_id, step_ms, at_ms)
) @strict;
CREATE INDEX host_rpo_at ON host_rpo (step_ms, at_ms);

CREATE TABLE rpo_hour (                     -- all hosts together
    hour_ms @i64 NOT NULL PRIMARY KEY,
    minutes @i64 NOT NULL,
    missed @i64 NOT NULL
) @strict;

CREATE TABLE repository_space (
    repository_id @i64 NOT NULL REFERENCES repository (id) ON DELETE CASCADE,
    step_ms @i64 NOT NULL,                  -- 0: as measured; 3600000, 86400000: the last of that hour, day
    at_ms @i64 NOT NULL,
    used_bytes @i64 NOT NULL,
    free_bytes @i64,
    PRIMARY KEY (repository_id, step_ms, at_ms)
) @strict;

CREATE TABLE repository_care (              -- when it was last pruned and verified, by our asking
    repository_id @i64 NOT NULL PRIMARY KEY REFERENCES repository (id) ON DELETE CASCADE,
    prune_ms @i64 NOT NULL DEFAULT 0,
    verify_ms @i64 NOT NULL DEFAULT 0
) @strict;

CREATE TABLE moved (                        -- work of each hour; hour 0: of all time
    hour_ms @i64 NOT NULL PRIMARY KEY,
    done @i64 NOT NULL,
    failed @i64 NOT NULL,
    read_bytes @i64 NOT NULL,
    stored_bytes @i64 NOT NULL
) @strict;

CREATE TABLE host_change (                  -- its newest incremental runs: what is usual
    host_id @i64 NOT NULL REFERENCES host (id) ON DELETE CASCADE,
    at_ms @i64 NOT NULL,
    bytes @i64 NOT NULL,
    PRIMARY KEY (host_id, at_ms)
) @strict;

ALTER TABLE job ADD COLUMN watched_ms @i64 NOT NULL DEFAULT 0; -- its end of that time was looked at
CREATE INDEX job_unwatched ON job (id) WHERE ended_ms > watched_ms;
CREATE INDEX job_unfinished ON job (host_id) WHERE state NOT IN ('done', 'failed', 'cancelled');
CREATE INDEX job_care ON job (repository_id, id);

ALTER TABLE channel ADD COLUMN lang TEXT NOT NULL DEFAULT 'en';
ALTER TABLE channel ADD COLUMN ok_ms @i64 NOT NULL DEFAULT 0;
ALTER TABLE channel ADD COLUMN error_ms @i64 NOT NULL DEFAULT 0;
ALTER TABLE channel ADD COLUMN error_text TEXT NOT NULL DEFAULT '';
ALTER TABLE notification ADD COLUMN sent_ms @i64 NOT NULL DEFAULT 0;
CREATE INDEX notification_sent ON notification (sent_ms) WHERE state <> 'ready';
