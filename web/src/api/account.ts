/* SPDX-License-Identifier: Apache-2.0 */
/* One's own account: password, the second step, and the sessions that are open. */
import { call } from './http'

export type { SessionRow } from '@gen/api'
export const account = {
  password: (old: string, password: string) => call('PUT /v1/session/password', { body: { old, password } }),
  totpBegin: (password: string) => call('POST /v1/session/totp', { body: { password } }),
  totpConfirm: (code: string) => call('PUT /v1/session/totp', { body: { code } }),
  totpOff: (password: string) => call('POST /v1/session/totp/off', { body: { password } }),
  sessions: () => call('GET /v1/sessions'),
  end: (session: string) => call('DELETE /v1/sessions/{session}', { path: { session } }),
}
