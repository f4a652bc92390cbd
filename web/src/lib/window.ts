/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows of a long table are in sight, and how much room those above and below take. */
export const ROW_PX = 47
const MARGIN = 20 /* rows drawn beyond what is seen: scrolling shows no gap */
const WHOLE = 150 /* so few rows are simply all drawn */

export interface Window {
  from: number
  to: number
  above: number
  below: number
}

export function windowOf(n: number, top: number, height: number, row = ROW_PX): Window {
  if (n <= WHOLE) return { from: 0, to: n, above: 0, below: 0 }
  const from = Math.max(0, Math.min(n - 1, Math.floor(top / row)) - MARGIN)
  const to = Math.min(n, Math.ceil((top + height) / row) + MARGIN)
  return { from, to: Math.max(to, from + 1), above: from * row, below: (n - Math.max(to, from + 1)) * row }
}
