/* SPDX-License-Identifier: Apache-2.0 */
/* A policy between its form and the API: retention in boxes, intervals in words. Pure. */
import type { PolicyBody } from '@/api/policies'
import { parseDuration } from './fmt'

export const RULES = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const
export type Rule = (typeof RULES)[number]
export type Keep = Partial<Record<Rule, number>>

/** "last=3 daily=7 within=30d" -> boxes; what the boxes have no place for is kept as it is. */
export function readRetention(text: string): { keep: Keep; rest: string } {
  const keep: Keep = {}
  const rest: string[] = []
  for (const part of text.split(/\s+/).filter(Boolean)) {
    const m = /^(\w+)=(\d+)$/.exec(part)
    if (m && (RULES as readonly string[]).includes(m[1])) keep[m[1] as Rule] = Number(m[2])
    else rest.push(part)
  }
  return { keep, rest: rest.join(' ') }
}

/** In the words of the form: "Newest 24, daily 7"; undefined: everything is kept. */
export function retentionText(text: string | undefined, wordOf: (r: Rule) => string, comma: string): string | undefined {
  const { keep, rest } = readRetention(text ?? '')
  const parts = [...RULES.filter((r) => keep[r]).map((r, i) => `${i ? wordOf(r).toLowerCase() : wordOf(r)} ${keep[r]}`), rest].filter(Boolean)
  return parts.length ? parts.join(comma) : undefined
}

export const writeRetention = (keep: Keep, rest: string): string =>
  [...RULES.filter((r) => keep[r]).map((r) => `${r}=${keep[r]}`), rest.trim()].filter(Boolean).join(' ')

/** What a codec may be given beside its name: zstd's level, LZ4's acceleration (the larger the faster). `def` counts without one. */
export const CODECS = {
  zstd: { min: 1, max: 19, def: 2 },
  lz4: { min: 1, max: 64, def: 2 },
  none: undefined,
} as const
export type Codec = keyof typeof CODECS

/** "lz4:4" -> lz4 and 4; what has no level, or one the form cannot show, has the usual one. */
export function readCodec(text: string): { codec: Codec; level: number | undefined } {
  const [name, level] = text.split(':')
  const codec: Codec = name in CODECS ? (name as Codec) : 'zstd'
  const range = CODECS[codec]
  const n = Number(level)
  return { codec, level: range && (level && Number.isInteger(n) && n >= range.min && n <= range.max ? n : range.def) }
}
/** The usual level is not written: it stays the usual one when a later version knows a better. */
export function writeCodec(codec: Codec, level: number | undefined): string {
  const range = CODECS[codec]
  return !range || level === undefined || level === null || level === range.def ? codec : `${codec}:${level}`
}

export interface PolicyForm {
  name: string
  mode: 'interval' | 'cron'
  every: string
  cron: string
  zone: string
  windows: string
  bandwidth: string
  keep: Keep
  rest: string
  codec: Codec
  level: number | undefined
  encrypt: boolean
  consistency: string
  rpo: string
  tries: number
}

export const EVERY = ['5min', '15min', '1h', '4h', '12h', '1d'] as const
const spell = (ms: number): string => (ms % 86400000 === 0 ? `${ms / 86400000}d` : ms % 3600000 === 0 ? `${ms / 3600000}h` : ms % 60000 === 0 ? `${ms / 60000}min` : `${ms / 1000}s`)

export function formOf(p: Partial<PolicyBody> = {}, zone = 'UTC'): PolicyForm {
  const { keep, rest } = readRetention(p.retention ?? 'last=24 daily=7 weekly=4 monthly=12')
  return {
    name: p.name ?? '',
    mode: p.cron && !p.interval_ms ? 'cron' : 'interval',
    every: p.interval_ms ? spell(p.interval_ms) : '1h',
    cron: p.cron ?? '',
    zone: p.zone ?? zone,
    windows: p.windows ?? '',
    bandwidth: p.bandwidth ?? '',
    keep,
    rest,
    ...readCodec(p.compression ?? 'zstd'),
    encrypt: p.encrypt ?? true,
    consistency: p.consistency ?? 'crash',
    rpo: p.rpo_ms ? spell(p.rpo_ms) : '',
    tries: p.tries ?? 5,
  }
}

export function bodyOf(f: PolicyForm): PolicyBody {
  return {
    name: f.name.trim(),
    interval_ms: f.mode === 'interval' ? (parseDuration(f.every) ?? 0) : 0,
    cron: f.mode === 'cron' ? f.cron.trim() : '',
    zone: f.zone.trim() || 'UTC',
    windows: f.windows.trim(),
    bandwidth: f.bandwidth.trim(),
    retention: writeRetention(f.keep, f.rest),
    compression: writeCodec(f.codec, f.level),
    encrypt: f.encrypt,
    consistency: f.consistency as PolicyBody['consistency'],
    rpo_ms: f.rpo.trim() ? (parseDuration(f.rpo) ?? 0) : 0,
    tries: f.tries,
  }
}

export function wrongOfPolicy(f: PolicyForm): string[] {
  const out: string[] = []
  if (!f.name.trim()) out.push('name')
  if (f.mode === 'interval' && (parseDuration(f.every) ?? 0) < 60000) out.push('every')
  if (f.mode === 'cron' && f.cron.trim().split(/\s+/).length !== 5) out.push('cron')
  if (f.rpo.trim() && parseDuration(f.rpo) === undefined) out.push('rpo')
  if (f.mode === 'interval' && (parseDuration(f.rpo) ?? Infinity) < (parseDuration(f.every) ?? 0)) out.push('short') /* it would always be missed */
  return out
}
