-- SPDX-License-Identifier: Apache-2.0
-- The production site: platforms, the machines of ours that run there, and who serves whom.

CREATE TABLE platform (
    id @id,
    kind TEXT NOT NULL,                     -- vmware, openstack, aws, fusioncompute, oracle
    name TEXT NOT NULL UNIQUE,              -- made up from kind, place and time when the form leaves it empty
    endpoint TEXT NOT NULL DEFAULT '',      -- vmware, fusioncompute: https URL; openstack: Keystone's public URL
    username TEXT NOT NULL DEFAULT '',      -- aws: access key id; oracle: user OCID
    user_domain TEXT NOT NULL DEFAULT '',   -- openstack
    project TEXT NOT NULL DEFAULT '',       -- openstack: project's name
    project_domain TEXT NOT NULL DEFAULT '',
    region TEXT NOT NULL DEFAULT '',        -- openstack, aws, oracle
    tenancy TEXT NOT NULL DEFAULT '',       -- oracle: tenancy OCID
    key_print TEXT NOT NULL DEFAULT '',     -- oracle: fingerprint of the API key
    cert_print TEXT NOT NULL DEFAULT '',    -- SHA-256 of a self-signed certificate that somebody accepted
    status TEXT NOT NULL DEFAULT 'new',     -- new, ok, error
    status_text TEXT NOT NULL DEFAULT '',
    status_ms @i64 NOT NULL DEFAULT 0,
    created_ms @i64 NOT NULL,
    changed_ms @i64 NOT NULL
) @strict;
CREATE INDEX platform_kind ON platform (kind, id);

CREATE TABLE ceph (                         -- the Ceph clusters behind an OpenStack platform, as many as there are
    id @id,
    platform_id @i64 NOT NULL REFERENCES platform (id),
    cluster TEXT NOT NULL,
    monitors TEXT NOT NULL,                 -- addresses with commas between
    cephx @bool NOT NULL,
    username TEXT NOT NULL,
    pool TEXT NOT NULL,
    diff TEXT NOT NULL,                     -- rbd_diff: exact, slower; rbd_du: faster, coarser
    volume_types TEXT NOT NULL,             -- OpenStack volume types with commas between
    UNIQUE (platform_id, cluster, pool)
) @strict;

CREATE TABLE name_record (                  -- what a production site's names resolve to; proxies take it as their hosts file
    id @id,
    platform_id @i64 REFERENCES platform (id), -- NULL: for every platform
    name TEXT NOT NULL,
    addr TEXT NOT NULL
) @strict;
CREATE UNIQUE INDEX name_record_one ON name_record (coalesce(platform_id, 0), name, addr);
CREATE INDEX name_record_platform ON name_record (platform_id);

CREATE TABLE machine (                      -- what enrolled with us: proxies, agents, gateways
    id @id,
    uuid TEXT NOT NULL UNIQUE,              -- the name in its certificate
    kind TEXT NOT NULL,                     -- proxy, agent, gateway
    name TEXT NOT NULL,
    addr TEXT NOT NULL DEFAULT '',
    os TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    created_ms @i64 NOT NULL,
    revoked_ms @i64 NOT NULL DEFAULT 0      -- its access ended then
) @strict;
CREATE INDEX machine_kind ON machine (kind, id);

CREATE TABLE machine_beat (                 -- apart from machine: small rows that are rewritten all the time
    machine_id @i64 NOT NULL PRIMARY KEY REFERENCES machine (id) ON DELETE CASCADE,
    beat_ms @i64 NOT NULL,
    load TEXT NOT NULL DEFAULT ''
) @strict;
ALTER TABLE machine_beat SET (fillfactor = 50); -- pg

CREATE TABLE certificate (
    serial TEXT NOT NULL PRIMARY KEY,       -- hex
    machine_id @i64 NOT NULL REFERENCES machine (id),
    sha256 @blob NOT NULL UNIQUE,
    issued_ms @i64 NOT NULL,
    expires_ms @i64 NOT NULL,
    revoked_ms @i64 NOT NULL DEFAULT 0
) @strict;
CREATE INDEX certificate_machine ON certificate (machine_id);
CREATE INDEX certificate_expires ON certificate (expires_ms);

CREATE TABLE enrolment (                    -- one-time tokens of the copied install commands
    id @id,
    hash @blob NOT NULL UNIQUE,
    kind TEXT NOT NULL,                     -- what may enrol with it
    note TEXT NOT NULL DEFAULT '',
    account_id @i64 REFERENCES account (id) ON DELETE SET NULL,
    created_ms @i64 NOT NULL,
    expires_ms @i64 NOT NULL,
    used_ms @i64 NOT NULL DEFAULT 0,
    machine_id @i64 REFERENCES machine (id)
) @strict;
CREATE INDEX enrolment_expires ON enrolment (expires_ms);

CREATE TABLE proxy (                        -- settings of a Sync Proxy
    machine_id @i64 NOT NULL PRIMARY KEY REFERENCES machine (id),
    http_timeout_s @i64 NOT NULL DEFAULT 600 CHECK (http_timeout_s BETWEEN 1 AND 86400),
    max_disks @i64 NOT NULL DEFAULT 50 CHECK (max_disks BETWEEN 1 AND 1000)
) @strict;

CREATE TABLE binding (                      -- which proxies serve which platforms, m:n
    proxy_id @i64 NOT NULL REFERENCES proxy (machine_id),
    platform_id @i64 NOT NULL REFERENCES platform (id),
    created_ms @i64 NOT NULL,
    PRIMARY KEY (proxy_id, platform_id)
) @strict;
CREATE INDEX binding_platform ON binding (platform_id);

CREATE TABLE gateway (
    machine_id @i64 NOT NULL PRIMARY KEY REFERENCES machine (id),
    https TEXT NOT NULL DEFAULT '',         -- where sources reach it: host:port
    iscsi TEXT NOT NULL DEFAULT ''
) @strict;
