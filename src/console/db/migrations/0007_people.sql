-- SPDX-License-Identifier: Apache-2.0
-- What machines tell of themselves, and names that last.

ALTER TABLE host ADD COLUMN label TEXT NOT NULL DEFAULT '';    -- its name in the repository: given once, never changed
ALTER TABLE host ADD COLUMN reason TEXT NOT NULL DEFAULT '';   -- why it cannot be protected as a whole
CREATE UNIQUE INDEX host_label ON host (label) WHERE label <> '';

ALTER TABLE machine ADD COLUMN identity TEXT NOT NULL DEFAULT ''; -- of the hardware or disk image: the same one enrolling again
CREATE INDEX machine_identity ON machine (identity) WHERE identity <> '';

CREATE TABLE inventory (                    -- what a machine is made of, as it said itself
    machine_id @i64 NOT NULL PRIMARY KEY REFERENCES machine (id) ON DELETE CASCADE,
    print TEXT NOT NULL,                    -- SHA-256 of json, hex: a beat tells it, so that nothing is sent twice
    json TEXT NOT NULL,
    changed_ms @i64 NOT NULL
) @strict;

ALTER TABLE job ADD COLUMN step TEXT NOT NULL DEFAULT '';      -- what its worker does now, for people
CREATE INDEX job_ready_platform ON job (platform_id, due_ms) WHERE state = 'ready';

ALTER TABLE repository ADD COLUMN data_bytes @i64 NOT NULL DEFAULT 0; -- of all points before deduplication

ALTER TABLE point ADD COLUMN told_ms @i64 NOT NULL DEFAULT 0;  -- when the gateway last named it
ALTER TABLE point ADD COLUMN list TEXT NOT NULL DEFAULT '';    -- the whole list that named it last; '-': one did not
CREATE INDEX point_repository ON point (repository_id, told_ms);

CREATE INDEX certificate_revoked ON certificate (revoked_ms) WHERE revoked_ms > 0;
CREATE INDEX enrolment_made ON enrolment (created_ms);
