/* SPDX-License-Identifier: Apache-2.0 */
/* What a list shows, as an address says it: only what is not as usual, so that a link can be sent. Pure. */
export type Settings = Record<string, string>
export type Query = Record<string, unknown>

/** `known`: of a setting with a few values; others in an address are as if they were not there. */
export function fromQuery<T extends Settings>(query: Query, usual: T, known: Partial<Record<keyof T, readonly string[]>> = {}): T {
  const out: Settings = { ...usual }
  for (const key of Object.keys(usual)) {
    const v = query[key]
    if (typeof v === 'string' && (!known[key] || known[key]?.includes(v))) out[key] = v
  }
  return out as T
}

/** The members of `query` that are somebody else's stay. */
export function toQuery<T extends Settings>(query: Query, now: T, usual: T): Query {
  const out: Query = { ...query }
  for (const [key, v] of Object.entries(now))
    if (v === usual[key]) delete out[key]
    else out[key] = v
  return out
}
