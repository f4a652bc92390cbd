/* SPDX-License-Identifier: Apache-2.0 */
import type { Recovery } from '@gen/api'
import { call, newKey } from './http'

export type { Recovery }
export interface RecoveryBody {
  kind: 'export'
  host: number
  point?: number
  disk?: number
  target: 'file' | 'device'
  path: string
  format?: 'raw' | 'qcow2'
  overwrite?: boolean
}
export const recoveries = {
  list: (f: { host?: number; state?: string }, cursor?: string, limit?: number) => call('GET /v1/recoveries', { query: { ...f, cursor, limit } }),
  get: (id: number) => call('GET /v1/recoveries/{id}', { path: { id } }),
  add: (r: RecoveryBody) => call('POST /v1/recoveries', { body: r as Recovery, once: newKey() }),
  cancel: (id: number) => call('POST /v1/recoveries/{id}/cancel', { path: { id } }),
}
