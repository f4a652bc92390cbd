-- SPDX-License-Identifier: Apache-2.0
-- What the operator's objects need beyond the first tables.

ALTER TABLE proxy ADD COLUMN drain @bool NOT NULL DEFAULT 0;           -- it finishes what it has and is given nothing new
ALTER TABLE repository ADD COLUMN s3_key TEXT NOT NULL DEFAULT '';     -- access key id; s3_secret and passphrase are rows of sealed
ALTER TABLE repository ADD COLUMN s3_endpoint TEXT NOT NULL DEFAULT ''; -- empty: AWS
CREATE INDEX point_time ON point (taken_ms, id);
CREATE INDEX job_recovery ON job (recovery_id);
CREATE INDEX job_repository ON job (repository_id);
