-- SPDX-License-Identifier: Apache-2.0
-- What the operator's pages show: objects with the names of what they belong to. Filters: '' and 0 are "all".

-- row host_view (id i64, platform_id i64?, machine_id i64?, ref text, name text, addr text, os text, power text,
--   state text, policy_id i64?, repository_id i64?, paused bool, next_ms i64?, last_run_ms i64, last_point_ms i64,
--   needs_full bool, created_ms i64, seen_ms i64, label text, reason text, platform_name text, policy_name text,
--   repository_name text, limit_ms i64, job_id i64?)

-- part host_view_of     @host_view of each host
SELECT h.id, h.platform_id, h.machine_id, h.ref, h.name, h.addr, h.os, h.power, h.state, h.policy_id,
       h.repository_id, h.paused, h.next_ms, h.last_run_ms, h.last_point_ms, h.needs_full, h.created_ms,
       h.seen_ms, h.label, h.reason,
       coalesce(f.name, '') AS platform_name, coalesce(p.name, '') AS policy_name, coalesce(r.name, '') AS repository_name,
       coalesce(@rpo_limit, 0) AS limit_ms,
       (SELECT max(j.id) FROM job j WHERE j.host_id = h.id AND j.state NOT IN ('done', 'failed', 'cancelled')) AS job_id
  FROM host h LEFT JOIN platform f ON f.id = h.platform_id LEFT JOIN policy p ON p.id = h.policy_id
       LEFT JOIN repository r ON r.id = h.repository_id

-- part host_view_fits     :like is in lower case, with % and ! before what is meant as it is
(:state = '' OR h.state = :state) AND (:platform_id = 0 OR h.platform_id = :platform_id)
   AND (:policy_id = 0 OR h.policy_id = :policy_id) AND (:repository_id = 0 OR h.repository_id = :repository_id)
   AND (:like = '' OR lower(h.name) LIKE :like ESCAPE '!' OR h.addr LIKE :like ESCAPE '!')
   AND (:rpo = '' OR (h.state = 'protected' AND h.paused = 0 AND :rpo = CASE WHEN
        coalesce(@rpo_limit, 0) > 0 AND
        :now_ms - (CASE WHEN h.last_point_ms > 0 THEN h.last_point_ms ELSE h.created_ms END) >
        @rpo_limit THEN 'missed' ELSE 'kept' END))

-- host_view_list(:state text, :platform_id i64, :policy_id i64, :repository_id i64, :like text, :rpo text, :now_ms i64,
--   :after i64, :limit i64) -> many host_view
@host_view_of
 WHERE h.id > :after AND @host_view_fits
 ORDER BY h.id LIMIT :limit;

-- host_view_sorted(:by text, :state text, :platform_id i64, :policy_id i64, :repository_id i64, :like text, :rpo text,
--   :now_ms i64, :after i64, :limit i64) -> many host_view     by 'name', or 'point': no point, then the oldest, first.
--   All hosts that fit are sorted: some 10 ms for 5,000. :after is the host that the page before ended with.
@host_view_of
 WHERE (:after = 0 OR EXISTS (SELECT 1 FROM host a WHERE a.id = :after AND CASE WHEN :by = 'name'
          THEN h.name > a.name OR (h.name = a.name AND h.id > a.id)
          ELSE h.last_point_ms > a.last_point_ms OR (h.last_point_ms = a.last_point_ms AND h.id > a.id) END))
   AND @host_view_fits
 ORDER BY CASE WHEN :by = 'name' THEN h.name ELSE '' END, CASE WHEN :by = 'name' THEN 0 ELSE h.last_point_ms END, h.id
 LIMIT :limit;

-- host_view_get(:id i64) -> one? host_view
@host_view_of WHERE h.id = :id;

-- host_newest_point(:host_id i64) -> i64?
SELECT id FROM point WHERE host_id = :host_id AND state = 'ok' ORDER BY taken_ms DESC, id DESC LIMIT 1;

