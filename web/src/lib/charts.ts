/* SPDX-License-Identifier: Apache-2.0 */
/* From the API's series to what a chart draws. Pure. */
import type { Lang } from '@/i18n'
import { bytes, duration, millis } from './fmt'

type Option = Record<string, unknown>
interface RpoAt {
  at: string
  age: number
}
interface SpaceAt {
  at: string
  used_bytes: number
  free_bytes?: number
}

/** Hours come before single looks, each part oldest first; a line needs them in one order. */
export const byTime = <T extends { at: string }>(list: readonly T[]): T[] => [...list].sort((a, b) => Date.parse(a.at) - Date.parse(b.at))

const STEPS_S = [1, 5, 15, 30, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800]
/** Marks of an axis of time as a clock has them, at most six. */
export function stepOf(ms: number): number {
  const s = STEPS_S.find((x) => (ms / 1000 / x) <= 6)
  return (s ?? Math.ceil(ms / 6000 / 604800) * 604800) * 1000
}

/** `from`: where the span begins that was asked for; a few looks alone would make an axis of their own. */
export function rpoOption(series: readonly RpoAt[], promised: number, lang: Lang, name: string, limit: string, from?: number, to?: number): Option {
  const top = Math.max(1, promised * 1.25, ...series.map((p) => p.age))
  const step = stepOf(top)
  return {
    xAxis: { type: 'time', min: from, max: to, axisLabel: AXIS_TIME },
    yAxis: { type: 'value', min: 0, max: step * Math.ceil(top / step), interval: step, axisLabel: { formatter: (v: number) => (v ? duration(v, lang) : '0') } },
    tooltip: { trigger: 'axis', renderMode: 'richText', valueFormatter: (v: number) => duration(v, lang) },
    series: [{
      name, type: 'line', showSymbol: series.length < 3, areaStyle: { opacity: 0.12 }, itemStyle: { color: '#2a6be6' },
      data: byTime(series).map((p) => [millis(p.at), p.age]),
      markLine: promised ? { symbol: 'none', silent: true, lineStyle: { color: 'var(--bad)' }, label: { formatter: limit, position: 'insideEndTop', color: 'var(--bad)' }, data: [{ yAxis: promised }] } : undefined,
    }],
  }
}

/** Marks of an axis of bytes that are round in the units people read: 1, 2 or 5 of them, at most six marks. */
export function byteStep(max: number): number {
  let unit = 1
  while (max / unit >= 1024) unit *= 1024
  const step = [1, 2, 5, 10, 20, 50, 100, 200].find((n) => max / (n * unit) <= 6) ?? 200
  return max > unit * 2 || unit === 1 ? step * unit : max / unit > 1 ? unit / 2 : unit / 4
}

/** Days as a calendar writes them: "23" alone says neither month nor that it is a day. */
const AXIS_TIME = { formatter: { year: '{yyyy}', month: '{yyyy}-{MM}', day: '{MM}-{dd}', hour: '{HH}:{mm}', minute: '{HH}:{mm}' } }

export function spaceOption(series: readonly SpaceAt[], used: string, all: string): Option {
  const list = byTime(series)
  const known = list.some((p) => p.free_bytes !== undefined)
  const top = Math.max(1024, ...list.map((p) => p.used_bytes + (p.free_bytes ?? 0)))
  const step = byteStep(top)
  return {
    legend: { show: known, top: 0, right: 0 },
    xAxis: { type: 'time', axisLabel: AXIS_TIME },
    yAxis: { type: 'value', min: 0, max: step * Math.ceil(top / step), interval: step, axisLabel: { formatter: (v: number) => bytes(v) } },
    tooltip: { trigger: 'axis', renderMode: 'richText', valueFormatter: (v: number) => bytes(v) },
    series: [
      { name: used, type: 'line', showSymbol: list.length < 3, areaStyle: { opacity: 0.15 }, itemStyle: { color: '#2a6be6' }, data: list.map((p) => [millis(p.at), p.used_bytes]) },
      ...(known ? [{ name: all, type: 'line', showSymbol: false, itemStyle: { color: '#8a94a6' }, lineStyle: { type: 'dashed' }, data: list.map((p) => [millis(p.at), p.used_bytes + (p.free_bytes ?? 0)]) }] : []),
    ],
  }
}

export interface Dot {
  id: number
  taken: string
  state: string
  held: boolean
}
const COLOURS: Record<string, string> = { ok: 'var(--ok)', damaged: 'var(--bad)', removed: 'var(--calm)' }

/** Points on a line of time; the chosen one is larger, a held one a diamond. */
export function timelineOption(dots: readonly Dot[], chosen: number | undefined, when: (iso: string) => string): Option {
  return {
    grid: { left: 16, right: 16, top: 10, bottom: 44, containLabel: true },
    xAxis: { type: 'time', axisLabel: AXIS_TIME },
    yAxis: { show: false, min: -1, max: 1 },
    dataZoom: [{ type: 'slider', height: 18, bottom: 8 }, { type: 'inside' }],
    tooltip: { trigger: 'item', renderMode: 'richText', formatter: (p: { data: { taken: string } }) => when(p.data.taken) },
    series: [{
      type: 'scatter',
      data: dots.map((d) => ({
        value: [millis(d.taken), 0], id: d.id, taken: d.taken, symbol: d.held ? 'diamond' : 'circle', symbolSize: d.id === chosen ? 22 : 12,
        itemStyle: { color: COLOURS[d.state] ?? '#8a94a6', borderColor: d.id === chosen ? '#f59e0b' : 'transparent', borderWidth: d.id === chosen ? 3 : 0 },
      })),
    }],
  }
}
