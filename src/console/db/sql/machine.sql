-- SPDX-License-Identifier: Apache-2.0
-- Machines of ours at both sites: how they enrol, their certificates and heartbeats; proxies and what they are bound to.

-- row machine (id i64, uuid text, kind text, name text, addr text, os text, version text, created_ms i64, revoked_ms i64)

-- machine_get(:id i64) -> one? machine
SELECT @machine FROM machine WHERE id = :id;

-- machine_by_uuid(:uuid text) -> one? machine
SELECT @machine FROM machine WHERE uuid = :uuid;

-- machine_list(:kind text, :after i64, :limit i64) -> many machine     kind '': all
SELECT @machine FROM machine WHERE (:kind = '' OR kind = :kind) AND id > :after ORDER BY id LIMIT :limit;

-- machine_add(:uuid text, :kind text, :name text, :addr text, :os text, :version text, :now_ms i64) -> i64
INSERT INTO machine (uuid, kind, name, addr, os, version, created_ms)
VALUES (:uuid, :kind, :name, :addr, :os, :version, :now_ms)
RETURNING id;

-- machine_update(:id i64, :name text, :addr text, :os text, :version text) -> count
UPDATE machine SET name = :name, addr = :addr, os = :os, version = :version WHERE id = :id;

-- machine_lock(:id i64) -> i64?     pg: holds the row until the transaction ends
SELECT id FROM machine WHERE id = :id;

-- machine_revoke(:id i64, :now_ms i64) -> count
UPDATE machine SET revoked_ms = :now_ms WHERE id = :id AND revoked_ms = 0;

-- machine_delete(:id i64) -> count
DELETE FROM machine WHERE id = :id;

-- machine_beat(:machine_id i64, :now_ms i64, :load text)
INSERT INTO machine_beat (machine_id, beat_ms, load) VALUES (:machine_id, :now_ms, :load)
ON CONFLICT (machine_id) DO UPDATE SET beat_ms = excluded.beat_ms, load = excluded.load;

-- machine_silent(:before_ms i64, :limit i64) -> many (id i64, kind text, name text, beat_ms i64)
SELECT m.id, m.kind, m.name, b.beat_ms FROM machine_beat b JOIN machine m ON m.id = b.machine_id
 WHERE b.beat_ms < :before_ms AND m.revoked_ms = 0 ORDER BY b.beat_ms LIMIT :limit;

-- machine_alive(:after_ms i64) -> i64
SELECT count(*) FROM machine_beat WHERE beat_ms >= :after_ms;

-- row certificate (serial text, machine_id i64, sha256 blob, issued_ms i64, expires_ms i64, revoked_ms i64)

-- certificate_add(:serial text, :machine_id i64, :sha256 blob, :issued_ms i64, :expires_ms i64)
INSERT INTO certificate (serial, machine_id, sha256, issued_ms, expires_ms)
VALUES (:serial, :machine_id, :sha256, :issued_ms, :expires_ms);

-- certificate_who(:sha256 blob, :now_ms i64) -> one? machine     whose it is, if it and the machine may come in now
SELECT @machine.m FROM certificate c JOIN machine m ON m.id = c.machine_id
 WHERE c.sha256 = :sha256 AND c.revoked_ms = 0 AND c.expires_ms > :now_ms AND m.revoked_ms = 0;

-- certificate_list(:machine_id i64) -> many certificate
SELECT @certificate FROM certificate WHERE machine_id = :machine_id ORDER BY issued_ms DESC;

-- certificate_revoke_all(:machine_id i64, :now_ms i64) -> count
UPDATE certificate SET revoked_ms = :now_ms WHERE machine_id = :machine_id AND revoked_ms = 0;

-- certificate_delete_all(:machine_id i64) -> count
DELETE FROM certificate WHERE machine_id = :machine_id;

-- enrolment_add(:hash blob, :kind text, :note text, :account_id i64?, :now_ms i64, :expires_ms i64) -> i64
INSERT INTO enrolment (hash, kind, note, account_id, created_ms, expires_ms)
VALUES (:hash, :kind, :note, :account_id, :now_ms, :expires_ms)
RETURNING id;

