-- SPDX-License-Identifier: Apache-2.0
-- Recoveries, alarms, events, notifications.

-- row recovery (id i64, kind text, host_id i64, point_id i64?, target text, params text, state text, network text,
--   started_ms i64?, up_ms i64?, ended_ms i64?, rpo_ms i64?, rto_ms i64?, report text, account text, created_ms i64)

-- recovery_get(:id i64) -> one? recovery
SELECT @recovery FROM recovery WHERE id = :id;

-- recovery_list(:kind text, :before i64, :limit i64) -> many recovery
SELECT @recovery FROM recovery WHERE (:kind = '' OR kind = :kind) AND id < :before ORDER BY id DESC LIMIT :limit;

-- recovery_add(:kind text, :host_id i64, :point_id i64?, :target text, :params text, :network text, :account text,
--   :now_ms i64) -> i64
INSERT INTO recovery (kind, host_id, point_id, target, params, state, network, account, created_ms)
VALUES (:kind, :host_id, :point_id, :target, :params, 'planned', :network, :account, :now_ms)
RETURNING id;

-- recovery_set(:id i64, :state text, :started_ms i64?, :up_ms i64?, :ended_ms i64?, :rpo_ms i64?, :rto_ms i64?,
--   :report text) -> count
UPDATE recovery SET state = :state, started_ms = :started_ms, up_ms = :up_ms, ended_ms = :ended_ms, rpo_ms = :rpo_ms,
       rto_ms = :rto_ms, report = :report WHERE id = :id;

-- recovery_running_of_host(:host_id i64) -> i64
SELECT count(*) FROM recovery WHERE host_id = :host_id AND state IN ('planned', 'running', 'up');

-- row alarm (id i64, kind text, severity text, object text, object_id i64, text text, raised_ms i64, last_ms i64, times i64,
--   acked_by text, acked_ms i64, cleared_ms i64?)

-- alarm_raise(:kind text, :severity text, :object text, :object_id i64, :text text, :now_ms i64) -> one (id i64, times i64)
--   times 1: it is new; else it stood already
INSERT INTO alarm (kind, severity, object, object_id, text, raised_ms, last_ms)
VALUES (:kind, :severity, :object, :object_id, :text, :now_ms, :now_ms)
ON CONFLICT (kind, object, object_id) WHERE cleared_ms IS NULL
   DO UPDATE SET severity = excluded.severity, text = excluded.text, last_ms = excluded.last_ms, times = alarm.times + 1
RETURNING id, times;

-- alarm_clear(:kind text, :object text, :object_id i64, :now_ms i64) -> i64?     its id; none: it did not stand
UPDATE alarm SET cleared_ms = :now_ms WHERE kind = :kind AND object = :object AND object_id = :object_id
   AND cleared_ms IS NULL
RETURNING id;

-- alarm_ack(:id i64, :account text, :now_ms i64) -> count
UPDATE alarm SET acked_by = :account, acked_ms = :now_ms WHERE id = :id AND acked_ms = 0;

-- alarm_standing(:before i64, :limit i64) -> many alarm
SELECT @alarm FROM alarm WHERE cleared_ms IS NULL AND id < :before ORDER BY id DESC LIMIT :limit;

-- alarm_list(:before i64, :limit i64) -> many alarm
SELECT @alarm FROM alarm WHERE id < :before ORDER BY id DESC LIMIT :limit;

-- event_add(:at_ms i64, :kind text, :object text, :object_id i64, :text text) -> i64
INSERT INTO event (at_ms, kind, object, object_id, text) VALUES (:at_ms, :kind, :object, :object_id, :text) RETURNING id;

-- event_list(:after i64, :limit i64) -> many (id i64, at_ms i64, kind text, object text, object_id i64, text text)
SELECT id, at_ms, kind, object, object_id, text FROM event WHERE id > :after ORDER BY id LIMIT :limit;

-- event_expire(:before_ms i64) -> count
DELETE FROM event WHERE at_ms < :before_ms;

-- channel_add(:kind text, :name text, :params text, :min_severity text, :enabled bool, :now_ms i64) -> i64
INSERT INTO channel (kind, name, params, min_severity, enabled, created_ms)
VALUES (:kind, :name, :params, :min_severity, :enabled, :now_ms)
RETURNING id;

-- channel_list() -> many (id i64, kind text, name text, params text, min_severity text, enabled bool)
SELECT id, kind, name, params, min_severity, enabled FROM channel ORDER BY id;

-- channel_delete(:id i64) -> count
DELETE FROM channel WHERE id = :id;

-- notification_add(:channel_id i64, :alarm_id i64, :what text, :due_ms i64)
INSERT INTO notification (channel_id, alarm_id, what, due_ms) VALUES (:channel_id, :alarm_id, :what, :due_ms)
ON CONFLICT (channel_id, alarm_id, what) DO NOTHING;

-- notification_due(:now_ms i64, :limit i64) -> many (id i64, channel_id i64, alarm_id i64, what text, tries i64)
SELECT id, channel_id, alarm_id, what, tries FROM notification WHERE state = 'ready' AND due_ms <= :now_ms
 ORDER BY due_ms LIMIT :limit;

-- notification_set(:id i64, :state text, :due_ms i64, :tries i64, :error text) -> count
UPDATE notification SET state = :state, due_ms = :due_ms, tries = :tries, error = :error WHERE id = :id;
