-- SPDX-License-Identifier: Apache-2.0
-- What was done to the tables, and the console's own settings.

-- row migration (number i64, name text, sha256 text)

-- migration_list() -> many migration
SELECT @migration FROM schema_migration ORDER BY number;

-- migration_add(:number i64, :name text, :sha256 text, :applied_ms i64)
INSERT INTO schema_migration (number, name, sha256, applied_ms) VALUES (:number, :name, :sha256, :applied_ms);

-- setting_get(:name text) -> one? (value text)
SELECT value FROM setting WHERE name = :name;

-- setting_put(:name text, :value text, :now_ms i64)
INSERT INTO setting (name, value, changed_ms) VALUES (:name, :value, :now_ms)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_ms = excluded.changed_ms;