-- host_register(:id i64) -> count
UPDATE host SET state = 'registered' WHERE id = :id AND state = 'seen';

-- host_inventory_json(:host_id i64) -> one? (json text)     what its machine said of itself
SELECT i.json FROM inventory i JOIN host h ON h.machine_id = i.machine_id WHERE h.id = :host_id;

-- disk_get(:host_id i64, :id i64) -> one? disk
SELECT @disk FROM disk WHERE host_id = :host_id AND id = :id;

-- job_unfinished_sync(:host_id i64) -> i64?     the newest that writes this host's points
SELECT max(id) FROM job WHERE host_id = :host_id AND writes = 1 AND state NOT IN ('done', 'failed', 'cancelled')
HAVING max(id) IS NOT NULL;

-- policy_view_list(:like text, :after i64, :limit i64) -> many policy
SELECT @policy FROM policy
 WHERE id > :after AND (:like = '' OR lower(name) LIKE :like ESCAPE '!') ORDER BY id LIMIT :limit;

-- row repository_view (id i64, name text, url text, gateway_id i64?, encrypted bool, state text, state_text text,
--   used_bytes i64, free_bytes i64?, measured_ms i64, created_ms i64, s3_key text, s3_endpoint text, data_bytes i64,
--   gateway_name text, hosts i64, points i64)

-- repository_view_list(:like text, :gateway_id i64, :after i64, :limit i64) -> many repository_view
SELECT r.id, r.name, r.url, r.gateway_id, r.encrypted, r.state, r.state_text, r.used_bytes, r.free_bytes,
       r.measured_ms, r.created_ms,
       r.s3_key, r.s3_endpoint, r.data_bytes, coalesce(m.name, '') AS gateway_name,
       (SELECT count(*) FROM host h WHERE h.repository_id = r.id) AS hosts,
       (SELECT count(*) FROM point p WHERE p.repository_id = r.id AND p.state <> 'removed') AS points
  FROM repository r LEFT JOIN machine m ON m.id = r.gateway_id
 WHERE r.id > :after AND (:gateway_id = 0 OR r.gateway_id = :gateway_id)
   AND (:like = '' OR lower(r.name) LIKE :like ESCAPE '!') ORDER BY r.id LIMIT :limit;

-- repository_view_get(:id i64) -> one? repository_view
SELECT r.id, r.name, r.url, r.gateway_id, r.encrypted, r.state, r.state_text, r.used_bytes, r.free_bytes,
       r.measured_ms, r.created_ms,
       r.s3_key, r.s3_endpoint, r.data_bytes, coalesce(m.name, '') AS gateway_name,
       (SELECT count(*) FROM host h WHERE h.repository_id = r.id) AS hosts,
       (SELECT count(*) FROM point p WHERE p.repository_id = r.id AND p.state <> 'removed') AS points
  FROM repository r LEFT JOIN machine m ON m.id = r.gateway_id WHERE r.id = :id;

-- repository_lock(:id i64) -> i64?     pg: holds the row until the transaction ends
SELECT id FROM repository WHERE id = :id;

-- repository_set(:id i64, :name text, :gateway_id i64?, :s3_key text, :s3_endpoint text) -> count
UPDATE repository SET name = :name, gateway_id = :gateway_id, s3_key = :s3_key, s3_endpoint = :s3_endpoint WHERE id = :id;

-- repository_jobs(:id i64) -> i64     that have not ended
SELECT count(*) FROM job WHERE repository_id = :id AND state NOT IN ('done', 'failed', 'cancelled');

-- repository_forget_jobs(:id i64) -> count     history stays, without what it was about
UPDATE job SET repository_id = NULL WHERE repository_id = :id;

-- repository_forget_recoveries(:id i64) -> count
UPDATE recovery SET point_id = NULL WHERE point_id IN (SELECT p.id FROM point p WHERE p.repository_id = :id);

-- repository_forget_points(:id i64) -> count     those that are only history
DELETE FROM point WHERE repository_id = :id AND state = 'removed';

