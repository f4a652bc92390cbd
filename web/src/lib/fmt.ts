/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for people: bytes, rates, times, how long. Pure: the language is given. */
import type { Lang } from '@/i18n'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function bytes(n: number | undefined | null): string {
  if (n === undefined || n === null) return '-'
  let i = 0
  let v = n
  while (v >= 1024 && i < UNITS.length - 1) {
    v /= 1024
    i++
  }
  return `${i === 0 || v >= 100 ? Math.round(v) : v.toFixed(1)} ${UNITS[i]}`
}

export const rate = (bps: number | undefined): string => (bps ? `${bytes(bps)}/s` : '-')

export function pct(part: number, whole: number): number {
  return whole > 0 ? Math.max(0, Math.min(100, Math.floor((100 * part) / whole))) : 0
}

const STEPS: Array<[ms: number, en: string, zh: string]> = [
  [86400000, 'd', '天'],
  [3600000, 'h', '小时'],
  [60000, 'min', '分钟'],
  [1000, 's', '秒'],
]

/** 93784000 -> "1 d 2 h"; the two largest parts. */
export function duration(ms: number | undefined | null, lang: Lang): string {
  if (ms === undefined || ms === null || ms < 0) return '-'
  const out: string[] = []
  let left = ms
  for (const [size, en, zh] of STEPS) {
    const n = Math.floor(left / size)
    if (!n && !out.length) continue
    if (n) out.push(`${n} ${lang === 'zh' ? zh : en}`)
    left -= n * size
    if (out.length === 2) break
    if (!n && out.length) break
  }
  return out.length ? out.join(' ') : lang === 'zh' ? '不到 1 秒' : 'under 1 s'
}

export const millis = (iso: string | number | undefined | null): number | undefined => {
  if (iso === undefined || iso === null || iso === '' || iso === 0) return undefined
  const ms = typeof iso === 'number' ? iso : Date.parse(iso)
  return Number.isFinite(ms) && ms > 0 ? ms : undefined
}

const pad = (n: number): string => String(n).padStart(2, '0')

/** Local time, the same form in both languages, sortable by eye. */
export function time(iso: string | number | undefined | null): string {
  const ms = millis(iso)
  if (ms === undefined) return '-'
  const d = new Date(ms)
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`
}

/** A sentence of the console: it writes for mails, too, where nobody's zone is known; here times are the reader's. */
export const localTimes = (text: string): string =>
  text.replace(/\b(\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC/g, (all, day: string, clock: string) => {
    const ms = Date.parse(`${day}T${clock}:00Z`)
    return Number.isFinite(ms) ? time(ms).slice(0, 16) : all
  })

/** "Asia/Shanghai (UTC+08:00)": whose clock the times here are by. */
export function zoneText(at: number, zone = Intl.DateTimeFormat().resolvedOptions().timeZone): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' }).formatToParts(at)
  const offset = (parts.find((p) => p.type === 'timeZoneName')?.value ?? '').replace('GMT', '') || '+00:00'
  return `${zone} (UTC${offset})`
}
/** The whole of it, for where only an age is shown. */
export const fullTime = (iso: string | number | undefined | null): string => {
  const ms = millis(iso)
  return ms === undefined ? '-' : `${time(ms)} ${zoneText(ms)}`
}

/** What a clock on the wall of that zone shows; undefined: there is no such zone. */
export function clockIn(zone: string, now: number): string | undefined {
  try {
    return new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit' }).format(now)
  } catch {
    return undefined
  }
}

export function ago(iso: string | number | undefined | null, now: number, lang: Lang): string {
  const ms = millis(iso)
  if (ms === undefined) return '-'
  const gone = Math.max(0, now - ms)
  if (gone < 1000) return lang === 'zh' ? '刚刚' : 'just now'
  const text = duration(gone - (gone >= 60000 ? gone % 60000 : 0), lang)
  return lang === 'zh' ? `${text}前` : `${text} ago`
}

interface Promised {
  last_point?: string
  rpo_ms?: number
  rpo_limit_ms?: number
  rpo_state?: string
}
/** How much would be lost now: it grows while nobody asks again. Without a point: what the console said. */
export function rpoAge(h: Promised, now: number): number | undefined {
  const last = millis(h.last_point)
  return last === undefined ? h.rpo_ms || undefined : Math.max(0, now - last)
}
/** "none": nothing is promised now, as for a paused host. */
export const rpoTone = (h: Promised, age: number | undefined): 'bad' | 'ok' | '' =>
  h.rpo_state === 'missed' ? 'bad' : age === undefined || !h.rpo_limit_ms || h.rpo_state === 'none' ? '' : age > h.rpo_limit_ms ? 'bad' : 'ok'

/** What is left at this rate; undefined while nobody can know. */
export function eta(done: number, total: number, bps: number): number | undefined {
  return bps > 0 && total > done ? ((total - done) / bps) * 1000 : undefined
}

/** "15m", "1h", "36 h", "90" (minutes) -> milliseconds. */
export function parseDuration(text: string): number | undefined {
  const m = /^\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?\s*$/.exec(text)
  if (!m) return undefined
  const unit: Record<string, number> = { s: 1000, m: 60000, min: 60000, h: 3600000, d: 86400000 }
  return Math.round(Number(m[1]) * unit[m[2] ?? 'min'])
}
