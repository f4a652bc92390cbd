/* SPDX-License-Identifier: Apache-2.0 */
/* The dashboard's numbers and the series behind the charts. */
import { call } from './http'

export type { HostRpo, RepositorySpace, Summary } from '@gen/api'
const since = (days: number): string => new Date(Date.now() - days * 86400000).toISOString()
export const watch = {
  summary: () => call('GET /v1/summary'),
  rpo: (id: number, days: number) => call('GET /v1/hosts/{id}/rpo', { path: { id }, query: { from: since(days) } }),
  space: (id: number, days: number) => call('GET /v1/repositories/{id}/space', { path: { id }, query: { from: since(days) } }),
  events: (about: { object?: string; object_id?: number }, cursor?: string, limit?: number) => call('GET /v1/events', { query: { ...about, cursor, limit } }),
}
