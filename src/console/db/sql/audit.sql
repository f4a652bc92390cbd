-- SPDX-License-Identifier: Apache-2.0
-- The audit log: src/console/audit.c writes and checks the chain.

-- row audit (seq i64, at_ms i64, actor text, actor_kind text, addr text, action text, object text, object_id text,
--   before text?, after text?, prev_hash blob, hash blob)

-- audit_lock() -> i64     pg: one appender at a time
SELECT 0;

-- audit_last() -> one? (seq i64, hash blob)
SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1;

-- audit_add(:seq i64, :at_ms i64, :actor text, :actor_kind text, :addr text, :action text, :object text, :object_id text,
--   :before text?, :after text?, :prev_hash blob, :hash blob)
INSERT INTO audit (seq, at_ms, actor, actor_kind, addr, action, object, object_id, before, after, prev_hash, hash)
VALUES (:seq, :at_ms, :actor, :actor_kind, :addr, :action, :object, :object_id, :before, :after, :prev_hash, :hash);

-- audit_from(:seq i64, :limit i64) -> many audit     oldest first, to check the chain
SELECT @audit FROM audit WHERE seq >= :seq ORDER BY seq LIMIT :limit;

-- audit_list(:before_seq i64, :actor text, :limit i64) -> many audit     newest first; actor '': all
SELECT @audit FROM audit WHERE seq < :before_seq AND (:actor = '' OR actor = :actor) ORDER BY seq DESC LIMIT :limit;

-- audit_of(:object text, :object_id text, :limit i64) -> many audit
SELECT @audit FROM audit WHERE object = :object AND object_id = :object_id ORDER BY seq DESC LIMIT :limit;
