/* SPDX-License-Identifier: Apache-2.0 */
import type { User } from '@gen/api'
import { call } from './http'

export type { User }
export type UserBody = Partial<User> & { password?: string }
export const users = {
  list: (cursor?: string, limit?: number) => call('GET /v1/users', { query: { cursor, limit } }),
  add: (u: UserBody) => call('POST /v1/users', { body: u as User }),
  change: (id: number, u: UserBody) => call('PATCH /v1/users/{id}', { path: { id }, body: u }),
  remove: (id: number) => call('DELETE /v1/users/{id}', { path: { id } }),
}
