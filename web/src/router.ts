/* SPDX-License-Identifier: Apache-2.0 */
/* From the navigation to routes; nobody sees a page before the console said who they are. */
import { createRouter, createWebHistory, type RouteRecordRaw } from 'vue-router'
import { cameBefore, refresh, session } from './live/session'
import { title } from './live/title'
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
  wanted = to.fullPath
  return '/login'
})

router.afterEach((to, from) => {
  if (to.path === from.path) return /* other filters of the same page */
  title.page = leafOf(to.path)?.leaf.key ?? ''
  title.of = ''
})
