-- SPDX-License-Identifier: Apache-2.0
-- What people are told: alarms that stand until something is done, events that only happened, and where both are sent.

CREATE TABLE alarm (
    id @id,
    kind TEXT NOT NULL,                     -- rpo.missed, machine.silent, job.failed, ...
    severity TEXT NOT NULL,                 -- info, warning, critical
    object TEXT NOT NULL,
    object_id @i64 NOT NULL,
    text TEXT NOT NULL,                     -- a message id and its values: the UI speaks two languages
    raised_ms @i64 NOT NULL,
    last_ms @i64 NOT NULL,
    times @i64 NOT NULL DEFAULT 1,
    acked_by TEXT NOT NULL DEFAULT '',
    acked_ms @i64 NOT NULL DEFAULT 0,
    cleared_ms @i64                         -- NULL: stands
) @strict;
CREATE UNIQUE INDEX alarm_standing ON alarm (kind, object, object_id) WHERE cleared_ms IS NULL;
CREATE INDEX alarm_raised ON alarm (raised_ms, id);

CREATE TABLE event (
    id @id,
    at_ms @i64 NOT NULL,
    kind TEXT NOT NULL,
    object TEXT NOT NULL,
    object_id @i64 NOT NULL,
    text TEXT NOT NULL
) @strict;
CREATE INDEX event_object ON event (object, object_id, id);
CREATE INDEX event_at ON event (at_ms);
CREATE TRIGGER event_fixed BEFORE UPDATE ON event FOR EACH ROW EXECUTE FUNCTION append_only(); -- pg
CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'event is append only'); END; -- sqlite

CREATE TABLE channel (                      -- where notifications go; passwords are rows of sealed
    id @id,
    kind TEXT NOT NULL,                     -- mail, webhook, syslog
    name TEXT NOT NULL UNIQUE,
    params TEXT NOT NULL,
    min_severity TEXT NOT NULL DEFAULT 'warning',
    enabled @bool NOT NULL DEFAULT 1,
    created_ms @i64 NOT NULL
) @strict;

CREATE TABLE notification (
    id @id,
    channel_id @i64 NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    alarm_id @i64 NOT NULL REFERENCES alarm (id) ON DELETE CASCADE,
    what TEXT NOT NULL,                     -- raised, cleared
    state TEXT NOT NULL DEFAULT 'ready',    -- ready, sent, failed
    due_ms @i64 NOT NULL,
    tries @i64 NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (channel_id, alarm_id, what)
) @strict;
CREATE INDEX notification_due ON notification (due_ms) WHERE state = 'ready';
