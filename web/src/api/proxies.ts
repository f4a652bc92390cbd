/* SPDX-License-Identifier: Apache-2.0 */
import type { Proxy } from '@gen/api'
import { call } from './http'

export type { Proxy }
export type ProxySettings = Pick<Proxy, 'http_timeout_s' | 'max_disks' | 'drain'>
export const proxies = {
  list: (f: { platform?: number }, cursor?: string, limit?: number) => call('GET /v1/proxies', { query: { ...f, cursor, limit } }),
  get: (id: number) => call('GET /v1/proxies/{id}', { path: { id } }),
  change: (id: number, s: ProxySettings) => call('PATCH /v1/proxies/{id}', { path: { id }, body: s }),
  bind: (id: number, platform: number) => call('PUT /v1/proxies/{id}/platforms/{platform}', { path: { id, platform } }),
  unbind: (id: number, platform: number) => call('DELETE /v1/proxies/{id}/platforms/{platform}', { path: { id, platform } }),
  remove: (id: number) => call('DELETE /v1/proxies/{id}', { path: { id } }),
}
