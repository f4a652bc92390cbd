-- SPDX-License-Identifier: Apache-2.0
-- People: accounts, what they log in with, and what they hold.

-- row account (id i64, name text, title text, mail text, lang text, role text, password text, must_change bool, totp bool,
--   totp_step i64, disabled bool, failures i64, locked_until_ms i64, login_ms i64, created_ms i64, changed_ms i64)

-- account_get(:id i64) -> one? account
SELECT @account FROM account WHERE id = :id;

-- account_by_name(:name text) -> one? account
SELECT @account FROM account WHERE name = :name;

-- account_list(:after i64, :limit i64) -> many account
SELECT @account FROM account WHERE id > :after ORDER BY id LIMIT :limit;

-- account_admins() -> i64     how many could still let others in
SELECT count(*) FROM account WHERE role = 'admin' AND disabled = 0;

-- account_add(:name text, :title text, :mail text, :lang text, :role text, :password text, :must_change bool,
--   :now_ms i64) -> i64
INSERT INTO account (name, title, mail, lang, role, password, must_change, created_ms, changed_ms)
VALUES (:name, :title, :mail, :lang, :role, :password, :must_change, :now_ms, :now_ms)
RETURNING id;

-- account_update(:id i64, :title text, :mail text, :lang text, :role text, :disabled bool, :now_ms i64) -> count
UPDATE account SET title = :title, mail = :mail, lang = :lang, role = :role, disabled = :disabled, changed_ms = :now_ms
 WHERE id = :id;

-- account_password(:id i64, :password text, :must_change bool, :now_ms i64) -> count
UPDATE account SET password = :password, must_change = :must_change, changed_ms = :now_ms WHERE id = :id;

-- account_rehash(:id i64, :was text, :password text) -> count     the same password under newer parameters
UPDATE account SET password = :password WHERE id = :id AND password = :was;

-- account_failed(:id i64) -> i64     wrong passwords in a row, with this one
UPDATE account SET failures = failures + 1 WHERE id = :id RETURNING failures;

-- account_lock(:id i64, :until_ms i64)
UPDATE account SET locked_until_ms = :until_ms WHERE id = :id;

-- account_came_in(:id i64, :now_ms i64)
UPDATE account SET failures = 0, locked_until_ms = 0, login_ms = :now_ms WHERE id = :id;

-- account_totp(:id i64, :totp bool, :step i64) -> count
UPDATE account SET totp = :totp, totp_step = :step WHERE id = :id;

-- account_totp_step(:id i64, :step i64) -> count     0 rows: that step or a later one was used already
UPDATE account SET totp_step = :step WHERE id = :id AND totp_step < :step;

-- account_delete(:id i64) -> count
DELETE FROM account WHERE id = :id;

-- recovery_code_add(:account_id i64, :hash blob)
INSERT INTO recovery_code (account_id, hash) VALUES (:account_id, :hash);

-- recovery_code_use(:account_id i64, :hash blob, :now_ms i64) -> count     0 rows: none of them, or used before
UPDATE recovery_code SET used_ms = :now_ms WHERE account_id = :account_id AND hash = :hash AND used_ms = 0;

-- recovery_code_left(:account_id i64) -> i64
SELECT count(*) FROM recovery_code WHERE account_id = :account_id AND used_ms = 0;

-- recovery_code_clear(:account_id i64)
DELETE FROM recovery_code WHERE account_id = :account_id;

-- row session (account_id i64, stage text, addr text, agent text, created_ms i64, seen_ms i64, expires_ms i64)

-- session_add(:hash blob, :account_id i64, :stage text, :addr text, :agent text, :now_ms i64, :expires_ms i64)
INSERT INTO session (hash, account_id, stage, addr, agent, created_ms, seen_ms, expires_ms)
VALUES (:hash, :account_id, :stage, :addr, :agent, :now_ms, :now_ms, :expires_ms);

-- session_get(:hash blob) -> one? session
SELECT @session FROM session WHERE hash = :hash;

-- session_list(:account_id i64) -> many session
SELECT @session FROM session WHERE account_id = :account_id ORDER BY seen_ms DESC;

-- session_seen(:hash blob, :now_ms i64)
UPDATE session SET seen_ms = :now_ms WHERE hash = :hash;

-- session_delete(:hash blob) -> count
DELETE FROM session WHERE hash = :hash;

-- session_delete_all(:account_id i64) -> count     after a new password or role
DELETE FROM session WHERE account_id = :account_id;

-- session_expire(:now_ms i64, :idle_before_ms i64) -> count
DELETE FROM session WHERE expires_ms <= :now_ms OR seen_ms < :idle_before_ms;

-- row api_token (id i64, account_id i64, name text, hint text, scopes text, created_ms i64, expires_ms i64, used_ms i64,
--   used_addr text, revoked_ms i64)

-- api_token_add(:account_id i64, :name text, :hint text, :hash blob, :scopes text, :now_ms i64, :expires_ms i64) -> i64
INSERT INTO api_token (account_id, name, hint, hash, scopes, created_ms, expires_ms)
VALUES (:account_id, :name, :hint, :hash, :scopes, :now_ms, :expires_ms)
RETURNING id;

-- api_token_by_hash(:hash blob) -> one? api_token
SELECT @api_token FROM api_token WHERE hash = :hash;

-- api_token_list(:account_id i64) -> many api_token
SELECT @api_token FROM api_token WHERE account_id = :account_id ORDER BY id;

-- api_token_used(:id i64, :now_ms i64, :addr text)
UPDATE api_token SET used_ms = :now_ms, used_addr = :addr WHERE id = :id;

-- api_token_revoke(:account_id i64, :id i64, :now_ms i64) -> count
UPDATE api_token SET revoked_ms = :now_ms WHERE account_id = :account_id AND id = :id AND revoked_ms = 0;

-- rate_get(:name text) -> one? (milli i64, at_ms i64)     pg: holds the row
SELECT milli, at_ms FROM rate WHERE name = :name;

-- rate_put(:name text, :milli i64, :at_ms i64)
INSERT INTO rate (name, milli, at_ms) VALUES (:name, :milli, :at_ms)
ON CONFLICT (name) DO UPDATE SET milli = excluded.milli, at_ms = excluded.at_ms;

-- rate_expire(:before_ms i64) -> count     full again: as if it had never been there
DELETE FROM rate WHERE at_ms < :before_ms;
