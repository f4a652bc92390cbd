-- SPDX-License-Identifier: Apache-2.0
-- Series: RPO of hosts, space of repositories, work by the hour.

-- part rpo_limit     of policy p, in ms: what it promises, else two of its intervals
CASE WHEN p.rpo_ms > 0 THEN p.rpo_ms ELSE p.interval_ms * 2 END

-- rpo_due(:now_ms i64, :limit i64) -> many (id i64, last_point_ms i64, since_ms i64, interval_ms i64, rpo_ms i64, look_ms i64)
SELECT h.id, h.last_point_ms, w.since_ms, p.interval_ms, p.rpo_ms, w.look_ms
  FROM host_watch w JOIN host h ON h.id = w.host_id JOIN policy p ON p.id = h.policy_id
 WHERE w.look_ms <= :now_ms AND h.state = 'protected' AND h.paused = 0 ORDER BY w.look_ms LIMIT :limit;

-- rpo_looked(:host_id i64, :was_ms i64, :next_ms i64) -> count     0: another console looked
UPDATE host_watch SET look_ms = :next_ms WHERE host_id = :host_id AND look_ms = :was_ms;

-- rpo_add(:host_id i64, :at_ms i64, :age_ms i64, :minutes i64, :missed i64)
INSERT INTO host_rpo (host_id, step_ms, at_ms, age_ms, minutes, missed)
VALUES (:host_id, 0, :at_ms, :age_ms, :minutes, :missed)
ON CONFLICT (host_id, step_ms, at_ms) DO NOTHING;

-- rpo_hour_add(:hour_ms i64, :minutes i64, :missed i64)
INSERT INTO rpo_hour (hour_ms, minutes, missed) VALUES (:hour_ms, :minutes, :missed)
ON CONFLICT (hour_ms) DO UPDATE SET minutes = rpo_hour.minutes + excluded.minutes, missed = rpo_hour.missed + excluded.missed;

-- rpo_hours(:from_ms i64) -> one (minutes i64, missed i64)
SELECT CAST(coalesce(sum(minutes), 0) AS BIGINT) AS minutes, CAST(coalesce(sum(missed), 0) AS BIGINT) AS missed
  FROM rpo_hour WHERE hour_ms >= :from_ms;

-- rpo_now(:now_ms i64) -> one (hosts i64, missed i64, worst_ms i64)     rpo 0 and no interval: nothing was promised
SELECT count(*) AS hosts,
       CAST(coalesce(sum(CASE WHEN rpo > 0 AND :now_ms - since > rpo THEN 1 ELSE 0 END), 0) AS BIGINT) AS missed,
       CAST(coalesce(max(CASE WHEN rpo > 0 THEN :now_ms - since ELSE 0 END), 0) AS BIGINT) AS worst_ms
  FROM (SELECT CASE WHEN h.last_point_ms > 0 THEN h.last_point_ms ELSE w.since_ms END AS since,
               @rpo_limit AS rpo
          FROM host_watch w JOIN host h ON h.id = w.host_id JOIN policy p ON p.id = h.policy_id
         WHERE h.state = 'protected' AND h.paused = 0) AS hosts;

-- rpo_missed(:now_ms i64) -> many (id i64, name text, last_point_ms i64, since_ms i64, rpo_ms i64)
SELECT h.id, h.name, h.last_point_ms, w.since_ms,
       @rpo_limit AS rpo_ms
  FROM host_watch w JOIN host h ON h.id = w.host_id JOIN policy p ON p.id = h.policy_id
 WHERE h.state = 'protected' AND h.paused = 0 AND (p.rpo_ms > 0 OR p.interval_ms > 0)
   AND :now_ms - CASE WHEN h.last_point_ms > 0 THEN h.last_point_ms ELSE w.since_ms END
       > @rpo_limit;

-- rpo_oldest(:limit i64) -> many (id i64, name text, since_ms i64)     the worst first
SELECT h.id, h.name, CASE WHEN h.last_point_ms > 0 THEN h.last_point_ms ELSE w.since_ms END AS since_ms
  FROM host_watch w JOIN host h ON h.id = w.host_id
 WHERE h.state = 'protected' AND h.paused = 0 ORDER BY 3, h.id LIMIT :limit;

-- rpo_series(:host_id i64, :step_ms i64, :from_ms i64, :to_ms i64, :limit i64)
--   -> many (at_ms i64, age_ms i64, minutes i64, missed i64)
SELECT at_ms, age_ms, minutes, missed FROM host_rpo
 WHERE host_id = :host_id AND step_ms = :step_ms AND at_ms >= :from_ms AND at_ms < :to_ms ORDER BY at_ms LIMIT :limit;

-- rpo_hosts(:after i64, :limit i64) -> many (id i64)
SELECT id FROM host WHERE id > :after ORDER BY id LIMIT :limit;

-- rpo_thin(:from_id i64, :to_id i64, :before_ms i64) -> count     looks become hours
INSERT INTO host_rpo (host_id, step_ms, at_ms, age_ms, minutes, missed)
SELECT host_id, 3600000, at_ms - at_ms % 3600000, max(age_ms), CAST(sum(minutes) AS BIGINT), CAST(sum(missed) AS BIGINT)
  FROM host_rpo WHERE host_id >= :from_id AND host_id <= :to_id AND step_ms = 0 AND at_ms < :before_ms
 GROUP BY host_id, at_ms - at_ms % 3600000
