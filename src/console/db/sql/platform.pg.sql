-- SPDX-License-Identifier: Apache-2.0

-- platform_lock(:id i64) -> i64?
SELECT id FROM platform WHERE id = :id FOR UPDATE;
