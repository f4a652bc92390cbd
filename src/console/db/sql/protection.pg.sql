-- SPDX-License-Identifier: Apache-2.0

-- host_lock(:id i64) -> one? host
SELECT @host FROM host WHERE id = :id FOR UPDATE;
