/* SPDX-License-Identifier: Apache-2.0 */
import { call } from './http'

export const session = {
  get: () => call('GET /v1/session'),
  login: (name: string, password: string) => call('POST /v1/session', { body: { name, password } }),
  code: (code: string) => call('POST /v1/session/code', { body: { code } }),
  remove: () => call('DELETE /v1/session'),
}
