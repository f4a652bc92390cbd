-- SPDX-License-Identifier: Apache-2.0
-- Platforms of the production site, their Ceph clusters and names.

-- row platform (id i64, kind text, name text, endpoint text, username text, user_domain text, project text,
--   project_domain text, region text, tenancy text, key_print text, cert_print text, status text, status_text text,
--   status_ms i64, created_ms i64, changed_ms i64)

-- platform_get(:id i64) -> one? platform
SELECT @platform FROM platform WHERE id = :id;

-- platform_lock(:id i64) -> i64?     pg: holds the row until the transaction ends
SELECT id FROM platform WHERE id = :id;

-- platform_list(:kind text, :after i64, :limit i64) -> many platform     kind '': all
SELECT @platform FROM platform WHERE (:kind = '' OR kind = :kind) AND id > :after ORDER BY id LIMIT :limit;

-- platform_add(:kind text, :name text, :endpoint text, :username text, :user_domain text, :project text,
--   :project_domain text, :region text, :tenancy text, :key_print text, :cert_print text, :now_ms i64) -> i64
INSERT INTO platform (kind, name, endpoint, username, user_domain, project, project_domain, region, tenancy, key_print,
                      cert_print, created_ms, changed_ms)
VALUES (:kind, :name, :endpoint, :username, :user_domain, :project, :project_domain, :region, :tenancy, :key_print,
        :cert_print, :now_ms, :now_ms)
RETURNING id;

-- platform_update(:id i64, :name text, :endpoint text, :username text, :user_domain text, :project text,
--   :project_domain text, :region text, :tenancy text, :key_print text, :cert_print text, :now_ms i64) -> count
UPDATE platform SET name = :name, endpoint = :endpoint, username = :username, user_domain = :user_domain,
       project = :project, project_domain = :project_domain, region = :region, tenancy = :tenancy,
       key_print = :key_print, cert_print = :cert_print, status = 'new', status_text = '', changed_ms = :now_ms
 WHERE id = :id;

-- platform_status(:id i64, :status text, :text text, :now_ms i64) -> count
UPDATE platform SET status = :status, status_text = :text, status_ms = :now_ms WHERE id = :id;

-- platform_host_counts() -> many (platform_id i64, hosts i64, protected i64)
SELECT platform_id, count(*) AS hosts, CAST(sum(CASE WHEN state = 'protected' THEN 1 ELSE 0 END) AS BIGINT) AS protected
  FROM host WHERE platform_id IS NOT NULL AND state <> 'gone' GROUP BY platform_id ORDER BY platform_id;

-- platform_delete(:id i64) -> count
DELETE FROM platform WHERE id = :id;

-- row ceph (id i64, platform_id i64, cluster text, monitors text, cephx bool, username text, pool text, diff text,
--   volume_types text)

-- ceph_list(:platform_id i64) -> many ceph
SELECT @ceph FROM ceph WHERE platform_id = :platform_id ORDER BY id;

-- ceph_add(:platform_id i64, :cluster text, :monitors text, :cephx bool, :username text, :pool text, :diff text,
--   :volume_types text) -> i64
INSERT INTO ceph (platform_id, cluster, monitors, cephx, username, pool, diff, volume_types)
VALUES (:platform_id, :cluster, :monitors, :cephx, :username, :pool, :diff, :volume_types)
RETURNING id;

-- ceph_delete(:platform_id i64, :id i64) -> count
DELETE FROM ceph WHERE platform_id = :platform_id AND id = :id;

-- ceph_delete_all(:platform_id i64) -> count
DELETE FROM ceph WHERE platform_id = :platform_id;

-- row name_record (id i64, platform_id i64?, name text, addr text)

-- name_record_list(:platform_id i64?) -> many name_record     those of the platform and those of all
SELECT @name_record FROM name_record WHERE platform_id IS NULL OR platform_id = :platform_id ORDER BY name, addr, id;

-- name_record_add(:platform_id i64?, :name text, :addr text) -> i64
INSERT INTO name_record (platform_id, name, addr) VALUES (:platform_id, :name, :addr) RETURNING id;

-- name_record_delete(:id i64) -> count
DELETE FROM name_record WHERE id = :id;

-- name_record_delete_all(:platform_id i64) -> count
DELETE FROM name_record WHERE platform_id = :platform_id;
