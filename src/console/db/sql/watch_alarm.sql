-- SPDX-License-Identifier: Apache-2.0
-- Alarms: what stands, and the conditions that raise them. watch.sql raises, clears and acknowledges.

-- alarm_one(:id i64) -> one? alarm
SELECT @alarm FROM alarm WHERE id = :id;

-- alarm_of_kind(:kind text) -> many (id i64, severity text, object text, object_id i64, text text, raised_ms i64,
--   acked_ms i64)     that stand
SELECT id, severity, object, object_id, text, raised_ms, acked_ms FROM alarm WHERE kind = :kind AND cleared_ms IS NULL;

-- alarm_at(:kind text, :object text, :object_id i64) -> one? (id i64, raised_ms i64, acked_ms i64)
SELECT id, raised_ms, acked_ms FROM alarm WHERE kind = :kind AND object = :object AND object_id = :object_id
   AND cleared_ms IS NULL;

-- alarm_page(:state text, :severity text, :kind text, :object text, :object_id i64, :acked i64, :before i64, :limit i64)
--   -> many alarm     state: standing, cleared or all; acked: 0 not, 1 yes, -1 both
SELECT @alarm FROM alarm
 WHERE (:state = 'all' OR (:state = 'standing' AND cleared_ms IS NULL) OR (:state = 'cleared' AND cleared_ms IS NOT NULL))
   AND (:severity = '' OR severity = :severity) AND (:kind = '' OR kind = :kind)
   AND (:object = '' OR object = :object) AND (:object_id = 0 OR object_id = :object_id)
   AND (:acked < 0 OR (:acked = 0 AND acked_ms = 0) OR (:acked > 0 AND acked_ms > 0))
   AND id < :before ORDER BY id DESC LIMIT :limit;

-- alarm_counts() -> many (severity text, n i64)
SELECT severity, count(*) AS n FROM alarm WHERE cleared_ms IS NULL GROUP BY severity ORDER BY severity;

-- alarm_hosts_at_risk() -> i64     protected in name only
SELECT count(DISTINCT object_id) FROM alarm WHERE cleared_ms IS NULL AND object = 'host'
   AND kind IN ('rpo.missed', 'job.failed', 'job.waiting', 'point.inconsistent', 'point.damaged');

-- alarm_expire(:before_ms i64, :limit i64) -> count
DELETE FROM alarm WHERE id IN (SELECT id FROM alarm WHERE cleared_ms < :before_ms ORDER BY id LIMIT :limit);

-- event_page(:kind text, :object text, :object_id i64, :before i64, :limit i64)
--   -> many (id i64, at_ms i64, kind text, object text, object_id i64, text text)     newest first
SELECT id, at_ms, kind, object, object_id, text FROM event
 WHERE (:kind = '' OR kind = :kind) AND (:object = '' OR object = :object) AND (:object_id = 0 OR object_id = :object_id)
   AND id < :before ORDER BY id DESC LIMIT :limit;

-- cond_certificates(:now_ms i64) -> many (id i64, kind text, name text, expires_ms i64, left_ms i64, life_ms i64)
--   a machine renews with a third of the life left: a sixth is late
SELECT m.id, m.kind, m.name, c.expires_ms, c.expires_ms - :now_ms AS left_ms, c.expires_ms - c.issued_ms AS life_ms
  FROM machine m JOIN certificate c ON c.machine_id = m.id
 WHERE m.revoked_ms = 0 AND c.revoked_ms = 0 AND (c.expires_ms - :now_ms) * 6 < c.expires_ms - c.issued_ms
   AND NOT EXISTS (SELECT 1 FROM certificate x WHERE x.machine_id = m.id AND x.revoked_ms = 0
                      AND x.expires_ms > c.expires_ms) ORDER BY m.id;

