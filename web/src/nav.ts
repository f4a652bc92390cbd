/* SPDX-License-Identifier: Apache-2.0 */
/* The navigation, once: the top menu, the menu at the left, the router's paths and what may be seen by whom. */
import type { Component } from 'vue'

type Load = () => Promise<{ default: Component }>
export interface Leaf {
  key: string
  path: string
  load: Load
  props?: Record<string, unknown>
  admin?: boolean
  /** Pages below it: shown as this leaf, not in the menu. */
  below?: ReadonlyArray<{ path: string; load: Load }>
}
export interface Group {
  key?: string
  leaves: readonly Leaf[]
}
export interface Top {
  key: string
  groups: readonly Group[]
}

const platform = (kind: string): Leaf => ({
  key: kind, path: `/site/${kind}`, load: () => import('./pages/site/PlatformPage.vue'), props: { kind },
})

export const NAV: readonly Top[] = [
  {
    key: 'watch',
    groups: [{
      leaves: [
        { key: 'dashboard', path: '/dashboard', load: () => import('./pages/watch/DashboardPage.vue') },
        { key: 'alarms', path: '/alarms', load: () => import('./pages/watch/AlarmsPage.vue') },
        { key: 'jobs', path: '/jobs', load: () => import('./pages/watch/JobsPage.vue') },
        { key: 'audit', path: '/audit', load: () => import('./pages/watch/AuditPage.vue'), admin: true },
      ],
    }],
  },
  {
    key: 'dr',
    groups: [{
      leaves: [
        {
          key: 'hosts', path: '/hosts', load: () => import('./pages/dr/HostsPage.vue'),
          below: [
            { path: '/hosts/:id(\\d+)', load: () => import('./pages/dr/HostPage.vue') },
            { path: '/hosts/:id(\\d+)/report', load: () => import('./pages/dr/HostReport.vue') },
          ],
        },
        { key: 'recoveries', path: '/recoveries', load: () => import('./pages/dr/RecoveriesPage.vue') },
        { key: 'shares', path: '/shares', load: () => import('./pages/dr/SharesPage.vue') },
      ],
    }],
  },
  {
    key: 'resources',
    groups: [{
      leaves: [
        { key: 'gateways', path: '/gateways', load: () => import('./pages/resources/GatewaysPage.vue') },
        { key: 'repositories', path: '/repositories', load: () => import('./pages/resources/RepositoriesPage.vue') },
      ],
    }],
  },
  { key: 'policy', groups: [{ leaves: [{ key: 'policies', path: '/policies', load: () => import('./pages/policy/PoliciesPage.vue') }] }] },
  {
    key: 'config',
    groups: [{
      key: 'site',
      leaves: [
        platform('vmware'), platform('openstack'), platform('aws'), platform('fusioncompute'), platform('oracle'),
        { key: 'agent', path: '/site/agent', load: () => import('./pages/site/AgentPage.vue') },
        { key: 'proxies', path: '/site/proxies', load: () => import('./pages/site/ProxiesPage.vue') },
      ],
    }],
  },
  {
    key: 'settings',
    groups: [{
      leaves: [
        { key: 'general', path: '/settings/general', load: () => import('./pages/settings/GeneralPage.vue'), admin: true },
        { key: 'users', path: '/settings/users', load: () => import('./pages/settings/UsersPage.vue'), admin: true },
        { key: 'roles', path: '/settings/roles', load: () => import('./pages/settings/RolesPage.vue') },
        { key: 'tokens', path: '/settings/tokens', load: () => import('./pages/settings/TokensPage.vue') },
        { key: 'channels', path: '/settings/notifications', load: () => import('./pages/settings/ChannelsPage.vue'), admin: true },
        { key: 'names', path: '/settings/names', load: () => import('./pages/settings/NamesPage.vue') },
        { key: 'certificates', path: '/settings/certificates', load: () => import('./pages/settings/MachinesPage.vue') },
        { key: 'account', path: '/settings/account', load: () => import('./pages/settings/AccountPage.vue') },
      ],
    }],
  },
]

export const leavesOf = (top: Top, admin: boolean): Leaf[] => top.groups.flatMap((g) => g.leaves).filter((l) => admin || !l.admin)
export const ALL_LEAVES: readonly Leaf[] = NAV.flatMap((top) => leavesOf(top, true))

/** The menu entry that a path belongs to. */
export function leafOf(path: string): { top: Top; leaf: Leaf } | undefined {
  for (const top of NAV)
    for (const leaf of leavesOf(top, true)) if (path === leaf.path || (leaf.below && path.startsWith(`${leaf.path}/`))) return { top, leaf }
  return undefined
}