-- enrolment_use(:hash blob, :kind text, :machine_id i64?, :now_ms i64) -> count     0: unknown, used, expired, other kind
UPDATE enrolment SET used_ms = :now_ms, machine_id = :machine_id
 WHERE hash = :hash AND kind = :kind AND used_ms = 0 AND expires_ms > :now_ms;

-- enrolment_forget(:machine_id i64) -> count
UPDATE enrolment SET machine_id = NULL WHERE machine_id = :machine_id;

-- enrolment_expire(:before_ms i64) -> count
DELETE FROM enrolment WHERE expires_ms < :before_ms;

-- proxy_add(:machine_id i64)     with the manual's defaults
INSERT INTO proxy (machine_id) VALUES (:machine_id);

-- proxy_get(:machine_id i64) -> one? (machine_id i64, http_timeout_s i64, max_disks i64)
SELECT machine_id, http_timeout_s, max_disks FROM proxy WHERE machine_id = :machine_id;

-- proxy_list(:after i64, :limit i64) -> many (machine_id i64, name text, addr text, version text, http_timeout_s i64,
--   max_disks i64, busy_disks i64, platforms i64, beat_ms i64, revoked_ms i64)
SELECT p.machine_id, m.name, m.addr, m.version, p.http_timeout_s, p.max_disks,
       CAST(coalesce((SELECT sum(j.disks) FROM job j WHERE j.worker_id = p.machine_id
                         AND j.state IN ('running', 'pausing', 'cancelling')), 0) AS BIGINT) AS busy_disks,
       (SELECT count(*) FROM binding b WHERE b.proxy_id = p.machine_id) AS platforms,
       coalesce((SELECT mb.beat_ms FROM machine_beat mb WHERE mb.machine_id = p.machine_id), 0) AS beat_ms, m.revoked_ms
  FROM proxy p JOIN machine m ON m.id = p.machine_id WHERE p.machine_id > :after ORDER BY p.machine_id LIMIT :limit;

-- proxy_set(:machine_id i64, :http_timeout_s i64, :max_disks i64) -> count
UPDATE proxy SET http_timeout_s = :http_timeout_s, max_disks = :max_disks WHERE machine_id = :machine_id;

-- proxy_delete(:machine_id i64) -> count
DELETE FROM proxy WHERE machine_id = :machine_id;

-- binding_add(:proxy_id i64, :platform_id i64, :now_ms i64)
INSERT INTO binding (proxy_id, platform_id, created_ms) VALUES (:proxy_id, :platform_id, :now_ms);

-- binding_delete(:proxy_id i64, :platform_id i64) -> count
DELETE FROM binding WHERE proxy_id = :proxy_id AND platform_id = :platform_id;

-- binding_platforms(:proxy_id i64) -> many (platform_id i64, name text)
SELECT b.platform_id, p.name FROM binding b JOIN platform p ON p.id = b.platform_id
 WHERE b.proxy_id = :proxy_id ORDER BY b.platform_id;

-- binding_proxies(:platform_id i64) -> many (proxy_id i64, name text, addr text)
SELECT b.proxy_id, m.name, m.addr FROM binding b JOIN machine m ON m.id = b.proxy_id
 WHERE b.platform_id = :platform_id ORDER BY b.proxy_id;

-- gateway_put(:machine_id i64, :https text, :iscsi text)
INSERT INTO gateway (machine_id, https, iscsi) VALUES (:machine_id, :https, :iscsi)
ON CONFLICT (machine_id) DO UPDATE SET https = excluded.https, iscsi = excluded.iscsi;

-- gateway_list() -> many (machine_id i64, name text, https text, iscsi text)
SELECT g.machine_id, m.name, g.https, g.iscsi FROM gateway g JOIN machine m ON m.id = g.machine_id ORDER BY g.machine_id;

-- gateway_delete(:machine_id i64) -> count
DELETE FROM gateway WHERE machine_id = :machine_id;