-- row gateway_view (machine_id i64, name text, addr text, os text, version text, https text, iscsi text, revoked_ms
--   i64, beat_ms i64, repositories i64, jobs i64)

-- gateway_view_list(:after i64, :limit i64) -> many gateway_view
SELECT g.machine_id, m.name, m.addr, m.os, m.version, g.https, g.iscsi, m.revoked_ms,
       coalesce((SELECT b.beat_ms FROM machine_beat b WHERE b.machine_id = g.machine_id), 0) AS beat_ms,
       (SELECT count(*) FROM repository r WHERE r.gateway_id = g.machine_id) AS repositories,
       (SELECT count(*) FROM job j WHERE j.worker_id = g.machine_id
           AND j.state IN ('running', 'pausing', 'cancelling')) AS jobs
  FROM gateway g JOIN machine m ON m.id = g.machine_id WHERE g.machine_id > :after ORDER BY g.machine_id LIMIT :limit;

-- gateway_view_get(:id i64) -> one? gateway_view
SELECT g.machine_id, m.name, m.addr, m.os, m.version, g.https, g.iscsi, m.revoked_ms,
       coalesce((SELECT b.beat_ms FROM machine_beat b WHERE b.machine_id = g.machine_id), 0) AS beat_ms,
       (SELECT count(*) FROM repository r WHERE r.gateway_id = g.machine_id) AS repositories,
       (SELECT count(*) FROM job j WHERE j.worker_id = g.machine_id
           AND j.state IN ('running', 'pausing', 'cancelling')) AS jobs
  FROM gateway g JOIN machine m ON m.id = g.machine_id WHERE g.machine_id = :id;

-- row job_view (id i64, kind text, state text, writes bool, host_id i64?, platform_id i64?, machine_id i64?,
--   repository_id i64?, recovery_id i64?, params text, origin text, disks i64, priority i64, due_ms i64, tries i64,
--   max_tries i64, worker_id i64?, lease_until_ms i64, beat_ms i64, pass i64, done_bytes i64, total_bytes i64,
--   stored_bytes i64, rate_bps i64, error_code text, error_text text, result text, created_ms i64, started_ms i64?,
--   ended_ms i64?, step text, host_name text, platform_name text, worker_name text)

-- job_view_list(:state text, :kind text, :host_id i64, :platform_id i64, :worker_id i64, :active bool, :before i64,
--   :limit i64) -> many job_view     newest first
SELECT j.id, j.kind, j.state, j.writes, j.host_id, j.platform_id, j.machine_id, j.repository_id, j.recovery_id,
       j.params, j.origin, j.disks, j.priority, j.due_ms, j.tries, j.max_tries, j.worker_id, j.lease_until_ms,
       j.beat_ms, j.pass, j.done_bytes, j.total_bytes, j.stored_bytes, j.rate_bps, j.error_code, j.error_text,
       j.result, j.created_ms, j.started_ms, j.ended_ms, j.step,
       coalesce(h.name, '') AS host_name, coalesce(f.name, '') AS platform_name, coalesce(m.name, '') AS worker_name
  FROM job j LEFT JOIN host h ON h.id = j.host_id LEFT JOIN platform f ON f.id = j.platform_id
       LEFT JOIN machine m ON m.id = j.worker_id
 WHERE j.id < :before AND (:state = '' OR j.state = :state) AND (:kind = '' OR j.kind = :kind)
   AND (:host_id = 0 OR j.host_id = :host_id) AND (:platform_id = 0 OR j.platform_id = :platform_id)
   AND (:worker_id = 0 OR j.worker_id = :worker_id)
   AND (:active = 0 OR j.state NOT IN ('done', 'failed', 'cancelled')) ORDER BY j.id DESC LIMIT :limit;

