-- SPDX-License-Identifier: Apache-2.0

-- audit_lock() -> i64
SELECT length(pg_advisory_xact_lock(22360104103986259)::text);
