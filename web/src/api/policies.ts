/* SPDX-License-Identifier: Apache-2.0 */
import type { Policy } from '@gen/api'
import { call } from './http'

export type { Policy }
/** What a person writes; the rest of a Policy only comes out. */
export type PolicyBody = Omit<Policy, 'id' | 'hosts' | 'created' | 'changed'>
export const policies = {
  list: (name?: string, cursor?: string, limit?: number) => call('GET /v1/policies', { query: { name, cursor, limit } }),
  add: (p: PolicyBody) => call('POST /v1/policies', { body: p as Policy }),
  change: (id: number, p: PolicyBody) => call('PATCH /v1/policies/{id}', { path: { id }, body: p }),
  remove: (id: number) => call('DELETE /v1/policies/{id}', { path: { id } }),
  preview: (p: PolicyBody) => call('POST /v1/policies/preview', { body: p as Policy }),
}