-- job_view_get(:id i64) -> one? job_view
SELECT j.id, j.kind, j.state, j.writes, j.host_id, j.platform_id, j.machine_id, j.repository_id, j.recovery_id,
       j.params, j.origin, j.disks, j.priority, j.due_ms, j.tries, j.max_tries, j.worker_id, j.lease_until_ms,
       j.beat_ms, j.pass, j.done_bytes, j.total_bytes, j.stored_bytes, j.rate_bps, j.error_code, j.error_text,
       j.result, j.created_ms, j.started_ms, j.ended_ms, j.step,
       coalesce(h.name, '') AS host_name, coalesce(f.name, '') AS platform_name, coalesce(m.name, '') AS worker_name
  FROM job j LEFT JOIN host h ON h.id = j.host_id LEFT JOIN platform f ON f.id = j.platform_id
       LEFT JOIN machine m ON m.id = j.worker_id WHERE j.id = :id;

-- row point_view (id i64, host_id i64, repository_id i64, ref text, taken_ms i64, kind text, consistency text, state
--   text, disk_bytes i64, read_bytes i64, stored_bytes i64, held bool, note text, verified_ms i64, booted_ms i64,
--   host_name text, repository_name text, gateway_id i64?)

-- point_view_list(:host_id i64, :repository_id i64, :state text, :from_ms i64, :to_ms i64, :before_ms i64, :before_id i64,
--   :limit i64) -> many point_view     newest first; state '': all but the removed
SELECT p.id, p.host_id, p.repository_id, p.ref, p.taken_ms, p.kind, p.consistency, p.state, p.disk_bytes,
       p.read_bytes, p.stored_bytes, p.held, p.note, p.verified_ms, p.booted_ms,
       h.name AS host_name, r.name AS repository_name, r.gateway_id
  FROM point p JOIN host h ON h.id = p.host_id JOIN repository r ON r.id = p.repository_id
 WHERE (:host_id = 0 OR p.host_id = :host_id) AND (:repository_id = 0 OR p.repository_id = :repository_id)
   AND ((:state = '' AND p.state <> 'removed') OR p.state = :state) AND p.taken_ms >= :from_ms AND p.taken_ms <= :to_ms
   AND (p.taken_ms < :before_ms OR (p.taken_ms = :before_ms AND p.id < :before_id))
 ORDER BY p.taken_ms DESC, p.id DESC LIMIT :limit;

-- point_view_get(:id i64) -> one? point_view
SELECT p.id, p.host_id, p.repository_id, p.ref, p.taken_ms, p.kind, p.consistency, p.state, p.disk_bytes,
       p.read_bytes, p.stored_bytes, p.held, p.note, p.verified_ms, p.booted_ms,
       h.name AS host_name, r.name AS repository_name, r.gateway_id
  FROM point p JOIN host h ON h.id = p.host_id JOIN repository r ON r.id = p.repository_id WHERE p.id = :id;

-- row recovery_view (id i64, kind text, host_id i64, point_id i64?, target text, params text, state text, network
--   text, started_ms i64?, up_ms i64?, ended_ms i64?, rpo_ms i64?, rto_ms i64?, report text, account text, created_ms
--   i64, host_name text, job_id i64?)

-- recovery_view_list(:kind text, :state text, :host_id i64, :before i64, :limit i64) -> many recovery_view
SELECT v.id, v.kind, v.host_id, v.point_id, v.target, v.params, v.state, v.network, v.started_ms, v.up_ms,
       v.ended_ms, v.rpo_ms, v.rto_ms, v.report, v.account, v.created_ms,
       h.name AS host_name, (SELECT max(j.id) FROM job j WHERE j.recovery_id = v.id) AS job_id
  FROM recovery v JOIN host h ON h.id = v.host_id
 WHERE v.id < :before AND (:kind = '' OR v.kind = :kind) AND (:state = '' OR v.state = :state)
   AND (:host_id = 0 OR v.host_id = :host_id) ORDER BY v.id DESC LIMIT :limit;

