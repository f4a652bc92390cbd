-- SPDX-License-Identifier: Apache-2.0
-- Requests that may come twice.

-- idempotency_begin(:who text, :key text, :digest blob, :now_ms i64, :stale_ms i64) -> count     0: somebody has it
INSERT INTO idempotency (who, key, digest, at_ms) VALUES (:who, :key, :digest, :now_ms)
ON CONFLICT (who, key) DO UPDATE SET at_ms = excluded.at_ms
 WHERE idempotency.status = 0 AND idempotency.digest = excluded.digest AND idempotency.at_ms < :stale_ms;

-- idempotency_get(:who text, :key text) -> one? (digest blob, status i64, body text)
SELECT digest, status, body FROM idempotency WHERE who = :who AND key = :key;

-- idempotency_keep(:who text, :key text, :status i64, :body text) -> count
UPDATE idempotency SET status = :status, body = :body WHERE who = :who AND key = :key;

-- idempotency_drop(:who text, :key text) -> count
DELETE FROM idempotency WHERE who = :who AND key = :key AND status = 0;

-- idempotency_abandon() -> count
DELETE FROM idempotency WHERE status = 0;

-- idempotency_expire(:before_ms i64) -> count
DELETE FROM idempotency WHERE at_ms < :before_ms;