-- cond_failed(:since_ms i64) -> many (id i64, kind text, object text, object_id i64, name text, error_code text,
--   error_text text, tries i64, ended_ms i64)     failed, and none of its kind and object has ended well since
SELECT j.id, j.kind, 'host' AS object, h.id AS object_id, h.name, j.error_code, j.error_text, j.tries, j.ended_ms
  FROM job j JOIN host h ON h.id = j.host_id
 WHERE j.state = 'failed' AND j.ended_ms > :since_ms AND j.kind = 'sync' AND h.state = 'protected' AND NOT EXISTS (
       SELECT 1 FROM job n WHERE n.host_id = j.host_id AND n.kind = j.kind AND n.id > j.id AND n.state IN ('done', 'failed'))
UNION ALL
SELECT j.id, j.kind, 'platform' AS object, p.id AS object_id, p.name, j.error_code, j.error_text, j.tries, j.ended_ms
  FROM job j JOIN platform p ON p.id = j.platform_id
 WHERE j.state = 'failed' AND j.ended_ms > :since_ms AND j.kind = 'scan' AND NOT EXISTS (
       SELECT 1 FROM job n WHERE n.platform_id = j.platform_id AND n.kind = j.kind AND n.id > j.id
          AND n.state IN ('done', 'failed'))
UNION ALL
SELECT j.id, j.kind, 'repository' AS object, r.id AS object_id, r.name, j.error_code, j.error_text, j.tries, j.ended_ms
  FROM job j JOIN repository r ON r.id = j.repository_id
 WHERE j.state = 'failed' AND j.ended_ms > :since_ms AND j.kind IN ('prune', 'verify') AND NOT EXISTS (
       SELECT 1 FROM job n WHERE n.repository_id = j.repository_id AND n.kind IN ('prune', 'verify') AND n.id > j.id
          AND n.state IN ('done', 'failed'))
UNION ALL
SELECT j.id, j.kind, 'recovery' AS object, j.recovery_id AS object_id, h.name, j.error_code, j.error_text, j.tries, j.ended_ms
  FROM job j JOIN host h ON h.id = j.host_id
 WHERE j.state = 'failed' AND j.ended_ms > :since_ms AND j.recovery_id IS NOT NULL AND NOT EXISTS (
       SELECT 1 FROM job n WHERE n.host_id = j.host_id AND n.recovery_id = j.recovery_id AND n.id > j.id
          AND n.state IN ('done', 'failed'));

-- cond_waiting(:due_ms i64, :alive_ms i64) -> many (id i64, kind text, host_id i64, name text, due_ms i64)
--   a host's job that is due for long while nobody able is alive
SELECT j.id, j.kind, h.id AS host_id, h.name, j.due_ms FROM job j JOIN host h ON h.id = j.host_id
 WHERE j.state = 'ready' AND j.due_ms < :due_ms AND j.kind = 'sync' AND NOT EXISTS (
        SELECT 1 FROM machine_beat mb WHERE mb.machine_id = j.machine_id AND mb.beat_ms >= :alive_ms)
   AND NOT EXISTS (SELECT 1 FROM binding b JOIN machine_beat mb ON mb.machine_id = b.proxy_id
        WHERE b.platform_id = j.platform_id AND j.machine_id IS NULL AND mb.beat_ms >= :alive_ms) ORDER BY j.id;

-- cond_inconsistent() -> many (id i64, name text, consistency text, wanted text, taken_ms i64)
SELECT h.id, h.name, pt.consistency, p.consistency AS wanted, pt.taken_ms
  FROM host h JOIN policy p ON p.id = h.policy_id JOIN point pt ON pt.id = (
       SELECT x.id FROM point x WHERE x.host_id = h.id AND x.state <> 'removed' ORDER BY x.taken_ms DESC LIMIT 1)
 WHERE h.state = 'protected' AND (pt.consistency = 'inconsistent'
    OR (p.consistency = 'application' AND pt.consistency <> 'application')
    OR (p.consistency = 'filesystem' AND pt.consistency NOT IN ('filesystem', 'application'))) ORDER BY h.id;