ON CONFLICT (host_id, step_ms, at_ms) DO UPDATE
   SET age_ms = CASE WHEN host_rpo.age_ms > excluded.age_ms THEN host_rpo.age_ms ELSE excluded.age_ms END,
       minutes = host_rpo.minutes + excluded.minutes, missed = host_rpo.missed + excluded.missed;

-- rpo_thinned(:from_id i64, :to_id i64, :before_ms i64) -> count
DELETE FROM host_rpo WHERE host_id >= :from_id AND host_id <= :to_id AND step_ms = 0 AND at_ms < :before_ms;

-- rpo_expire(:before_ms i64) -> count
DELETE FROM host_rpo WHERE step_ms = 3600000 AND at_ms < :before_ms;

-- rpo_hour_expire(:before_ms i64) -> count
DELETE FROM rpo_hour WHERE hour_ms < :before_ms;

-- space_unseen(:fresh_ms i64) -> many (id i64, used_bytes i64, free_bytes i64?, measured_ms i64)
--   measured since the newest of the series, which is older than fresh_ms
SELECT r.id, r.used_bytes, r.free_bytes, r.measured_ms FROM repository r
 WHERE r.measured_ms > 0 AND NOT EXISTS (SELECT 1 FROM repository_space s WHERE s.repository_id = r.id AND s.step_ms = 0
                                            AND (s.at_ms >= r.measured_ms OR s.at_ms > :fresh_ms));

-- space_add(:repository_id i64, :step_ms i64, :at_ms i64, :used_bytes i64, :free_bytes i64?)     the last one stays
INSERT INTO repository_space (repository_id, step_ms, at_ms, used_bytes, free_bytes)
VALUES (:repository_id, :step_ms, :at_ms, :used_bytes, :free_bytes)
ON CONFLICT (repository_id, step_ms, at_ms) DO UPDATE SET used_bytes = excluded.used_bytes, free_bytes = excluded.free_bytes;

-- space_series(:repository_id i64, :step_ms i64, :from_ms i64, :to_ms i64, :limit i64)
--   -> many (at_ms i64, used_bytes i64, free_bytes i64?)
SELECT at_ms, used_bytes, free_bytes FROM repository_space WHERE repository_id = :repository_id AND step_ms = :step_ms
   AND at_ms >= :from_ms AND at_ms < :to_ms ORDER BY at_ms LIMIT :limit;

-- space_total(:from_ms i64) -> many (at_ms i64, used_bytes i64)     of all repositories, by the hour
SELECT at_ms, CAST(sum(used_bytes) AS BIGINT) AS used_bytes FROM repository_space
 WHERE step_ms = 3600000 AND at_ms >= :from_ms GROUP BY at_ms ORDER BY at_ms;

-- space_expire(:step_ms i64, :before_ms i64) -> count
DELETE FROM repository_space WHERE step_ms = :step_ms AND at_ms < :before_ms;

-- moved_add(:hour_ms i64, :done i64, :failed i64, :read_bytes i64, :stored_bytes i64)
INSERT INTO moved (hour_ms, done, failed, read_bytes, stored_bytes)
VALUES (:hour_ms, :done, :failed, :read_bytes, :stored_bytes)
ON CONFLICT (hour_ms) DO UPDATE SET done = moved.done + excluded.done, failed = moved.failed + excluded.failed,
   read_bytes = moved.read_bytes + excluded.read_bytes, stored_bytes = moved.stored_bytes + excluded.stored_bytes;

-- moved_since(:from_ms i64, :to_ms i64) -> one (done i64, failed i64, read_bytes i64, stored_bytes i64)
SELECT CAST(coalesce(sum(done), 0) AS BIGINT) AS done, CAST(coalesce(sum(failed), 0) AS BIGINT) AS failed,
       CAST(coalesce(sum(read_bytes), 0) AS BIGINT) AS read_bytes,
       CAST(coalesce(sum(stored_bytes), 0) AS BIGINT) AS stored_bytes
  FROM moved WHERE hour_ms >= :from_ms AND hour_ms < :to_ms;

-- moved_expire(:before_ms i64) -> count
DELETE FROM moved WHERE hour_ms > 0 AND hour_ms < :before_ms;

-- host_counts() -> many (state text, paused i64, n i64)
SELECT state, paused, count(*) AS n FROM host GROUP BY state, paused ORDER BY state, paused;

-- job_counts_open() -> many (state text, n i64)
SELECT state, count(*) AS n FROM job WHERE state IN ('ready', 'running', 'pausing', 'paused', 'cancelling')
 GROUP BY state ORDER BY state;

-- machine_counts(:before_ms i64) -> many (kind text, n i64, silent i64)
SELECT m.kind, count(*) AS n,
       CAST(sum(CASE WHEN b.beat_ms IS NOT NULL AND b.beat_ms < :before_ms THEN 1 ELSE 0 END) AS BIGINT) AS silent
  FROM machine m LEFT JOIN machine_beat b ON b.machine_id = m.id WHERE m.revoked_ms = 0 GROUP BY m.kind ORDER BY m.kind;

-- repository_total() -> one (n i64, used_bytes i64, free_bytes i64, wrong i64)
SELECT count(*) AS n, CAST(coalesce(sum(used_bytes), 0) AS BIGINT) AS used_bytes,
       CAST(coalesce(sum(free_bytes), 0) AS BIGINT) AS free_bytes,
       CAST(coalesce(sum(CASE WHEN state <> 'ok' THEN 1 ELSE 0 END), 0) AS BIGINT) AS wrong FROM repository;
