-- SPDX-License-Identifier: Apache-2.0
-- Jobs; src/console/jobs is the only writer of job.state.

-- row job (id i64, kind text, state text, writes bool, host_id i64?, platform_id i64?, machine_id i64?, repository_id i64?,
--   recovery_id i64?, params text, origin text, disks i64, priority i64, due_ms i64, tries i64, max_tries i64,
--   worker_id i64?, fence i64, lease_until_ms i64, beat_ms i64, checkpoint text, moved bool, pass i64, done_bytes i64,
--   total_bytes i64, stored_bytes i64, rate_bps i64, error_code text, error_text text, result text, created_ms i64,
--   started_ms i64?, ended_ms i64?, step text)

-- job_add(:kind text, :writes bool, :host_id i64?, :platform_id i64?, :machine_id i64?, :repository_id i64?,
--   :recovery_id i64?, :params text, :origin text, :disks i64, :priority i64, :due_ms i64, :max_tries i64,
--   :now_ms i64) -> i64
INSERT INTO job (kind, state, writes, host_id, platform_id, machine_id, repository_id, recovery_id, params, origin, disks,
                 priority, due_ms, max_tries, created_ms)
VALUES (:kind, 'ready', :writes, :host_id, :platform_id, :machine_id, :repository_id, :recovery_id, :params, :origin,
        :disks, :priority, :due_ms, :max_tries, :now_ms)
RETURNING id;

-- job_get(:id i64) -> one? job
SELECT @job FROM job WHERE id = :id;

-- job_lock(:id i64) -> one? job     pg: holds the row until the transaction ends
SELECT @job FROM job WHERE id = :id;

-- job_list(:state text, :kind text, :before i64, :limit i64) -> many job     newest first; '': all
SELECT @job FROM job WHERE id < :before AND (:state = '' OR state = :state) AND (:kind = '' OR kind = :kind)
 ORDER BY id DESC LIMIT :limit;

-- job_list_of_host(:host_id i64, :before i64, :limit i64) -> many job
SELECT @job FROM job WHERE host_id = :host_id AND id < :before ORDER BY id DESC LIMIT :limit;

-- job_counts() -> many (state text, n i64)
SELECT state, count(*) AS n FROM job GROUP BY state ORDER BY state;

-- worker_load(:id i64) -> one? (kind text, revoked_ms i64, max_disks i64, busy_disks i64)
--   After machine_lock, as a statement of its own: a sum made while waiting for the lock would be an old one. 0: no limit
SELECT m.kind, m.revoked_ms, coalesce((SELECT p.max_disks FROM proxy p WHERE p.machine_id = m.id), 0) AS max_disks,
       CAST(coalesce((SELECT sum(j.disks) FROM job j WHERE j.worker_id = m.id
                         AND j.state IN ('running', 'pausing', 'cancelling')), 0) AS BIGINT) AS busy_disks
  FROM machine m WHERE m.id = :id;

-- job_pick(:worker_id i64, :kinds text, :now_ms i64, :busy i64, :max i64, :alive_ms i64, :patient_ms i64)
--   -> one? (id i64, host_id i64?, fence i64, tries i64, moved bool, started_ms i64?)
--   The next job for this worker, of `kinds` (words; '': any). `yields`: another bound and alive proxy has less to do, and is given until patient_ms
--   to take it. A job larger than the proxy's limit runs alone. INDEXED BY: in the order of the index the first that
--   fits is the answer; SQLite would rather read all that are ready and sort them, 20 ms with 750 of them.
WITH mine AS (
    SELECT b.platform_id, EXISTS (
        SELECT 1 FROM binding o JOIN proxy p ON p.machine_id = o.proxy_id
          JOIN machine_beat mb ON mb.machine_id = o.proxy_id
         WHERE o.platform_id = b.platform_id AND o.proxy_id <> b.proxy_id AND mb.beat_ms >= :alive_ms AND p.drain = 0
           AND (SELECT coalesce(sum(r.disks), 0) FROM job r WHERE r.worker_id = o.proxy_id
                   AND r.state IN ('running', 'pausing', 'cancelling')) * :max < :busy * p.max_disks) AS yields
      FROM binding b JOIN proxy d ON d.machine_id = b.proxy_id AND d.drain = 0 WHERE b.proxy_id = :worker_id)
