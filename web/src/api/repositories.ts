/* SPDX-License-Identifier: Apache-2.0 */
import type { Repository } from '@gen/api'
import { call } from './http'

export type { Repository }
export interface RepositoryBody {
  name: string
  url: string
  gateway?: number
  encrypted?: boolean
  s3_key?: string
  s3_secret?: string
  s3_endpoint?: string
}
export const repositories = {
  list: (name?: string, cursor?: string, limit?: number) => call('GET /v1/repositories', { query: { name, cursor, limit } }),
  get: (id: number) => call('GET /v1/repositories/{id}', { path: { id } }),
  add: (r: RepositoryBody) => call('POST /v1/repositories', { body: r as Repository }),
  change: (id: number, r: Partial<RepositoryBody>) => call('PATCH /v1/repositories/{id}', { path: { id }, body: r }),
  remove: (id: number) => call('DELETE /v1/repositories/{id}', { path: { id } }),
}
