/* SPDX-License-Identifier: Apache-2.0 */
import type { Token, TokenNew } from '@gen/api'
import { call } from './http'

export type { Token }
export const tokens = {
  list: (cursor?: string, limit?: number) => call('GET /v1/tokens', { query: { cursor, limit } }),
  add: (t: TokenNew) => call('POST /v1/tokens', { body: t }),
  remove: (token: number) => call('DELETE /v1/tokens/{token}', { path: { token } }),
}
