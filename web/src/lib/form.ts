/* SPDX-License-Identifier: Apache-2.0 */
/* A platform's form: what it starts with, what is wrong with it, what is sent. Pure. */
import type { Two } from '@/i18n'
import type { CephField, Field } from '@/tables/platforms'

export type Values = Record<string, string>
export type Wrong = Record<string, Two>

const MISSING: Two = ['This is needed.', '此项必填。']

export const startOf = (fields: readonly Field[], now: Record<string, unknown> = {}): Values =>
  Object.fromEntries(fields.map((f) => [f.column, f.as === 'secret' || f.as === 'file' ? '' : String(now[f.column] ?? f.def ?? '')]))

/** `old`: it exists already, so an empty secret means "as it is". */
export function wrongOf(fields: readonly Field[], v: Values, old: boolean): Wrong {
  const out: Wrong = {}
  for (const f of fields) {
    const text = (v[f.column] ?? '').trim()
    const secret = f.as === 'secret' || f.as === 'file'
    if (!text) {
      if (!(secret && old) && !f.optional) out[f.column] = MISSING
    } else if (f.pattern && !f.pattern.test.test(text)) out[f.column] = f.pattern.say
  }
  return out
}

/** Secrets that were left empty are not sent; spaces around a text are not meant. */
export function bodyOf(fields: readonly Field[], v: Values): Values {
  return Object.fromEntries(
    fields
      .map((f) => [f.column, f.as === 'secret' || f.as === 'file' ? v[f.column] : (v[f.column] ?? '').trim()])
      .filter(([, text]) => text),
  ) as Values
}

export interface Ceph {
  monitors: string
  cephx: boolean
  username: string
  keyring: string
  pool: string
  diff: 'rbd_diff' | 'rbd_du'
  cluster: string
  volume_types: string
}

export const newCeph = (fields: readonly CephField[], now: Partial<Ceph> = {}): Ceph =>
  ({
    ...Object.fromEntries(fields.map((f) => [f.column, f.as === 'yesno' ? true : (f.def ?? '')])),
    ...now,
    keyring: '',
  }) as Ceph

export const commas = (text: string): string =>
  text
    .split(/[,，\s]+/)
    .filter(Boolean)
    .join(',')

const ADDRESS = /^(\[[0-9a-fA-F:]+\]|[\w.-]+)(:\d+)?$/

export function wrongOfCeph(c: Ceph, old: boolean): Wrong {
  const out: Wrong = {}
  for (const column of ['monitors', 'pool', 'cluster'] as const) if (!c[column].trim()) out[column] = MISSING
  if (c.cephx && !c.username.trim()) out.username = MISSING
  if (c.cephx && !c.keyring.trim() && !old) out.keyring = MISSING
  if (c.monitors.trim() && !commas(c.monitors).split(',').every((a) => ADDRESS.test(a)))
    out.monitors = ['Addresses with commas between, for example 10.0.0.201,10.0.0.202', '多个地址以英文逗号分隔，例如 10.0.0.201,10.0.0.202']
  return out
}
