/* SPDX-License-Identifier: Apache-2.0 */
/* Where a host is brought back to: all disks into a folder, one to a file, one onto a device. Pure. */
import type { RecoveryBody } from '@/api/recoveries'

export const TARGETS = ['folder', 'file', 'device'] as const
export type Target = (typeof TARGETS)[number]
export interface RecoverForm {
  target: Target
  path: string
  format: 'raw' | 'qcow2'
  disk: number | undefined
  overwrite: boolean
}
interface Disk {
  id: number
  size_bytes?: number
  excluded?: boolean
}

/** The path that is offered first; a target that changes takes one that fits. */
export const placeOf = (target: Target, name: string, disk: string, format: string): string =>
  target === 'folder' ? `/srv/recovered/${name}/` : target === 'file' ? `/srv/recovered/${name}/${disk || 'disk'}.${format === 'raw' ? 'raw' : 'qcow2'}` : ''

/** What is wrong with the place: a key of recover.wrong_*; undefined: nothing. */
export function wrongOfPlace(f: RecoverForm, disks: readonly Disk[]): string | undefined {
  const path = f.path.trim()
  if (!path.startsWith('/') || path === '/') return f.target === 'device' ? 'device' : 'path'
  if (path.split('/').includes('..')) return 'dots'
  if (f.target === 'device') {
    if (!/^\/dev\/.+[^/]$/.test(path)) return 'device'
  } else if (path.startsWith('/dev/')) return 'isDevice'
  if (f.target === 'file' && path.endsWith('/')) return 'isFolder'
  if (f.target !== 'folder' && disks.length > 0 && f.disk === undefined) return 'disk'
  return undefined
}

/** As the API takes it: a path that ends with / is a folder and takes all disks. */
export function bodyOf(f: RecoverForm, host: number, point: number | undefined): RecoveryBody {
  const path = f.path.trim()
  return {
    kind: 'export', host, target: f.target === 'device' ? 'device' : 'file', path: f.target === 'folder' && !path.endsWith('/') ? `${path}/` : path, overwrite: f.overwrite,
    ...(point ? { point } : {}), ...(f.target !== 'folder' && f.disk !== undefined ? { disk: f.disk } : {}), ...(f.target === 'device' ? {} : { format: f.format }),
  }
}

/** How much it can become at most: raw takes all of it, qcow2 what was in use. */
export const sizeOf = (f: RecoverForm, disks: readonly Disk[]): number =>
  disks.filter((d) => f.target === 'folder' || d.id === f.disk).reduce((n, d) => n + (d.size_bytes ?? 0), 0)
