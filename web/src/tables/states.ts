/* SPDX-License-Identifier: Apache-2.0 */
/* How each state looks: ok, warn, bad, calm. The words are in i18n under the same names. */
export type Tone = 'ok' | 'warn' | 'bad' | 'calm'

const TONES: Record<string, Record<string, Tone>> = {
  platformState: { ok: 'ok', error: 'bad', new: 'calm' },
  hostState: { seen: 'calm', registered: 'warn', protected: 'ok', gone: 'bad', paused: 'warn' },
  jobState: {
    ready: 'calm', running: 'ok', pausing: 'warn', paused: 'warn', cancelling: 'warn', done: 'ok', failed: 'bad', cancelled: 'calm',
  },
  pointState: { ok: 'ok', damaged: 'bad', removed: 'calm' },
  machineState: { alive: 'ok', silent: 'bad', revoked: 'calm' },
  certificateState: { good: 'ok', expired: 'bad', revoked: 'calm' },
  channelState: { new: 'calm', ok: 'ok', failed: 'bad', off: 'calm' },
  repositoryState: { ok: 'ok', full: 'bad', error: 'bad' },
  severity: { info: 'calm', warning: 'warn', critical: 'bad' },
  shareState: { waiting: 'calm', up: 'ok', ended: 'calm', failed: 'bad' },
  recoveryState: { planned: 'calm', running: 'ok', up: 'ok', ended: 'calm', failed: 'bad' },
}

export const STATES = TONES
export const toneOf = (table: string, state: string | undefined): Tone => TONES[table]?.[state ?? ''] ?? 'calm'
