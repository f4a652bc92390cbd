-- SPDX-License-Identifier: Apache-2.0
-- People and what they hold. Times are UTC milliseconds. Names of kinds, roles and states are checked by the tables in C:
-- a CHECK here would make each new kind a rebuilt table in SQLite.

CREATE TABLE account (
    id @id,
    name TEXT NOT NULL UNIQUE,              -- as typed at login, lower case
    title TEXT NOT NULL DEFAULT '',
    mail TEXT NOT NULL DEFAULT '',
    lang TEXT NOT NULL DEFAULT '',          -- en, zh; empty: the browser's
    role TEXT NOT NULL,                     -- admin, operator, viewer
    password TEXT NOT NULL,                 -- $argon2id$ with its parameters and salt
    must_change @bool NOT NULL DEFAULT 0,
    totp @bool NOT NULL DEFAULT 0,          -- the secret itself is a row of sealed
    totp_step @i64 NOT NULL DEFAULT 0,      -- the newest time step that was used: no code counts twice
    disabled @bool NOT NULL DEFAULT 0,
    failures @i64 NOT NULL DEFAULT 0,       -- wrong passwords in a row
    locked_until_ms @i64 NOT NULL DEFAULT 0,
    login_ms @i64 NOT NULL DEFAULT 0,
    created_ms @i64 NOT NULL,
    changed_ms @i64 NOT NULL
) @strict;

CREATE TABLE recovery_code (                -- for a lost TOTP device; each works once
    account_id @i64 NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    hash @blob NOT NULL,
    used_ms @i64 NOT NULL DEFAULT 0,
    PRIMARY KEY (account_id, hash)
) @strict;

CREATE TABLE session (
    hash @blob NOT NULL PRIMARY KEY,        -- SHA-256 of the cookie; the cookie itself is nowhere
    account_id @i64 NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,                    -- totp: only the password was given yet; full
    addr TEXT NOT NULL,
    agent TEXT NOT NULL,
    created_ms @i64 NOT NULL,
    seen_ms @i64 NOT NULL,
    expires_ms @i64 NOT NULL
) @strict;
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_expires ON session (expires_ms);

CREATE TABLE api_token (
    id @id,
    account_id @i64 NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    hint TEXT NOT NULL,                     -- its first characters, to recognise it in a list
    hash @blob NOT NULL UNIQUE,
    scopes TEXT NOT NULL,                   -- words with blanks between; never more than the account's role
    created_ms @i64 NOT NULL,
    expires_ms @i64 NOT NULL,               -- 0: never
    used_ms @i64 NOT NULL DEFAULT 0,
    used_addr TEXT NOT NULL DEFAULT '',
    revoked_ms @i64 NOT NULL DEFAULT 0,
    UNIQUE (account_id, name)
) @strict;

CREATE TABLE rate (                         -- token buckets: "login:192.0.2.7", "login:alice"
    name TEXT NOT NULL PRIMARY KEY,
    milli @i64 NOT NULL,                    -- thousandths of a token left at at_ms
    at_ms @i64 NOT NULL
) @strict;
CREATE INDEX rate_at ON rate (at_ms);

CREATE TABLE sealed (                       -- every secret we can read back, sealed under the master key
    owner TEXT NOT NULL,                    -- table
    owner_id @i64 NOT NULL,                 -- row
    field TEXT NOT NULL,
    key_id TEXT NOT NULL,                   -- which master key, for rotation
    blob @blob NOT NULL,
    changed_ms @i64 NOT NULL,
    PRIMARY KEY (owner, owner_id, field)
) @strict;
CREATE INDEX sealed_key ON sealed (key_id);

CREATE TABLE setting (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    changed_ms @i64 NOT NULL
) @strict;

CREATE TABLE audit (                        -- who changed what; each row's hash covers the one before
    seq @i64 NOT NULL PRIMARY KEY,          -- 1, 2, 3 without a gap
    at_ms @i64 NOT NULL,
    actor TEXT NOT NULL,                    -- account's name, token's name, machine's uuid, "console"
    actor_kind TEXT NOT NULL,
    addr TEXT NOT NULL,
    action TEXT NOT NULL,                   -- platform.update
    object TEXT NOT NULL,                   -- platform
    object_id TEXT NOT NULL,
    before TEXT,                            -- JSON without secrets; NULL: was not there
    after TEXT,
    prev_hash @blob NOT NULL,
    hash @blob NOT NULL
) @strict;
CREATE INDEX audit_object ON audit (object, object_id, seq);
CREATE INDEX audit_actor ON audit (actor, seq);
CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '% is append only', TG_TABLE_NAME; END $$; -- pg
CREATE TRIGGER audit_fixed BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION append_only(); -- pg
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION append_only(); -- pg
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append only'); END; -- sqlite
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append only'); END; -- sqlite
