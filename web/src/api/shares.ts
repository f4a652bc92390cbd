/* SPDX-License-Identifier: Apache-2.0 */
import type { Share } from '@gen/api'
import { call, newKey } from './http'

export type { Share }
export interface ShareBody {
  host: number
  point?: number
  disk?: number
  target: 'nbd' | 'mount'
  for_s: number
}
export const shares = {
  list: (cursor?: string, limit?: number) => call('GET /v1/shares', { query: { cursor, limit } }),
  get: (id: number) => call('GET /v1/shares/{id}', { path: { id } }),
  add: (s: ShareBody) => call('POST /v1/shares', { body: s as Share, once: newKey() }),
  stop: (id: number) => call('POST /v1/shares/{id}/stop', { path: { id } }),
}
