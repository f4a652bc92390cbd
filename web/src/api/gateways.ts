/* SPDX-License-Identifier: Apache-2.0 */
import type { Gateway } from '@gen/api'
import { call } from './http'

export type { Gateway }
export const gateways = {
  list: (cursor?: string, limit?: number) => call('GET /v1/gateways', { query: { cursor, limit } }),
  change: (id: number, g: { url?: string; iscsi?: string }) => call('PATCH /v1/gateways/{id}', { path: { id }, body: g }),
  remove: (id: number) => call('DELETE /v1/gateways/{id}', { path: { id } }),
}
