/* SPDX-License-Identifier: Apache-2.0 */
import { call } from './http'

export type { Machine } from '@gen/api'
export const machines = {
  list: (f: { kind?: string; name?: string }, cursor?: string, limit?: number) => call('GET /v1/machines', { query: { ...f, cursor, limit } }),
  revoke: (id: number) => call('POST /v1/machines/{id}/revoke', { path: { id } }),
}
