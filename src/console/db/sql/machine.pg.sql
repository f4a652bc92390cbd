-- SPDX-License-Identifier: Apache-2.0

-- machine_lock(:id i64) -> i64?
SELECT id FROM machine WHERE id = :id FOR UPDATE;
