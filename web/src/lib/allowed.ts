/* SPDX-License-Identifier: Apache-2.0 */
/* What the console allows to be done with an object now: a button is on, or off with the reason. */
import { said } from './said'

export interface Allowed {
  action?: string
  allowed?: boolean
  reason?: string
}

/** undefined: it may be done; a text: why not. What nobody spoke of may be tried. */
export function whyNot(list: readonly Allowed[] | undefined, action: string): string | undefined {
  const row = list?.find((a) => a.action === action)
  return !row || row.allowed ? undefined : said(row.reason) || action
}
