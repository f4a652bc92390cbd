-- SPDX-License-Identifier: Apache-2.0
-- What the API needs of its own.

CREATE TABLE idempotency (                  -- requests that may come twice: the first one's answer
    who TEXT NOT NULL,
    key TEXT NOT NULL,
    digest @blob NOT NULL,                  -- SHA-256 of who, method, path and body
    status @i64 NOT NULL DEFAULT 0,         -- 0: it still runs
    body TEXT NOT NULL DEFAULT '',
    at_ms @i64 NOT NULL,
    PRIMARY KEY (who, key)
) @strict;
CREATE INDEX idempotency_at ON idempotency (at_ms);
