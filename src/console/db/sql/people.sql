-- SPDX-License-Identifier: Apache-2.0
-- Pages about people, what they did, and settings.

-- account_view(:like text, :role text, :after i64, :limit i64) -> many account     '': all
SELECT @account FROM account
 WHERE id > :after AND (:role = '' OR role = :role)
   AND (:like = '' OR name LIKE :like ESCAPE '!' OR lower(title) LIKE :like ESCAPE '!' OR lower(mail) LIKE :like ESCAPE '!')
 ORDER BY id LIMIT :limit;

-- account_unlock(:id i64) -> count
UPDATE account SET failures = 0, locked_until_ms = 0 WHERE id = :id;

-- session_of(:account_id i64) -> many (hash blob, stage text, addr text, agent text, created_ms i64, seen_ms i64,
--   expires_ms i64)
SELECT hash, stage, addr, agent, created_ms, seen_ms, expires_ms FROM session WHERE account_id = :account_id
 ORDER BY seen_ms DESC;

-- session_delete_others(:account_id i64, :hash blob) -> count
DELETE FROM session WHERE account_id = :account_id AND hash <> :hash;

-- api_token_revoke_all(:account_id i64, :now_ms i64) -> count
UPDATE api_token SET revoked_ms = :now_ms WHERE account_id = :account_id AND revoked_ms = 0;

-- api_token_forget(:account_id i64, :name text) -> count     a revoked one's name may be used again
DELETE FROM api_token WHERE account_id = :account_id AND name = :name AND revoked_ms > 0;

-- audit_search(:before_seq i64, :actor text, :action text, :object text, :object_id text, :from_ms i64, :until_ms i64,
--   :limit i64) -> many audit     newest first; '': all; action: as it is, or "platform." for all of a noun
SELECT @audit FROM audit
 WHERE seq < :before_seq AND (:actor = '' OR actor = :actor) AND (:object = '' OR object = :object)
   AND (:object_id = '' OR object_id = :object_id) AND at_ms >= :from_ms AND at_ms < :until_ms
   AND (:action = '' OR substr(action, 1, length(:action)) = :action)
 ORDER BY seq DESC LIMIT :limit;

-- enrolment_view(:after i64, :limit i64) -> many (id i64, kind text, note text, account text, created_ms i64,
--   expires_ms i64, used_ms i64, machine_id i64?, machine text)     newest first
SELECT e.id, e.kind, e.note, coalesce(a.name, '') AS account, e.created_ms, e.expires_ms, e.used_ms, e.machine_id,
       coalesce(m.name, '') AS machine
  FROM enrolment e LEFT JOIN account a ON a.id = e.account_id LEFT JOIN machine m ON m.id = e.machine_id
 WHERE e.id < :after ORDER BY e.id DESC LIMIT :limit;

-- enrolment_id(:hash blob) -> i64?
SELECT id FROM enrolment WHERE hash = :hash;

-- enrolment_delete(:id i64) -> count     a used one is history
DELETE FROM enrolment WHERE id = :id AND used_ms = 0;

-- certificate_view(:kind text, :after i64, :limit i64) -> many (machine_id i64, uuid text, kind text, name text,
--   revoked_ms i64, serial text, issued_ms i64, expires_ms i64, beat_ms i64)     a machine and its newest certificate
SELECT m.id AS machine_id, m.uuid, m.kind, m.name, m.revoked_ms, c.serial, c.issued_ms, c.expires_ms,
       coalesce((SELECT b.beat_ms FROM machine_beat b WHERE b.machine_id = m.id), 0) AS beat_ms
  FROM machine m JOIN certificate c ON c.serial = (
       SELECT x.serial FROM certificate x WHERE x.machine_id = m.id ORDER BY x.issued_ms DESC, x.serial LIMIT 1)
 WHERE m.id > :after AND (:kind = '' OR m.kind = :kind) ORDER BY m.id LIMIT :limit;
