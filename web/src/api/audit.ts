/* SPDX-License-Identifier: Apache-2.0 */
import { call } from './http'

export type { AuditRow } from '@gen/api'
export interface AuditFilter {
  actor?: string
  object?: string
  action?: string
}
export const audit = {
  list: (f: AuditFilter, cursor?: string, limit?: number) => call('GET /v1/audit', { query: { ...f, cursor, limit } }),
  verify: () => call('GET /v1/audit/verify'),
}
