-- SPDX-License-Identifier: Apache-2.0
-- Repositories, policies, hosts with their disks, and recovery points.

-- row repository (id i64, name text, url text, gateway_id i64?, encrypted bool, state text, state_text text, used_bytes i64,
--   free_bytes i64?, measured_ms i64, created_ms i64)

-- repository_get(:id i64) -> one? repository
SELECT @repository FROM repository WHERE id = :id;

-- repository_list(:after i64, :limit i64) -> many repository
SELECT @repository FROM repository WHERE id > :after ORDER BY id LIMIT :limit;

-- repository_add(:name text, :url text, :gateway_id i64?, :encrypted bool, :now_ms i64) -> i64
INSERT INTO repository (name, url, gateway_id, encrypted, created_ms)
VALUES (:name, :url, :gateway_id, :encrypted, :now_ms)
RETURNING id;

-- repository_measured(:id i64, :state text, :state_text text, :used_bytes i64, :free_bytes i64?, :now_ms i64) -> count
UPDATE repository SET state = :state, state_text = :state_text, used_bytes = :used_bytes, free_bytes = :free_bytes,
       measured_ms = :now_ms WHERE id = :id;

-- repository_uses(:id i64) -> i64     hosts and points that need it
SELECT (SELECT count(*) FROM host WHERE repository_id = :id)
     + (SELECT count(*) FROM point WHERE repository_id = :id AND state <> 'removed');

-- repository_delete(:id i64) -> count
DELETE FROM repository WHERE id = :id;

-- row policy (id i64, name text, interval_ms i64, cron text, zone text, windows text, bandwidth text, retention text,
--   compression text, encrypt bool, consistency text, rpo_ms i64, tries i64, created_ms i64, changed_ms i64)

-- policy_get(:id i64) -> one? policy
SELECT @policy FROM policy WHERE id = :id;

-- policy_list(:after i64, :limit i64) -> many policy
SELECT @policy FROM policy WHERE id > :after ORDER BY id LIMIT :limit;

-- policy_add(:name text, :interval_ms i64, :cron text, :zone text, :windows text, :bandwidth text, :retention text,
--   :compression text, :encrypt bool, :consistency text, :rpo_ms i64, :tries i64, :now_ms i64) -> i64
INSERT INTO policy (name, interval_ms, cron, zone, windows, bandwidth, retention, compression, encrypt, consistency, rpo_ms,
                    tries, created_ms, changed_ms)
VALUES (:name, :interval_ms, :cron, :zone, :windows, :bandwidth, :retention, :compression, :encrypt, :consistency, :rpo_ms,
        :tries, :now_ms, :now_ms)
RETURNING id;

-- policy_update(:id i64, :name text, :interval_ms i64, :cron text, :zone text, :windows text, :bandwidth text,
--   :retention text, :compression text, :encrypt bool, :consistency text, :rpo_ms i64, :tries i64, :now_ms i64) -> count
UPDATE policy SET name = :name, interval_ms = :interval_ms, cron = :cron, zone = :zone, windows = :windows,
       bandwidth = :bandwidth, retention = :retention, compression = :compression, encrypt = :encrypt,
       consistency = :consistency, rpo_ms = :rpo_ms, tries = :tries, changed_ms = :now_ms
 WHERE id = :id;

-- policy_hosts(:id i64) -> i64
SELECT count(*) FROM host WHERE policy_id = :id;

-- policy_delete(:id i64) -> count
DELETE FROM policy WHERE id = :id;

-- row host (id i64, platform_id i64?, machine_id i64?, ref text, name text, addr text, os text, power text, state text,
--   policy_id i64?, repository_id i64?, paused bool, fence i64, next_ms i64?, last_run_ms i64, last_point_ms i64,
--   needs_full bool, created_ms i64, seen_ms i64, label text, reason text)

-- host_get(:id i64) -> one? host
SELECT @host FROM host WHERE id = :id;

-- host_lock(:id i64) -> one? host     pg: holds the row until the transaction ends
SELECT @host FROM host WHERE id = :id;

-- host_by_machine(:machine_id i64) -> one? host
SELECT @host FROM host WHERE machine_id = :machine_id;

-- host_list(:state text, :platform_id i64, :after i64, :limit i64) -> many host     '' and 0: all
SELECT @host FROM host WHERE (:state = '' OR state = :state) AND (:platform_id = 0 OR platform_id = :platform_id)
   AND id > :after ORDER BY id LIMIT :limit;

-- host_search(:name text, :after i64, :limit i64) -> many host     name: the beginning of one, or of an address
SELECT @host FROM host WHERE (substr(name, 1, length(:name)) = :name OR substr(addr, 1, length(:name)) = :name)
   AND id > :after ORDER BY id LIMIT :limit;

-- host_seen(:platform_id i64?, :ref text, :name text, :addr text, :os text, :power text, :now_ms i64) -> i64
--   what a scan of a platform found
INSERT INTO host (platform_id, ref, name, addr, os, power, state, created_ms, seen_ms)
VALUES (:platform_id, :ref, :name, :addr, :os, :power, 'seen', :now_ms, :now_ms)
ON CONFLICT (platform_id, ref) DO UPDATE SET name = excluded.name, addr = excluded.addr, os = excluded.os,
       power = excluded.power, seen_ms = excluded.seen_ms,
       state = CASE WHEN host.state = 'gone' THEN 'seen' ELSE host.state END
RETURNING id;

