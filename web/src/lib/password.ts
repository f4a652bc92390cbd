/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a new password, before the console is asked (it has the last word). */
export type PasswordFault = 'short' | 'long' | 'simple' | 'differs'

export const PASSWORD_MIN = 10

export function passwordFaults(own: string, again: string): PasswordFault[] {
  const out: PasswordFault[] = []
  const letters = [...own]
  if (new TextEncoder().encode(own).length < PASSWORD_MIN) out.push('short')
  if (own.length > 1024) out.push('long')
  if (letters.length && new Set(letters).size < 5) out.push('simple')
  if (own !== again) out.push('differs')
  return out
}
