-- SPDX-License-Identifier: Apache-2.0
-- What machines ask and tell: src/console/api/machine_*.c.

-- machine_want(:id i64, :now_ms i64) -> one? (print text, host_state text, http_timeout_s i64, max_disks i64, work bool)
--   all that a beat answers; '' and 0: it has none
SELECT coalesce((SELECT i.print FROM inventory i WHERE i.machine_id = m.id), '') AS print,
       coalesce((SELECT h.state FROM host h WHERE h.machine_id = m.id), '') AS host_state,
       coalesce((SELECT p.http_timeout_s FROM proxy p WHERE p.machine_id = m.id), 0) AS http_timeout_s,
       coalesce((SELECT p.max_disks FROM proxy p WHERE p.machine_id = m.id), 0) AS max_disks,
       CAST(CASE WHEN EXISTS (SELECT 1 FROM job j WHERE j.state = 'ready' AND j.machine_id = m.id AND j.due_ms <= :now_ms)
              OR EXISTS (SELECT 1 FROM binding b JOIN job j ON j.platform_id = b.platform_id WHERE b.proxy_id = m.id
                            AND j.state = 'ready' AND j.machine_id IS NULL AND j.due_ms <= :now_ms)
            THEN 1 ELSE 0 END AS BIGINT) AS work
  FROM machine m WHERE m.id = :id;

-- machine_is(:id i64, :addr text, :os text, :version text) -> count
UPDATE machine SET addr = :addr, os = :os, version = :version WHERE id = :id;

-- machine_identity(:id i64, :identity text) -> count
UPDATE machine SET identity = :identity WHERE id = :id;

-- host_left_by(:identity text) -> one? (id i64, machine_id i64?)     the host of a machine that was deregistered
SELECT h.id, h.machine_id FROM host h JOIN machine m ON m.id = h.machine_id
 WHERE m.identity = :identity AND m.kind = 'agent' AND m.revoked_ms > 0 AND h.state = 'gone'
 ORDER BY h.id DESC LIMIT 1;

-- host_moves_in(:id i64, :was_machine_id i64?, :machine_id i64?, :name text, :addr text, :os text, :now_ms i64) -> count
--   a new machine speaks for a host that was left; 0: another one was quicker
UPDATE host SET machine_id = :machine_id, name = :name, addr = :addr, os = :os, state = 'registered', needs_full = 1,
       paused = 0, seen_ms = :now_ms
 WHERE id = :id AND machine_id = :was_machine_id AND state = 'gone';

-- enrolment_good(:hash blob, :kind text, :now_ms i64) -> i64     1: it could be used now
SELECT count(*) FROM enrolment WHERE hash = :hash AND kind = :kind AND used_ms = 0 AND expires_ms > :now_ms;

-- certificate_by_serial(:serial text) -> one? certificate
SELECT @certificate FROM certificate WHERE serial = :serial;

-- certificate_forget(:machine_id i64, :before_ms i64) -> count     those that expired long ago
DELETE FROM certificate WHERE machine_id = :machine_id AND expires_ms < :before_ms;

-- certificate_revoked(:since_ms i64, :now_ms i64, :after text, :limit i64) -> many (serial text, uuid text, kind text, revoked_ms i64)
--   those still good by their date: what a handshake has to refuse
SELECT c.serial, m.uuid, m.kind, c.revoked_ms FROM certificate c JOIN machine m ON m.id = c.machine_id
 WHERE c.revoked_ms > 0 AND c.revoked_ms >= :since_ms AND c.expires_ms > :now_ms AND c.serial > :after
 ORDER BY c.serial LIMIT :limit;

-- inventory_put(:machine_id i64, :print text, :json text, :now_ms i64)
INSERT INTO inventory (machine_id, print, json, changed_ms) VALUES (:machine_id, :print, :json, :now_ms)
ON CONFLICT (machine_id) DO UPDATE SET print = excluded.print, json = excluded.json, changed_ms = excluded.changed_ms;

-- inventory_get(:machine_id i64) -> one? (print text, json text, changed_ms i64)
SELECT print, json, changed_ms FROM inventory WHERE machine_id = :machine_id;

-- host_inventory(:id i64, :name text, :addr text, :os text, :now_ms i64) -> count
UPDATE host SET name = :name, addr = :addr, os = :os, seen_ms = :now_ms WHERE id = :id;

-- host_reason(:id i64, :reason text) -> count
UPDATE host SET reason = :reason WHERE id = :id AND reason <> :reason;

