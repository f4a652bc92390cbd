/* SPDX-License-Identifier: Apache-2.0 */
/* "hosts:operate" and its like, as a table: area by role. Pure. */
type Role = 'viewer' | 'operator' | 'admin'
export type RoleRow = { area: string } & Record<Role, string[]>

const LEAST: Record<string, Role> = { read: 'viewer', operate: 'operator', admin: 'admin' }
const RANK: Role[] = ['viewer', 'operator', 'admin']

export function rolesTable(permissions: Record<string, string>): RoleRow[] {
  const areas = new Map<string, Set<string>>()
  for (const p of Object.values(permissions)) {
    const [area, verb] = p.split(':')
    if (!LEAST[verb]) continue
    areas.set(area, (areas.get(area) ?? new Set()).add(verb))
  }
  return [...areas]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([area, verbs]) => {
      const of = (role: Role): string[] => Object.keys(LEAST).filter((v) => verbs.has(v) && RANK.indexOf(LEAST[v]) <= RANK.indexOf(role))
      return { area, viewer: of('viewer'), operator: of('operator'), admin: of('admin') }
    })
}
