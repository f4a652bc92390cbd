-- SPDX-License-Identifier: Apache-2.0
-- Where alarms are sent, and what waits to be sent.

-- row channel (id i64, kind text, name text, params text, min_severity text, enabled bool, lang text, ok_ms i64,
--   error_ms i64, error_text text, created_ms i64)

-- channel_one(:id i64) -> one? channel
SELECT @channel FROM channel WHERE id = :id;

-- channel_all(:after i64, :limit i64) -> many channel
SELECT @channel FROM channel WHERE id > :after ORDER BY id LIMIT :limit;

-- channel_new(:kind text, :name text, :params text, :min_severity text, :enabled bool, :lang text, :now_ms i64) -> i64
INSERT INTO channel (kind, name, params, min_severity, enabled, lang, created_ms)
VALUES (:kind, :name, :params, :min_severity, :enabled, :lang, :now_ms)
RETURNING id;

-- channel_set(:id i64, :name text, :params text, :min_severity text, :enabled bool, :lang text) -> count
--   a changed channel has not failed yet
UPDATE channel SET name = :name, params = :params, min_severity = :min_severity, enabled = :enabled, lang = :lang,
       error_ms = 0, error_text = '' WHERE id = :id;

-- channel_ok(:id i64, :now_ms i64) -> count
UPDATE channel SET ok_ms = :now_ms, error_text = '' WHERE id = :id;

-- channel_error(:id i64, :now_ms i64, :text text) -> count
UPDATE channel SET error_ms = :now_ms, error_text = :text WHERE id = :id;

-- notification_waiting(:now_ms i64) -> many (channel_id i64)
SELECT DISTINCT n.channel_id FROM notification n JOIN channel c ON c.id = n.channel_id
 WHERE n.state = 'ready' AND n.due_ms <= :now_ms AND c.enabled = 1 ORDER BY n.channel_id;

-- notification_take(:channel_id i64, :now_ms i64, :until_ms i64, :limit i64)
--   -> many (id i64, alarm_id i64, what text, tries i64)     they are ours until then: another console does not see them
UPDATE notification SET due_ms = :until_ms, tries = tries + 1
 WHERE id IN (SELECT id FROM notification WHERE channel_id = :channel_id AND state = 'ready' AND due_ms <= :now_ms
               ORDER BY id LIMIT :limit)
   AND state = 'ready' AND due_ms <= :now_ms
RETURNING id, alarm_id, what, tries;

-- notification_end(:id i64, :state text, :due_ms i64, :error text, :now_ms i64) -> count
UPDATE notification SET state = :state, due_ms = :due_ms, error = :error, sent_ms = :now_ms
 WHERE id = :id AND state = 'ready';

-- notification_expire(:before_ms i64) -> count
DELETE FROM notification WHERE state <> 'ready' AND sent_ms < :before_ms;

-- notification_counts() -> many (state text, n i64)
SELECT state, count(*) AS n FROM notification GROUP BY state ORDER BY state;
