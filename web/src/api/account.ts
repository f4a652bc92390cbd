/* SPDX-License-Identifier: Apache-2.0 */
/* One's own account: password and the second step. */
import { call } from './http'

export const account = {
  password: (old: string, password: string) => call('PUT /v1/session/password', { body: { old, password } }),
  totpBegin: () => call('POST /v1/session/totp'),
  totpConfirm: (code: string) => call('PUT /v1/session/totp', { body: { code } }),
  totpOff: (password: string) => call('POST /v1/session/totp/off', { body: { password } }),
}
