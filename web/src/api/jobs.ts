/* SPDX-License-Identifier: Apache-2.0 */
import { call } from './http'

export type { Job, JobLogLine } from '@gen/api'
export interface JobFilter {
  state?: string
  kind?: string
  host?: number
  platform?: number
  active?: boolean
}
export const jobs = {
  list: (f: JobFilter, cursor?: string, limit?: number) => call('GET /v1/jobs', { query: { ...f, cursor, limit } }),
  get: (id: number) => call('GET /v1/jobs/{id}', { path: { id } }),
  log: (id: number, cursor?: string) => call('GET /v1/jobs/{id}/log', { path: { id }, query: { cursor } }),
  cancel: (id: number) => call('POST /v1/jobs/{id}/cancel', { path: { id } }),
  pause: (id: number) => call('POST /v1/jobs/{id}/pause', { path: { id } }),
  resume: (id: number) => call('POST /v1/jobs/{id}/resume', { path: { id } }),
  again: (id: number) => call('POST /v1/jobs/{id}/again', { path: { id } }),
}
export type JobAction = 'cancel' | 'pause' | 'resume' | 'again'
