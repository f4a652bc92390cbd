/* SPDX-License-Identifier: Apache-2.0 */
import type { Point } from '@gen/api'
import { call, newKey } from './http'

export type { Point }
export interface PointFilter {
  host?: number
  repository?: number
  state?: string
  from?: string
  to?: string
}
export const points = {
  list: (f: PointFilter, cursor?: string, limit?: number) => call('GET /v1/points', { query: { ...f, cursor, limit } }),
  change: (id: number, p: { held?: boolean; note?: string }) => call('PATCH /v1/points/{id}', { path: { id }, body: p }),
  verify: (id: number) => call('POST /v1/points/{id}/verify', { path: { id }, once: newKey() }),
  remove: (id: number) => call('DELETE /v1/points/{id}', { path: { id } }),
}
