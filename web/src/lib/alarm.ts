/* SPDX-License-Identifier: Apache-2.0 */
/* An alarm's text in the reader's language: the console gives the sentence, the values in it are words of the programs. */
import { lang, word } from '@/i18n'
import { localTimes } from './fmt'
import { said } from './said'

interface Told {
  text?: string
  values?: Record<string, unknown>
}

export function alarmText(a: Told): string {
  const text = localTimes(a.text ?? '')
  if (lang() !== 'zh') return text
  /* places first, the longest value first: a name may have a task's word in it */
  const values = Object.entries(a.values ?? {}).filter((e): e is [string, string] => typeof e[1] === 'string' && e[1] !== '').sort((x, y) => y[1].length - x[1].length)
  const placed = values.reduce((out, [, v], i) => out.replace(v, () => `\u0001${i}\u0001`), text)
  return placed.replace(/\u0001(\d+)\u0001/g, (_, i: string) => {
    const [name, v] = values[Number(i)]
    return name === 'job' ? word('jobKind', v) : name === 'name' ? v : said(v)
  })
}
