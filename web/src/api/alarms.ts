/* SPDX-License-Identifier: Apache-2.0 */
import { lang } from '@/i18n'
import { call } from './http'

export type { Alarm } from '@gen/api'
export interface AlarmFilter {
  state?: string
  severity?: string
  object?: string
  object_id?: number
}
export const alarms = {
  list: (f: AlarmFilter, cursor?: string, limit?: number) => call('GET /v1/alarms', { query: { ...f, lang: lang(), cursor, limit } }),
  ack: (id: number) => call('POST /v1/alarms/{id}/ack', { path: { id } }),
  standing: async () => {
    const s = await call('GET /v1/summary')
    return (s.alarms_critical ?? 0) + (s.alarms_warning ?? 0)
  },
}
