/* SPDX-License-Identifier: Apache-2.0 */
/* A row of the feed of events, in words. Kinds: docs/console/alarms.md; what is not known is shown by its name. */
import type { Event } from '@gen/api'
import { t, word } from '@/i18n'
import { bytes } from '@/lib/fmt'

export type Tone = 'ok' | 'warn' | 'bad' | 'calm'
export interface FeedLine {
  text: string
  more: string
  tone: Tone
}

const TONES: Readonly<Record<string, Tone>> = {
  'job.done': 'ok', 'job.failed': 'bad', 'job.cancelled': 'warn', 'alarm.raised': 'warn', 'alarm.cleared': 'ok', 'disk.removed': 'warn', 'disk.resized': 'warn',
}
const textOf = (v: unknown): string => (typeof v === 'string' || typeof v === 'number' ? String(v) : '')
const key = (name: string): string => name.replace('.', '_')

export function feedLine(e: Pick<Event, 'kind' | 'values'>): FeedLine {
  const v = e.values ?? {}
  const size = (name: string): string => bytes(typeof v[name] === 'number' ? (v[name] as number) : undefined)
  const about = textOf(v.kind)
  const alarm = word('alarmKind', key(about))
  const values = { disk: textOf(v.disk), size: size('size_bytes'), was: size('was_bytes'), job: word('jobKind', textOf(v.job)), id: textOf(v.job_id), alarm: alarm === key(about) ? about : alarm }
  const text = word('feedKind', key(e.kind))
  return { text: text === key(e.kind) ? e.kind : t(`feedKind.${key(e.kind)}`, values), more: textOf(v.error), tone: TONES[e.kind] ?? 'calm' }
}
