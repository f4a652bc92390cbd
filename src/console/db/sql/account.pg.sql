-- SPDX-License-Identifier: Apache-2.0

-- rate_get(:name text) -> one? (milli i64, at_ms i64)
SELECT milli, at_ms FROM rate WHERE name = :name FOR UPDATE;
