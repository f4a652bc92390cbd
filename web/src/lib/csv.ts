/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as a file for a spreadsheet (RFC 4180, UTF-8 with its mark, so that Excel reads Chinese). Pure. */
export type Cell = string | number | boolean | undefined | null
export interface CsvColumn<T> {
  label: string
  of: (row: T) => Cell
}

const BOM = '\uFEFF'
/** A text that a spreadsheet would take for a formula is marked as text: names come from machines that may not mean well. */
function cell(v: Cell): string {
  const text = v === undefined || v === null ? '' : String(v)
  const safe = typeof v === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

export const csvOf = <T>(columns: readonly CsvColumn<T>[], rows: readonly T[]): string =>
  BOM + [columns.map((c) => cell(c.label)), ...rows.map((r) => columns.map((c) => cell(c.of(r))))].map((l) => l.join(',')).join('\r\n') + '\r\n'

interface Page<T> {
  items: T[]
  next?: string
}
/** All there is, page by page; `seen` is told how many there are so far. */
export async function allOf<T>(fetch: (cursor: string | undefined, limit: number) => Promise<Page<T>>, seen: (n: number) => void = () => {}, limit = 500): Promise<T[]> {
  const rows: T[] = []
  let cursor: string | undefined
  do {
    const page = await fetch(cursor, limit)
    rows.push(...page.items)
    cursor = page.next
    seen(rows.length)
  } while (cursor)
  return rows
}

/** "hosts-20261123-1405.csv", by the clock of the browser. */
export function fileName(list: string, now: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0')
  return `${list}-${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}-${two(now.getHours())}${two(now.getMinutes())}.csv`
}
