/* SPDX-License-Identifier: Apache-2.0 */
/* Who is logged in, and what they may. */
import { computed, reactive } from 'vue'
import { onProblem, roleMay, type Route } from '@/api/http'
import { session as api } from '@/api/session'
import { hear, startStream, stopStream } from './stream'

export const session = reactive({
  known: false /* asked the console at least once */,
  in: false,
  name: '',
  role: '',
  mustChange: false,
  totp: false,
  lost: false /* it ended while somebody worked: they log in over their page, and go on */,
})

export const may = (route: Route): boolean => roleMay(session.role, route)
export const isAdmin = computed(() => session.role === 'admin')

/** The cookie cannot be seen from here: this says whether asking with it makes sense. */
const CAME = 'bdr.in'
export const cameBefore = (): boolean => localStorage.getItem(CAME) !== null

export async function refresh(): Promise<void> {
  try {
    const s = await api.get()
    localStorage.setItem(CAME, '1')
    Object.assign(session, { known: true, in: true, name: s.name ?? '', role: s.role ?? '', mustChange: !!s.must_change, totp: !!s.totp, lost: false })
    if (!session.mustChange) startStream()
  } catch {
    localStorage.removeItem(CAME)
    Object.assign(session, { known: true, in: false, name: '', role: '', mustChange: false })
  }
}

export async function leave(): Promise<void> {
  stopStream()
  try {
    await api.remove()
  } finally {
    localStorage.removeItem(CAME)
    Object.assign(session, { in: false, name: '', role: '', mustChange: false, lost: false })
  }
}

/** There is a session again: pages look again at what they show, forms are as they were left. */
export async function resume(): Promise<void> {
  const s = await api.get()
  if (s.name !== session.name || s.must_change) return location.reload() /* somebody else's session: nothing of this page is theirs */
  Object.assign(session, { role: s.role ?? '', lost: false })
  startStream()
  hear('reset', '{}')
}
/** To the login page after all, as somebody else perhaps. */
export function giveUp(): void {
  localStorage.removeItem(CAME)
  Object.assign(session, { in: false })
}

onProblem((p) => {
  if (p.status !== 401 || !session.in || session.lost) return
  stopStream()
  session.lost = true
})