SELECT j.id, j.host_id, j.fence, j.tries, j.moved, j.started_ms FROM job j INDEXED BY job_ready
 WHERE j.state = 'ready' AND j.due_ms <= :now_ms
   AND (j.machine_id = :worker_id OR (j.machine_id IS NULL AND (
        j.platform_id IN (SELECT platform_id FROM mine WHERE NOT yields)
        OR (j.due_ms <= :patient_ms AND j.platform_id IN (SELECT platform_id FROM mine)))))
   AND (:kinds = '' OR instr(' ' || :kinds || ' ', ' ' || j.kind || ' ') > 0)
   AND (:max = 0 OR :busy = 0 OR :busy + j.disks <= :max)
   AND NOT (j.writes = 1 AND j.host_id IS NOT NULL AND EXISTS (
        SELECT 1 FROM job w WHERE w.host_id = j.host_id AND w.writes = 1
           AND w.state IN ('running', 'pausing', 'cancelling')))
 ORDER BY j.priority DESC, j.due_ms, j.id LIMIT 1;

-- host_fence(:id i64) -> i64     the next number of its writers' leases
UPDATE host SET fence = fence + 1 WHERE id = :id RETURNING fence;

-- job_claim(:id i64, :worker_id i64, :fence i64, :tries i64, :now_ms i64, :until_ms i64) -> one job
UPDATE job SET state = 'running', worker_id = :worker_id, fence = :fence, tries = :tries, moved = 0,
       lease_until_ms = :until_ms, beat_ms = :now_ms, rate_bps = 0, started_ms = coalesce(started_ms, :now_ms)
 WHERE id = :id
RETURNING @job;

-- job_beat(:id i64, :worker_id i64, :fence i64, :now_ms i64, :until_ms i64, :pass i64, :done_bytes i64, :total_bytes i64,
--   :stored_bytes i64) -> one? (state text)     none: the lease is somebody else's. The rate is smoothed over four beats
UPDATE job SET rate_bps = CASE WHEN :now_ms <= beat_ms OR :done_bytes < done_bytes THEN rate_bps
                               WHEN rate_bps = 0 THEN (:done_bytes - done_bytes) * 1000 / (:now_ms - beat_ms)
                               ELSE (rate_bps * 3 + (:done_bytes - done_bytes) * 1000 / (:now_ms - beat_ms)) / 4 END,
       beat_ms = :now_ms, lease_until_ms = :until_ms, pass = :pass, done_bytes = :done_bytes, total_bytes = :total_bytes,
       stored_bytes = :stored_bytes
 WHERE id = :id AND worker_id = :worker_id AND fence = :fence AND state IN ('running', 'pausing', 'cancelling')
RETURNING state;

-- job_checkpoint(:id i64, :worker_id i64, :fence i64, :checkpoint text) -> count     0: the lease is somebody else's
UPDATE job SET moved = CASE WHEN checkpoint <> :checkpoint THEN 1 ELSE moved END, checkpoint = :checkpoint
 WHERE id = :id AND worker_id = :worker_id AND fence = :fence AND state IN ('running', 'pausing', 'cancelling');

-- job_move(:id i64, :state text, :due_ms i64, :tries i64, :error_code text, :error_text text, :result text,
--   :ended_ms i64?) -> count
UPDATE job SET state = :state, due_ms = :due_ms, tries = :tries, lease_until_ms = 0, rate_bps = 0,
       error_code = :error_code, error_text = :error_text, result = :result, ended_ms = :ended_ms
 WHERE id = :id;

-- job_ask(:id i64, :state text) -> count     the lease stays: its worker is told with the next beat
UPDATE job SET state = :state WHERE id = :id;

