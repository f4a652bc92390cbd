/* SPDX-License-Identifier: Apache-2.0 */
import type { Settings } from '@gen/api'
import { call } from './http'

export type { Settings }
export const settings = {
  get: () => call('GET /v1/settings'),
  change: (s: Partial<Settings>) => call('PATCH /v1/settings', { body: s }),
}