-- recovery_view_get(:id i64) -> one? recovery_view
SELECT v.id, v.kind, v.host_id, v.point_id, v.target, v.params, v.state, v.network, v.started_ms, v.up_ms,
       v.ended_ms, v.rpo_ms, v.rto_ms, v.report, v.account, v.created_ms,
       h.name AS host_name, (SELECT max(j.id) FROM job j WHERE j.recovery_id = v.id) AS job_id
  FROM recovery v JOIN host h ON h.id = v.host_id WHERE v.id = :id;

-- recovery_behind(:limit i64) -> many (id i64, point_id i64?, was text, created_ms i64, job_id i64, job_state text,
--   started_ms i64?, ended_ms i64?, error_text text, result text)     exports and shares whose job went on since they were looked at
SELECT v.id, v.point_id, v.state AS was, v.created_ms, j.id AS job_id, j.state AS job_state, j.started_ms, j.ended_ms,
       j.error_text, j.result
  FROM recovery v JOIN job j ON j.recovery_id = v.id
 WHERE v.kind IN ('export', 'share') AND v.state IN ('planned', 'running') AND (j.state IN ('done', 'failed', 'cancelled')
    OR (v.state = 'planned' AND j.state IN ('running', 'pausing', 'cancelling'))) ORDER BY v.id LIMIT :limit;

-- row platform_counts (platform_id i64, hosts i64, protected i64, proxies i64, alive i64, jobs i64)

-- platform_counts(:id i64, :alive_ms i64) -> one platform_counts
SELECT f.id AS platform_id, (SELECT count(*) FROM host h WHERE h.platform_id = f.id AND h.state <> 'gone') AS hosts,
       (SELECT count(*) FROM host h WHERE h.platform_id = f.id AND h.state = 'protected') AS protected,
       (SELECT count(*) FROM binding b WHERE b.platform_id = f.id) AS proxies,
       (SELECT count(*) FROM binding b JOIN machine_beat mb ON mb.machine_id = b.proxy_id
         WHERE b.platform_id = f.id AND mb.beat_ms >= :alive_ms) AS alive,
       (SELECT count(*) FROM job j WHERE j.platform_id = f.id AND j.state NOT IN ('done', 'failed', 'cancelled')) AS jobs
  FROM platform f WHERE f.id = :id;

-- platform_view_list(:kind text, :like text, :after i64, :limit i64) -> many platform
SELECT @platform FROM platform WHERE id > :after AND (:kind = '' OR kind = :kind)
   AND (:like = '' OR lower(name) LIKE :like ESCAPE '!') ORDER BY id LIMIT :limit;

-- ceph_set(:id i64, :platform_id i64, :cluster text, :monitors text, :cephx bool, :username text, :pool text, :diff text,
--   :volume_types text) -> count
UPDATE ceph SET cluster = :cluster, monitors = :monitors, cephx = :cephx, username = :username, pool = :pool, diff = :diff,
       volume_types = :volume_types WHERE id = :id AND platform_id = :platform_id;

-- scan_last_of_platform(:platform_id i64) -> one? job     the newest look at the platform
SELECT @job FROM job WHERE platform_id = :platform_id AND kind = 'scan' ORDER BY id DESC LIMIT 1;

-- name_view_list(:platform_id i64, :after i64, :limit i64) -> many name_record     0: all
SELECT @name_record FROM name_record WHERE id > :after AND (:platform_id = 0 OR platform_id = :platform_id)
 ORDER BY id LIMIT :limit;

-- name_record_get(:id i64) -> one? name_record
SELECT @name_record FROM name_record WHERE id = :id;

-- row proxy_view (machine_id i64, name text, addr text, os text, version text, http_timeout_s i64, max_disks i64,
--   drain bool, busy_disks i64, jobs i64, platforms i64, beat_ms i64, load text, revoked_ms i64)

