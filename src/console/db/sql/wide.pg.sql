-- SPDX-License-Identifier: Apache-2.0

-- repository_lock(:id i64) -> i64?
SELECT id FROM repository WHERE id = :id FOR UPDATE;
