/* SPDX-License-Identifier: Apache-2.0 */
import { call, newKey } from './http'

export type { Host, HostDisk } from '@gen/api'
export interface HostFilter {
  state?: string
  rpo?: string
  sort?: string
  name?: string
  platform?: number
  policy?: number
  repository?: number
}
export const hosts = {
  list: (f: HostFilter, cursor?: string, limit?: number) => call('GET /v1/hosts', { query: { ...f, cursor, limit } }),
  get: (id: number) => call('GET /v1/hosts/{id}', { path: { id } }),
  register: (id: number) => call('POST /v1/hosts/{id}/register', { path: { id } }),
  protect: (id: number, policy: number, repository: number, excluded?: number[]) =>
    call('PUT /v1/hosts/{id}/protection', { path: { id }, body: { policy, repository, excluded } }),
  unprotect: (id: number) => call('DELETE /v1/hosts/{id}/protection', { path: { id } }),
  pause: (id: number) => call('POST /v1/hosts/{id}/pause', { path: { id } }),
  resume: (id: number) => call('POST /v1/hosts/{id}/resume', { path: { id } }),
  sync: (id: number, full: boolean) => call('POST /v1/hosts/{id}/sync', { path: { id }, body: { full }, once: newKey() }),
  deregister: (id: number, forced: boolean) => call('DELETE /v1/hosts/{id}', { path: { id }, query: { forced } }),
}