-- job_expired(:now_ms i64, :limit i64) -> many (id i64)
SELECT id FROM job WHERE state IN ('running', 'pausing', 'cancelling') AND lease_until_ms < :now_ms
 ORDER BY lease_until_ms LIMIT :limit;

-- job_stuck(:due_ms i64, :alive_ms i64, :limit i64) -> many (id i64, kind text, host_id i64?)     due for long, and no
--   able worker is alive: worth an alarm
SELECT j.id, j.kind, j.host_id FROM job j
 WHERE j.state = 'ready' AND j.due_ms < :due_ms AND NOT EXISTS (
        SELECT 1 FROM machine_beat mb WHERE mb.beat_ms >= :alive_ms AND (
               mb.machine_id = j.machine_id OR (j.machine_id IS NULL AND mb.machine_id IN (
               SELECT b.proxy_id FROM binding b WHERE b.platform_id = j.platform_id))))
 ORDER BY j.due_ms LIMIT :limit;

-- job_unfinished_of_host(:host_id i64) -> i64
SELECT count(*) FROM job WHERE host_id = :host_id AND state NOT IN ('done', 'failed', 'cancelled');

-- job_unfinished_ids(:host_id i64) -> many (id i64)
SELECT id FROM job WHERE host_id = :host_id AND state NOT IN ('done', 'failed', 'cancelled') ORDER BY id;

-- job_forget_platform(:platform_id i64) -> count     history stays, without what it was about
UPDATE job SET platform_id = NULL WHERE platform_id = :platform_id;

-- job_forget_idle_hosts(:platform_id i64) -> count
UPDATE job SET host_id = NULL WHERE host_id IN (
       SELECT h.id FROM host h WHERE h.platform_id = :platform_id AND h.state IN ('seen', 'gone')
          AND NOT EXISTS (SELECT 1 FROM point p WHERE p.host_id = h.id)
          AND NOT EXISTS (SELECT 1 FROM recovery r WHERE r.host_id = h.id));

-- job_held_of_worker(:worker_id i64) -> i64
SELECT count(*) FROM job WHERE worker_id = :worker_id AND state IN ('running', 'pausing', 'cancelling');

-- job_held_of_worker_on(:worker_id i64, :platform_id i64) -> i64
SELECT count(*) FROM job j WHERE j.worker_id = :worker_id AND j.state IN ('running', 'pausing', 'cancelling')
   AND j.platform_id = :platform_id;

-- job_unfinished_of_platform(:platform_id i64) -> i64
SELECT count(*) FROM job WHERE platform_id = :platform_id AND state NOT IN ('done', 'failed', 'cancelled');

-- job_expire_old(:before_ms i64, :limit i64) -> count     history is kept for so long
DELETE FROM job WHERE id IN (SELECT id FROM job WHERE state IN ('done', 'failed', 'cancelled') AND ended_ms < :before_ms
 ORDER BY id LIMIT :limit);

-- row job_log (id i64, job_id i64, at_ms i64, event text, was text, now text, actor text, fence i64, done_bytes i64, text text)

-- job_log_add(:job_id i64, :at_ms i64, :event text, :was text, :now text, :actor text, :fence i64, :done_bytes i64,
--   :text text)
INSERT INTO job_log (job_id, at_ms, event, was, now, actor, fence, done_bytes, text)
VALUES (:job_id, :at_ms, :event, :was, :now, :actor, :fence, :done_bytes, :text);

-- job_log_list(:job_id i64, :after i64, :limit i64) -> many job_log
SELECT @job_log FROM job_log WHERE job_id = :job_id AND id > :after ORDER BY id LIMIT :limit;

-- job_hurry(:id i64, :now_ms i64) -> count     waits for its next try: that is now
UPDATE job SET due_ms = :now_ms WHERE id = :id AND state = 'ready' AND tries > 0 AND due_ms > :now_ms;

-- job_room(:repository_id i64, :now_ms i64) -> count     those that waited for room in it go on
UPDATE job SET due_ms = :now_ms WHERE repository_id = :repository_id AND state = 'ready' AND error_code = 'NOSPACE'
   AND due_ms > :now_ms;
