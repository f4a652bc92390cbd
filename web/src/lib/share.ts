/* SPDX-License-Identifier: Apache-2.0 */
/* A point that is opened without being restored: for how long, and what to type to read it. */
export const HOURS = [1, 8, 24, 72, 168] as const

/** Before the first read: the key into a file that only its owner can read, named as the address names it. */
export function keyCommand(secret: string | undefined): string {
  const id = /^(share-\d+):[0-9a-f]+$/.exec(secret ?? '')?.[1]
  return id ? `umask 077; echo '${secret}' >${id}.psk` : ''
}
