/* SPDX-License-Identifier: Apache-2.0 */
/* Machines that were let in, by their certificates; and the authority that made these. */
import { call } from './http'

export type { Ca, Certificate } from '@gen/api'
export const machines = {
  certificates: (kind: string, cursor?: string, limit?: number) => call('GET /v1/certificates', { query: { kind, cursor, limit } }),
  revoke: (machine: number) => call('POST /v1/certificates/{id}/revoke', { path: { id: machine } }),
  ca: () => call('GET /v1/ca'),
}