-- host_of_agent(:machine_id i64?, :name text, :addr text, :os text, :now_ms i64) -> i64
INSERT INTO host (machine_id, name, addr, os, state, created_ms, seen_ms)
VALUES (:machine_id, :name, :addr, :os, 'registered', :now_ms, :now_ms)
RETURNING id;

-- host_state(:id i64, :state text) -> count
UPDATE host SET state = :state WHERE id = :id;

-- host_protect(:id i64, :policy_id i64?, :repository_id i64?, :next_ms i64?) -> count
UPDATE host SET state = 'protected', policy_id = :policy_id, repository_id = :repository_id, next_ms = :next_ms
 WHERE id = :id AND state IN ('registered', 'protected');

-- host_unprotect(:id i64, :state text) -> count
UPDATE host SET state = :state, policy_id = NULL, next_ms = NULL WHERE id = :id;

-- host_pause(:id i64, :paused bool) -> count
UPDATE host SET paused = :paused WHERE id = :id;

-- host_due(:now_ms i64, :limit i64) -> many host     whose policy wants a run now
SELECT @host FROM host WHERE next_ms <= :now_ms AND state = 'protected' AND paused = 0 ORDER BY next_ms LIMIT :limit;

-- host_scheduled(:id i64, :last_run_ms i64, :next_ms i64?) -> count
UPDATE host SET last_run_ms = :last_run_ms, next_ms = :next_ms WHERE id = :id;

-- host_pointed(:id i64, :taken_ms i64) -> count     a point was made
UPDATE host SET last_point_ms = :taken_ms, needs_full = 0 WHERE id = :id AND last_point_ms < :taken_ms;

-- host_rpo(:after i64, :limit i64) -> many (id i64, name text, last_point_ms i64, created_ms i64, interval_ms i64, cron text,
--   rpo_ms i64)
SELECT h.id, h.name, h.last_point_ms, h.created_ms, p.interval_ms, p.cron, p.rpo_ms
  FROM host h JOIN policy p ON p.id = h.policy_id
 WHERE h.state = 'protected' AND h.paused = 0 AND h.id > :after ORDER BY h.id LIMIT :limit;

-- host_count_of_platform(:platform_id i64) -> i64     registered or protected: not only seen
SELECT count(*) FROM host WHERE platform_id = :platform_id AND state IN ('registered', 'protected');

-- host_points(:id i64) -> i64
SELECT count(*) FROM point WHERE host_id = :id;

-- host_delete(:id i64) -> count
DELETE FROM host WHERE id = :id;

-- host_delete_idle(:platform_id i64) -> count     those that were only seen, and have no history
DELETE FROM host WHERE platform_id = :platform_id AND state IN ('seen', 'gone')
   AND NOT EXISTS (SELECT 1 FROM point p WHERE p.host_id = host.id)
   AND NOT EXISTS (SELECT 1 FROM recovery r WHERE r.host_id = host.id);

-- host_left_of_platform(:platform_id i64) -> i64
SELECT count(*) FROM host WHERE platform_id = :platform_id;

-- row disk (id i64, host_id i64, ref text, name text, position i64, size_bytes i64, excluded bool, reason text, tracker text,
--   gone_ms i64)

-- disk_list(:host_id i64) -> many disk
SELECT @disk FROM disk WHERE host_id = :host_id ORDER BY position, id;

-- disk_seen(:host_id i64, :ref text, :name text, :position i64, :size_bytes i64, :reason text) -> i64
INSERT INTO disk (host_id, ref, name, position, size_bytes, reason)
VALUES (:host_id, :ref, :name, :position, :size_bytes, :reason)
ON CONFLICT (host_id, ref) DO UPDATE SET name = excluded.name, position = excluded.position,
       size_bytes = excluded.size_bytes, reason = excluded.reason, gone_ms = 0
RETURNING id;

-- disk_exclude(:host_id i64, :id i64, :excluded bool) -> count
UPDATE disk SET excluded = :excluded WHERE host_id = :host_id AND id = :id;

-- disk_tracker(:id i64, :tracker text) -> count
UPDATE disk SET tracker = :tracker WHERE id = :id;

-- row point (id i64, host_id i64, repository_id i64, ref text, taken_ms i64, kind text, consistency text, state text,
--   disk_bytes i64, read_bytes i64, stored_bytes i64, held bool, note text, verified_ms i64, booted_ms i64)

-- point_get(:id i64) -> one? point
SELECT @point FROM point WHERE id = :id;

-- point_list(:host_id i64, :before_ms i64, :limit i64) -> many point     newest first
SELECT @point FROM point WHERE host_id = :host_id AND taken_ms < :before_ms AND state <> 'removed'
 ORDER BY taken_ms DESC LIMIT :limit;

-- point_add(:host_id i64, :repository_id i64, :ref text, :taken_ms i64, :kind text, :consistency text, :disk_bytes i64,
--   :read_bytes i64, :stored_bytes i64) -> i64
INSERT INTO point (host_id, repository_id, ref, taken_ms, kind, consistency, disk_bytes, read_bytes, stored_bytes)
VALUES (:host_id, :repository_id, :ref, :taken_ms, :kind, :consistency, :disk_bytes, :read_bytes, :stored_bytes)
RETURNING id;

-- point_state(:id i64, :state text) -> count
UPDATE point SET state = :state WHERE id = :id;

-- point_hold(:id i64, :held bool, :note text) -> count
UPDATE point SET held = :held, note = :note WHERE id = :id;
