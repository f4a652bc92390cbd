/* SPDX-License-Identifier: Apache-2.0 */
/* The same thing done to many: one after the other, what fails stops nothing, and each has its outcome in the end. Pure. */
export type Outcome<T> = { item: T; how: 'done' } | { item: T; how: 'skipped' | 'failed'; why: string }

export interface Bulk<T> {
  /** Why it does not fit this one; undefined: it does. */
  skip?: (item: T) => string | undefined
  act: (item: T) => Promise<unknown>
  why: (e: unknown) => string
  /** After each. */
  step?: (n: number) => void
  stop?: () => boolean
  stopped?: string
}

export async function doAll<T>(items: readonly T[], b: Bulk<T>): Promise<Outcome<T>[]> {
  const out: Outcome<T>[] = []
  for (const item of items) {
    const why = b.stop?.() ? b.stopped : b.skip?.(item)
    if (why !== undefined) out.push({ item, how: 'skipped', why })
    else
      try {
        await b.act(item)
        out.push({ item, how: 'done' })
      } catch (e) {
        out.push({ item, how: 'failed', why: b.why(e) })
      }
    b.step?.(out.length)
  }
  return out
}
export const countOf = (list: readonly Outcome<unknown>[], how: Outcome<unknown>['how']): number => list.filter((o) => o.how === how).length
