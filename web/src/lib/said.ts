/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sentence of the programs in the reader's language. The programs speak English; the table has each of their formats
 * beside its Chinese, so a format is the sentence's code and what stood in its places are its values. What the table
 * does not know is shown as it came.
 */
import { lang } from '@/i18n'
import { SAID, TERMS } from '@/tables/said'

const PLACE = /%(?:\d+\$)?[-0 #+]*(?:\.\*|\.?\d+)?(?:ll|z|l|h)?[sdiuxc]/
const places = new RegExp(PLACE.source, 'g')
const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

interface Row {
  test: RegExp
  zh: string
}
let rows: Row[] | undefined
const exact = new Map<string, string>()

/** A number's place takes a number only: else it would swallow what comes after it. */
function pattern(format: string): string {
  const kinds = [...format.matchAll(places)].map((m) => (/[diu]$/.test(m[0]) ? '(-?\\d+)' : '([^]*?)'))
  return format.split(places).map((part, i) => escape(part) + (kinds[i] ?? '')).join('')
}

/** The more of a pattern is fixed, the earlier it is tried: "must be %s" comes last of its kind. */
function compile(): Row[] {
  const fixed = (p: string): number => p.replace(places, '').length
  for (const [p, zh] of SAID) if (!PLACE.test(p)) exact.set(p, zh)
  return SAID.filter(([p]) => PLACE.test(p))
    .sort((a, b) => fixed(b[0]) - fixed(a[0]))
    .map(([p, zh]) => ({ test: new RegExp(`^${pattern(p)}$`), zh }))
}

function known(text: string, deep: number): string | undefined {
  rows ??= compile()
  const one = exact.get(text)
  if (one !== undefined) return one
  for (const r of rows) {
    const m = r.test.exec(text)
    if (m) return r.zh.replace(/\{(\d)\}/g, (_, n: string) => value(m[Number(n)] ?? '', deep))
  }
  return undefined
}
const value = (text: string, deep: number): string => TERMS[text] ?? (deep < 3 ? known(text, deep + 1) : undefined) ?? text

/** Chains are "what we did: what was wrong: with what": part by part, as far as the parts are known. */
function chinese(text: string): string {
  const whole = known(text, 0)
  if (whole !== undefined) return whole
  for (let at = text.indexOf(': '); at > 0; at = text.indexOf(': ', at + 2)) {
    const head = known(text.slice(0, at), 0)
    if (head !== undefined) return `${head}：${chinese(text.slice(at + 2))}`
  }
  return text
}

/** Reactive: another language, other words. */
export const said = (text: string | undefined): string => (text ? (lang() === 'zh' ? chinese(text) : text) : '')
