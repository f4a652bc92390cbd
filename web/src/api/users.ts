/* SPDX-License-Identifier: Apache-2.0 */
import type { User, UserNew } from '@gen/api'
import { call } from './http'

export type { User, UserNew }
export type UserChange = { role?: UserNew['role']; title?: string; mail?: string; disabled?: boolean }
export const users = {
  list: (cursor?: string, limit?: number) => call('GET /v1/users', { query: { cursor, limit } }),
  add: (u: UserNew) => call('POST /v1/users', { body: u }),
  change: (id: number, u: UserChange) => call('PATCH /v1/users/{id}', { path: { id }, body: u }),
  password: (id: number, password: string) => call('POST /v1/users/{id}/password', { path: { id }, body: { password } }),
  unlock: (id: number) => call('POST /v1/users/{id}/unlock', { path: { id } }),
  totpOff: (id: number) => call('DELETE /v1/users/{id}/totp', { path: { id } }),
  remove: (id: number) => call('DELETE /v1/users/{id}', { path: { id } }),
}
