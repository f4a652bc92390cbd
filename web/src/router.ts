/* SPDX-License-Identifier: Apache-2.0 */
/* From the navigation to routes; nobody sees a page before the console said who they are. */
import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { t } from './i18n'
import { cameBefore, refresh, session } from './live/session'
import { ALL_LEAVES, leafOf } from './nav'

const routes: RouteRecordRaw[] = [
  { path: '/', redirect: '/dashboard' },
  { path: '/login', component: () => import('./pages/LoginPage.vue'), meta: { open: true } },
  { path: '/start', component: () => import('./pages/StartPage.vue') },
  ...ALL_LEAVES.flatMap((l): RouteRecordRaw[] => [
    { path: l.path, component: l.load, props: l.props },
    ...(l.below ?? []).map((b) => ({ path: b.path, component: b.load, props: true })),
  ]),
  { path: '/:rest(.*)*', component: () => import('./pages/NowherePage.vue') },
]

export const router = createRouter({ history: createWebHistory(), routes })
let wanted = '/dashboard'
/** A session that ended while somebody was at a page: they come back to it. */
export const comeBackTo = (path: string): void => void (wanted = path)
export const goWhereWanted = (): Promise<unknown> => router.push(wanted)

router.beforeEach(async (to) => {
  if (!session.known && cameBefore()) await refresh()
  if (to.meta.open) return session.in && !session.mustChange ? '/dashboard' : true
  if (session.in && !session.mustChange) return true
  wanted = to.path
  return '/login'
})

router.afterEach((to) => {
  const at = leafOf(to.path)
  document.title = at ? `${t(`nav.${at.leaf.key}`)} · OpenBDR` : 'OpenBDR'
})
