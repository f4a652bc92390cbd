-- SPDX-License-Identifier: Apache-2.0
-- What is due: runs of policies, pruning and verifying of repositories.

-- watch_claim(:name text, :now_ms i64, :before_ms i64) -> count     0: another console did it a moment ago
INSERT INTO watch_mark (name, at_ms) VALUES (:name, :now_ms)
ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms
 WHERE watch_mark.at_ms <= :before_ms OR watch_mark.at_ms > excluded.at_ms;

-- watch_adopt(:now_ms i64, :limit i64) -> count     hosts whose protection began
INSERT INTO host_watch (host_id, since_ms)
SELECT h.id, :now_ms FROM host h WHERE h.state = 'protected'
   AND NOT EXISTS (SELECT 1 FROM host_watch w WHERE w.host_id = h.id) ORDER BY h.id LIMIT :limit
ON CONFLICT (host_id) DO NOTHING;

-- watch_forget() -> count     hosts whose protection ended
DELETE FROM host_watch WHERE host_id IN (
       SELECT w.host_id FROM host_watch w JOIN host h ON h.id = w.host_id WHERE h.state <> 'protected');

-- watch_get(:host_id i64) -> one? (since_ms i64, planned_ms i64)
SELECT since_ms, planned_ms FROM host_watch WHERE host_id = :host_id;

-- watch_planned(:host_id i64, :now_ms i64) -> count
UPDATE host_watch SET planned_ms = :now_ms WHERE host_id = :host_id;

-- host_unplanned(:retry_ms i64, :limit i64) -> many (id i64)     whose policy is newer than the plan, or who have none
SELECT h.id FROM host_watch w JOIN host h ON h.id = w.host_id JOIN policy p ON p.id = h.policy_id
 WHERE h.state = 'protected' AND h.paused = 0
   AND (p.changed_ms > w.planned_ms OR w.planned_ms = 0 OR (h.next_ms IS NULL AND w.planned_ms < :retry_ms))
 ORDER BY h.id LIMIT :limit;

-- host_due_free(:now_ms i64, :limit i64) -> many (id i64)     due, and nothing of theirs is unfinished
SELECT h.id FROM host h WHERE h.next_ms <= :now_ms AND h.state = 'protected' AND h.paused = 0
   AND NOT EXISTS (SELECT 1 FROM job j WHERE j.host_id = h.id AND j.kind = 'sync'
                      AND j.state NOT IN ('done', 'failed', 'cancelled'))
 ORDER BY h.next_ms, h.id LIMIT :limit;

-- job_syncs_unfinished(:host_id i64) -> i64
SELECT count(*) FROM job WHERE host_id = :host_id AND kind = 'sync' AND state NOT IN ('done', 'failed', 'cancelled');

-- disk_wanted(:host_id i64) -> i64
SELECT count(*) FROM disk WHERE host_id = :host_id AND excluded = 0 AND gone_ms = 0;

-- care_list() -> many (id i64, name text, gateway_id i64, used_bytes i64, free_bytes i64?, prune_ms i64, verify_ms i64,
--   syncs i64, cares i64, made_ms i64)     syncs: runs that write to it now, or go on soon; cares: unfinished jobs of its own
SELECT r.id, r.name, r.gateway_id, r.used_bytes, r.free_bytes, coalesce(c.prune_ms, 0) AS prune_ms,
       coalesce(c.verify_ms, 0) AS verify_ms,
       (SELECT count(*) FROM job j WHERE j.repository_id = r.id AND j.kind = 'sync'
           AND (j.state IN ('running', 'pausing', 'cancelling') OR (j.state IN ('ready', 'paused') AND j.tries > 0))) AS syncs,
       (SELECT count(*) FROM job j WHERE j.repository_id = r.id AND j.kind IN ('prune', 'verify')
           AND j.state NOT IN ('done', 'failed', 'cancelled')) AS cares,
       r.created_ms AS made_ms
  FROM repository r LEFT JOIN repository_care c ON c.repository_id = r.id
 WHERE r.gateway_id IS NOT NULL ORDER BY r.id;

-- care_pruned(:repository_id i64, :was_ms i64, :now_ms i64) -> count     0: another console was quicker
INSERT INTO repository_care (repository_id, prune_ms) VALUES (:repository_id, :now_ms)
ON CONFLICT (repository_id) DO UPDATE SET prune_ms = excluded.prune_ms WHERE repository_care.prune_ms = :was_ms;

-- care_verified(:repository_id i64, :was_ms i64, :now_ms i64) -> count
INSERT INTO repository_care (repository_id, verify_ms) VALUES (:repository_id, :now_ms)
ON CONFLICT (repository_id) DO UPDATE SET verify_ms = excluded.verify_ms WHERE repository_care.verify_ms = :was_ms;

-- care_keeps(:repository_id i64) -> many (host_id i64, retention text)     hosts whose policy keeps less than all
SELECT h.id AS host_id, p.retention FROM host h JOIN policy p ON p.id = h.policy_id
 WHERE h.repository_id = :repository_id AND p.retention <> '' ORDER BY p.retention, h.id;

-- care_held(:repository_id i64) -> many (ref text)     points that a person holds, or that are served now
SELECT ref FROM point WHERE repository_id = :repository_id AND state <> 'removed'
   AND (held = 1 OR EXISTS (SELECT 1 FROM recovery v WHERE v.point_id = point.id AND v.kind = 'share'
                               AND v.state IN ('planned', 'running'))) ORDER BY id;
