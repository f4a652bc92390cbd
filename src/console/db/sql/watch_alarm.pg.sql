-- SPDX-License-Identifier: Apache-2.0

-- cond_clock() -> i64
SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT);