-- proxy_view_list(:platform_id i64, :after i64, :limit i64) -> many proxy_view
SELECT p.machine_id, m.name, m.addr, m.os, m.version, p.http_timeout_s, p.max_disks, p.drain,
       CAST(coalesce((SELECT sum(j.disks) FROM job j WHERE j.worker_id = p.machine_id
                         AND j.state IN ('running', 'pausing', 'cancelling')), 0) AS BIGINT) AS busy_disks,
       (SELECT count(*) FROM job j WHERE j.worker_id = p.machine_id
           AND j.state IN ('running', 'pausing', 'cancelling')) AS jobs,
       (SELECT count(*) FROM binding b WHERE b.proxy_id = p.machine_id) AS platforms,
       coalesce((SELECT mb.beat_ms FROM machine_beat mb WHERE mb.machine_id = p.machine_id), 0) AS beat_ms,
       coalesce((SELECT mb.load FROM machine_beat mb WHERE mb.machine_id = p.machine_id), '') AS load, m.revoked_ms
  FROM proxy p JOIN machine m ON m.id = p.machine_id
 WHERE p.machine_id > :after AND (:platform_id = 0 OR EXISTS (SELECT 1 FROM binding o WHERE o.proxy_id = p.machine_id
   AND o.platform_id = :platform_id)) ORDER BY p.machine_id LIMIT :limit;

-- proxy_view_get(:id i64) -> one? proxy_view
SELECT p.machine_id, m.name, m.addr, m.os, m.version, p.http_timeout_s, p.max_disks, p.drain,
       CAST(coalesce((SELECT sum(j.disks) FROM job j WHERE j.worker_id = p.machine_id
                         AND j.state IN ('running', 'pausing', 'cancelling')), 0) AS BIGINT) AS busy_disks,
       (SELECT count(*) FROM job j WHERE j.worker_id = p.machine_id
           AND j.state IN ('running', 'pausing', 'cancelling')) AS jobs,
       (SELECT count(*) FROM binding b WHERE b.proxy_id = p.machine_id) AS platforms,
       coalesce((SELECT mb.beat_ms FROM machine_beat mb WHERE mb.machine_id = p.machine_id), 0) AS beat_ms,
       coalesce((SELECT mb.load FROM machine_beat mb WHERE mb.machine_id = p.machine_id), '') AS load, m.revoked_ms
  FROM proxy p JOIN machine m ON m.id = p.machine_id WHERE p.machine_id = :id;

-- proxy_drain(:id i64, :drain bool) -> count
UPDATE proxy SET drain = :drain WHERE machine_id = :id;

-- row machine_view (id i64, uuid text, kind text, name text, addr text, os text, version text, created_ms i64,
--   revoked_ms i64, beat_ms i64, load text, host_id i64?, host_name text, host_state text)

-- machine_view_list(:kind text, :like text, :after i64, :limit i64) -> many machine_view
SELECT m.id, m.uuid, m.kind, m.name, m.addr, m.os, m.version, m.created_ms, m.revoked_ms,
       coalesce(b.beat_ms, 0) AS beat_ms, coalesce(b.load, '') AS load, h.id AS host_id, coalesce(h.name, '') AS host_name,
       coalesce(h.state, '') AS host_state
  FROM machine m LEFT JOIN machine_beat b ON b.machine_id = m.id LEFT JOIN host h ON h.machine_id = m.id
 WHERE m.id > :after AND (:kind = '' OR m.kind = :kind)
   AND (:like = '' OR lower(m.name) LIKE :like ESCAPE '!' OR m.addr LIKE :like ESCAPE '!') ORDER BY m.id LIMIT :limit;

-- machine_view_get(:id i64) -> one? machine_view
SELECT m.id, m.uuid, m.kind, m.name, m.addr, m.os, m.version, m.created_ms, m.revoked_ms,
       coalesce(b.beat_ms, 0) AS beat_ms, coalesce(b.load, '') AS load, h.id AS host_id, coalesce(h.name, '') AS host_name,
       coalesce(h.state, '') AS host_state
  FROM machine m LEFT JOIN machine_beat b ON b.machine_id = m.id LEFT JOIN host h ON h.machine_id = m.id WHERE m.id = :id;
