-- SPDX-License-Identifier: Apache-2.0
-- PostgreSQL's writers run side by side: these hold the rows they decide on.

-- job_lock(:id i64) -> one? job
SELECT @job FROM job WHERE id = :id FOR UPDATE;

-- job_pick(:worker_id i64, :kinds text, :now_ms i64, :busy i64, :max i64, :alive_ms i64, :patient_ms i64)
--   -> one? (id i64, host_id i64?, fence i64, tries i64, moved bool, started_ms i64?)
--   SKIP LOCKED: what another worker is taking is not waited for
WITH mine AS (
    SELECT b.platform_id, EXISTS (
        SELECT 1 FROM binding o JOIN proxy p ON p.machine_id = o.proxy_id
          JOIN machine_beat mb ON mb.machine_id = o.proxy_id
         WHERE o.platform_id = b.platform_id AND o.proxy_id <> b.proxy_id AND mb.beat_ms >= :alive_ms AND p.drain = 0
           AND (SELECT coalesce(sum(r.disks), 0) FROM job r WHERE r.worker_id = o.proxy_id
                   AND r.state IN ('running', 'pausing', 'cancelling')) * :max < :busy * p.max_disks) AS yields
      FROM binding b JOIN proxy d ON d.machine_id = b.proxy_id AND d.drain = 0 WHERE b.proxy_id = :worker_id)
SELECT j.id, j.host_id, j.fence, j.tries, j.moved, j.started_ms FROM job j
 WHERE j.state = 'ready' AND j.due_ms <= :now_ms
   AND (j.machine_id = :worker_id OR (j.machine_id IS NULL AND (
        j.platform_id IN (SELECT platform_id FROM mine WHERE NOT yields)
        OR (j.due_ms <= :patient_ms AND j.platform_id IN (SELECT platform_id FROM mine)))))
   AND (:kinds = '' OR strpos(' ' || :kinds || ' ', ' ' || j.kind || ' ') > 0)
   AND (:max = 0 OR :busy = 0 OR :busy + j.disks <= :max)
   AND NOT (j.writes = 1 AND j.host_id IS NOT NULL AND EXISTS (
        SELECT 1 FROM job w WHERE w.host_id = j.host_id AND w.writes = 1
           AND w.state IN ('running', 'pausing', 'cancelling')))
 ORDER BY j.priority DESC, j.due_ms, j.id LIMIT 1
   FOR UPDATE OF j SKIP LOCKED;
