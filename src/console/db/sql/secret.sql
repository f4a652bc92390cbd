-- SPDX-License-Identifier: Apache-2.0
-- Secrets that we have to read back, sealed; src/console/secret.c is the only reader of blobs.

-- sealed_get(:owner text, :owner_id i64, :field text) -> one? (blob blob)
SELECT blob FROM sealed WHERE owner = :owner AND owner_id = :owner_id AND field = :field;

-- sealed_put(:owner text, :owner_id i64, :field text, :key_id text, :blob blob, :now_ms i64)
INSERT INTO sealed (owner, owner_id, field, key_id, blob, changed_ms)
VALUES (:owner, :owner_id, :field, :key_id, :blob, :now_ms)
ON CONFLICT (owner, owner_id, field) DO UPDATE
   SET key_id = excluded.key_id, blob = excluded.blob, changed_ms = excluded.changed_ms;

-- sealed_delete(:owner text, :owner_id i64) -> count     all fields of the row
DELETE FROM sealed WHERE owner = :owner AND owner_id = :owner_id;

-- sealed_by_other_keys(:key_id text, :limit i64) -> many (owner text, owner_id i64, field text, blob blob)
SELECT owner, owner_id, field, blob FROM sealed WHERE key_id <> :key_id ORDER BY owner, owner_id, field LIMIT :limit;

-- sealed_forget(:key_id text) -> count     nobody can open them any more
DELETE FROM sealed WHERE key_id = :key_id;

-- sealed_keys() -> many (key_id text, n i64)     which master keys are still needed
SELECT key_id, count(*) AS n FROM sealed GROUP BY key_id ORDER BY key_id;