-- host_unseen(:platform_id i64?, :before_ms i64) -> count     a whole scan did not name them
UPDATE host SET state = CASE WHEN state = 'seen' THEN 'gone' ELSE state END,
       power = CASE WHEN state = 'seen' THEN power ELSE 'missing' END
 WHERE platform_id = :platform_id AND seen_ms < :before_ms AND state <> 'gone';

-- host_label_taken(:label text) -> i64
SELECT count(*) FROM host WHERE label = :label;

-- host_label_set(:id i64, :label text) -> count     once
UPDATE host SET label = :label WHERE id = :id AND label = '';

-- host_by_label(:label text) -> one? host
SELECT @host FROM host WHERE label = :label;

-- host_needs_full(:id i64, :needs_full bool) -> count
UPDATE host SET needs_full = :needs_full WHERE id = :id;

-- disk_all_gone(:host_id i64, :now_ms i64) -> count     before disk_seen names those that are there
UPDATE disk SET gone_ms = :now_ms WHERE host_id = :host_id AND gone_ms = 0;

-- job_step(:id i64, :worker_id i64, :fence i64, :step text) -> count
UPDATE job SET step = :step WHERE id = :id AND worker_id = :worker_id AND fence = :fence AND step <> :step;

-- job_log_end(:job_id i64, :fence i64, :actor text) -> one? (event text, now text)     how that lease ended
SELECT event, now FROM job_log WHERE job_id = :job_id AND fence = :fence AND actor = :actor
   AND event IN ('finish', 'fail', 'retry', 'stopped') ORDER BY id DESC LIMIT 1;

-- job_writer_of(:host_id i64?) -> one? (id i64, worker_id i64?, fence i64, repository_id i64?)     who writes its points now
SELECT id, worker_id, fence, repository_id FROM job
 WHERE host_id = :host_id AND writes = 1 AND state IN ('running', 'pausing', 'cancelling') LIMIT 1;

-- row repository_where (id i64, name text, url text, encrypted bool, gateway_id i64?, measured_ms i64, s3_key text,
--   s3_endpoint text)

-- repository_where(:id i64) -> one? repository_where
SELECT @repository_where FROM repository WHERE id = :id;

-- repository_of_gateway(:gateway_id i64?) -> many repository_where
SELECT @repository_where FROM repository WHERE gateway_id = :gateway_id ORDER BY id LIMIT 1000;

-- repository_data(:id i64, :data_bytes i64) -> count
UPDATE repository SET data_bytes = :data_bytes WHERE id = :id;

-- gateway_get(:machine_id i64) -> one? (machine_id i64, https text, iscsi text)
SELECT machine_id, https, iscsi FROM gateway WHERE machine_id = :machine_id;

-- point_told(:host_id i64, :repository_id i64, :ref text, :taken_ms i64, :kind text, :consistency text, :disk_bytes i64,
--   :read_bytes i64, :stored_bytes i64, :list text, :now_ms i64) -> one (id i64, state text)
--   What a list took away and a later one names is there again; what people removed stays removed
INSERT INTO point (host_id, repository_id, ref, taken_ms, kind, consistency, disk_bytes, read_bytes, stored_bytes, told_ms,
                   list)
VALUES (:host_id, :repository_id, :ref, :taken_ms, :kind, :consistency, :disk_bytes, :read_bytes, :stored_bytes, :now_ms,
        :list)
ON CONFLICT (repository_id, ref) DO UPDATE
   SET state = CASE WHEN point.state = 'removed' AND point.list = '-' THEN 'ok' ELSE point.state END,
       stored_bytes = excluded.stored_bytes, told_ms = excluded.told_ms, list = excluded.list
RETURNING id, state;

-- point_list_began(:repository_id i64, :list text) -> i64?     when the first part of a whole list came
SELECT told_ms FROM point WHERE repository_id = :repository_id AND list = :list ORDER BY told_ms LIMIT 1;

-- point_unlisted(:repository_id i64, :list text, :before_ms i64) -> count     those that a whole list did not name
UPDATE point SET state = 'removed', list = '-'
 WHERE repository_id = :repository_id AND list <> :list AND told_ms < :before_ms AND state <> 'removed';

-- point_here(:host_id i64, :repository_id i64) -> i64     has that host points there?
SELECT count(*) FROM (SELECT 1 AS one FROM point WHERE host_id = :host_id AND repository_id = :repository_id LIMIT 1) p;

-- point_by_ref(:repository_id i64, :ref text) -> one? (id i64, host_id i64, held bool, state text)
SELECT id, host_id, held, state FROM point WHERE repository_id = :repository_id AND ref = :ref;

-- point_removing(:id i64) -> count     as if a list took it away: one that names it brings it back
UPDATE point SET state = 'removed', list = '-' WHERE id = :id AND held = 0 AND state <> 'removed';
