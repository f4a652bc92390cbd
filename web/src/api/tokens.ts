/* SPDX-License-Identifier: Apache-2.0 */
import type { Token } from '@gen/api'
import { call } from './http'

export type { Token }
export const tokens = {
  list: (cursor?: string, limit?: number) => call('GET /v1/tokens', { query: { cursor, limit } }),
  add: (t: { name: string; scopes: string; expires?: string }) => call('POST /v1/tokens', { body: t as Token }),
  remove: (id: number) => call('DELETE /v1/tokens/{id}', { path: { id } }),
}