-- cond_damaged() -> many (host_id i64, name text, n i64, point_id i64)     its newest damaged point
SELECT h.id AS host_id, h.name, count(*) AS n, max(pt.id) AS point_id
  FROM point pt JOIN host h ON h.id = pt.host_id WHERE pt.state = 'damaged' GROUP BY h.id, h.name ORDER BY h.id;

-- cond_future(:limit_ms i64) -> many (id i64, name text, last_point_ms i64)     made in the future: its clock is wrong
SELECT id, name, last_point_ms FROM host WHERE state = 'protected' AND last_point_ms > :limit_ms ORDER BY id;

-- cond_clock() -> i64     the database's own clock
SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER);

-- cond_channels() -> many (id i64, name text, error_text text, error_ms i64)
SELECT id, name, error_text, error_ms FROM channel WHERE enabled = 1 AND error_ms > ok_ms ORDER BY id;

-- cond_repositories() -> many (id i64, name text, state text, state_text text, used_bytes i64, free_bytes i64?, measured_ms i64)
SELECT id, name, state, state_text, used_bytes, free_bytes, measured_ms FROM repository ORDER BY id;

-- cond_no_room() -> many (id i64, name text, n i64, host text, error_text text, gateway text, url text)
--   runs that wait because there was no room; host, error_text: of one of them
SELECT r.id, r.name, count(*) AS n, min(h.name) AS host, min(j.error_text) AS error_text,
       coalesce(min(m.name), '') AS gateway, r.url
  FROM job j JOIN repository r ON r.id = j.repository_id JOIN host h ON h.id = j.host_id
       LEFT JOIN machine m ON m.id = r.gateway_id
 WHERE j.writes = 1 AND j.error_code = 'NOSPACE' AND j.state NOT IN ('done', 'failed', 'cancelled')
 GROUP BY r.id, r.name, r.url ORDER BY r.id;

-- job_ended(:limit i64) -> many (id i64, kind text, state text, host_id i64?, repository_id i64?, name text, origin text,
--   done_bytes i64, stored_bytes i64, error_text text, params text, result text, started_ms i64?, ended_ms i64)
--   and nobody looked
SELECT j.id, j.kind, j.state, j.host_id, j.repository_id, coalesce(h.name, '') AS name, j.origin, j.done_bytes,
       j.stored_bytes, j.error_text, j.params, j.result, j.started_ms, coalesce(j.ended_ms, 0) AS ended_ms
  FROM job j LEFT JOIN host h ON h.id = j.host_id WHERE j.ended_ms > j.watched_ms ORDER BY j.id LIMIT :limit;

-- job_watched(:id i64, :ended_ms i64) -> count     0: another console looked
UPDATE job SET watched_ms = :ended_ms WHERE id = :id AND ended_ms = :ended_ms AND watched_ms < :ended_ms;

-- change_list(:host_id i64, :limit i64) -> many (at_ms i64, bytes i64)     newest first
SELECT at_ms, bytes FROM host_change WHERE host_id = :host_id ORDER BY at_ms DESC LIMIT :limit;

-- change_add(:host_id i64, :at_ms i64, :bytes i64)
INSERT INTO host_change (host_id, at_ms, bytes) VALUES (:host_id, :at_ms, :bytes)
ON CONFLICT (host_id, at_ms) DO NOTHING;

-- change_trim(:host_id i64, :before_ms i64) -> count
DELETE FROM host_change WHERE host_id = :host_id AND at_ms < :before_ms;

-- point_damaged(:repository_id i64, :ref text) -> count
UPDATE point SET state = 'damaged' WHERE repository_id = :repository_id AND ref = :ref AND state = 'ok';

-- point_verified(:repository_id i64, :ref text, :now_ms i64) -> count     all of it was read, and is right
UPDATE point SET verified_ms = :now_ms, state = CASE WHEN state = 'damaged' THEN 'ok' ELSE state END
 WHERE repository_id = :repository_id AND ref = :ref;
