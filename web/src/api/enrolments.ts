/* SPDX-License-Identifier: Apache-2.0 */
/* Install commands: each carries a token that lets one machine in, once. */
import { call } from './http'

export type { Enrolment } from '@gen/api'
export const enrolments = {
  add: (kind: 'agent' | 'proxy' | 'gateway', note: string) => call('POST /v1/enrolments', { body: { kind, note } }),
  packageUrl: (file: string): string => `/packages/${file}`,
  packageThere: async (file: string): Promise<boolean> => {
    try {
      return (await fetch(`/packages/${file}`, { method: 'HEAD', credentials: 'same-origin' })).ok
    } catch {
      return false
    }
  },
}
