/* SPDX-License-Identifier: Apache-2.0 */
import type { Ceph, Platform } from '@gen/api'
import { call, newKey } from './http'

export type { Platform }
export type { PlatformKind } from '@gen/api'
export type PlatformBody = Record<string, unknown> & { kind: string }

/** A form as the API takes it; Ceph clusters keep their number, so that an empty key means "as before". */
export function bodyOf(kind: string, name: string, fields: Record<string, string>, proxies: readonly number[], ceph?: readonly Partial<Ceph>[]): PlatformBody {
  return { kind, ...(name ? { name } : {}), ...fields, ...(proxies.length ? { proxies } : {}), ...(ceph ? { ceph } : {}) }
}

export const platforms = {
  kinds: () => call('GET /v1/platform-kinds'),
  list: (kind: string | undefined, cursor?: string, limit?: number) => call('GET /v1/platforms', { query: { kind, cursor, limit } }),
  get: (id: number) => call('GET /v1/platforms/{id}', { path: { id } }),
  add: (b: PlatformBody) => call('POST /v1/platforms', { body: b as unknown as Platform }),
  /** What it is of, and who serves it, is not changed here: proxies are bound and unbound. */
  change: (id: number, { kind: _, proxies: __, ...b }: PlatformBody) => call('PATCH /v1/platforms/{id}', { path: { id }, body: b }),
  remove: (id: number) => call('DELETE /v1/platforms/{id}', { path: { id } }),
  refresh: (id: number) => call('POST /v1/platforms/{id}/refresh', { path: { id }, once: newKey() }),
  test: (id: number) => call('POST /v1/platforms/{id}/test', { path: { id }, once: newKey() }),
  regions: (id: number) => call('POST /v1/platforms/{id}/regions', { path: { id }, once: newKey() }),
}
