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

/** `from`: where the span begins that was asked for; a few looks alone would make an axis of their own. */
export function rpoOption(series: readonly RpoAt[], promised: number, lang: Lang, name: string, limit: string, from?: number, to?: number): Option {
  return {
    xAxis: { type: 'time', min: from, max: to },
    yAxis: { type: 'value', min: 0, max: (v: { max: number }) => Math.max(v.max, promised * 1.25), axisLabel: { showMaxLabel: false, formatter: (v: number) => (v ? duration(v, lang) : '0') } },
    tooltip: { trigger: 'axis', renderMode: 'richText', valueFormatter: (v: number) => duration(v, lang) },
    series: [{
      name, type: 'line', showSymbol: series.length < 3, areaStyle: { opacity: 0.12 }, itemStyle: { color: '#2a6be6' },
      data: byTime(series).map((p) => [millis(p.at), p.age]),
      markLine: promised ? { symbol: 'none', silent: true, lineStyle: { color: '#c0262d' }, label: { formatter: limit, position: 'insideEndTop', color: '#c0262d' }, data: [{ yAxis: promised }] } : undefined,
    }],
  }
}

export function spaceOption(series: readonly SpaceAt[], used: string, all: string): Option {
  const list = byTime(series)
  const known = list.some((p) => p.free_bytes !== undefined)
  return {
    legend: { show: known, top: 0, right: 0, textStyle: { color: 'inherit' } },
    xAxis: { type: 'time' },
    yAxis: { type: 'value', min: 0, axisLabel: { formatter: (v: number) => bytes(v) } },
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
const COLOURS: Record<string, string> = { ok: '#15803d', damaged: '#c0262d', removed: '#8a94a6' }

/** Points on a line of time; the chosen one is larger, a held one a diamond. */
export function timelineOption(dots: readonly Dot[], chosen: number | undefined, when: (iso: string) => string): Option {
  return {
    grid: { left: 16, right: 16, top: 10, bottom: 44, containLabel: true },
    xAxis: { type: 'time' },
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

/** The newest usable point that is not younger than the moment somebody picked. */
export function pointAt<T extends { taken?: string; state?: string }>(list: readonly T[], moment: number): T | undefined {
  return list
    .filter((p) => p.state === 'ok' && (millis(p.taken) ?? Infinity) <= moment)
    .reduce<T | undefined>((best, p) => (!best || (millis(p.taken) ?? 0) > (millis(best.taken) ?? 0) ? p : best), undefined)
}
