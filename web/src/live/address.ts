/* SPDX-License-Identifier: Apache-2.0 */
/* Filters, order and columns of a list, kept in the address: a link shows the same, and so does the way back. */
import { reactive, watch } from 'vue'
import { useRoute, useRouter } from 'vue-router'
import { fromQuery, toQuery, type Settings } from '@/lib/address'

export function useAddress<T extends Settings>(usual: T, known: Partial<Record<keyof T, readonly string[]>> = {}): T {
  const route = useRoute()
  const router = useRouter()
  const path = route.path
  const now = reactive(fromQuery(route.query, usual, known)) as T
  watch(() => ({ ...now }), (v) => {
    const query = toQuery(route.query, v as T, usual) as Record<string, string>
    if (route.path === path && JSON.stringify(query) !== JSON.stringify(route.query)) void router.replace({ query })
  })
  watch(() => route.query, (query) => {
    if (route.path === path) Object.assign(now, fromQuery(query, usual, known))
  })
  return now
}
