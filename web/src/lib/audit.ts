/* SPDX-License-Identifier: Apache-2.0 */
/* What a change changed: the members that differ, side by side. Pure. */
export interface Change {
  name: string
  was: string
  now: string
}

const members = (v: unknown): Record<string, unknown> => {
  if (typeof v === 'string') {
    try {
      return members(JSON.parse(v))
    } catch {
      return {}
    }
  }
  return v && typeof v === 'object' ? (v as Record<string, unknown>) : {}
}
/** What the thing is called, when the change says so. */
export const nameOf = (v: unknown): string => {
  const name = members(v).name
  return typeof name === 'string' ? name : ''
}
const text = (v: unknown): string => (v === undefined ? '' : typeof v === 'string' ? v : JSON.stringify(v))

export function changesOf(before: unknown, after: unknown): Change[] {
  const was = members(before)
  const now = members(after)
  return [...new Set([...Object.keys(was), ...Object.keys(now)])]
    .map((name) => ({ name, was: text(was[name]), now: text(now[name]) }))
    .filter((c) => c.was !== c.now)
}

const OWN = new Set(['password', 'totp-on', 'totp-off'])
/** "user.update" -> what it was done to, and what was done. What a session does to its own account is about that account. */
export function partsOf(action: string | undefined): { object: string; verb: string } {
  const [object = '', verb = ''] = (action ?? '').split('.')
  return { object: object === 'session' && OWN.has(verb) ? 'account' : object, verb }
}
