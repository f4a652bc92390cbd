/* SPDX-License-Identifier: Apache-2.0 */
import type { NameRecord } from '@gen/api'
import { call } from './http'

export type { NameRecord }
export const names = {
  list: (cursor?: string, limit?: number) => call('GET /v1/names', { query: { cursor, limit } }),
  add: (name: string, address: string, platform?: number) => call('POST /v1/names', { body: { name, address, platform } as NameRecord }),
  remove: (id: number) => call('DELETE /v1/names/{id}', { path: { id } }),
}
