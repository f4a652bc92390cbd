/* SPDX-License-Identifier: Apache-2.0 */
/* The feed of events: each kind in words; alarms by the names of their table. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { i18n } from '@/i18n'
import { feed } from '@/i18n/words/feed'
import { feedLine } from '@/lib/feed'

afterEach(() => {
  i18n.global.locale.value = 'en'
})

describe('the feed', () => {
  it('tells of disks with their sizes', () => {
    const e = { kind: 'disk.resized', values: { disk: 'sdb', size_bytes: 3 * 2 ** 30, was_bytes: 2 ** 30 } }
    expect(feedLine(e)).toEqual({ text: 'Disk sdb has 3.0 GiB now, 1.0 GiB before', more: '', tone: 'warn' })
    i18n.global.locale.value = 'zh'
    expect(feedLine(e).text).toBe('磁盘 sdb 大小由 1.0 GiB 变为 3.0 GiB')
  })
  it('tells of runs by their kind, with the error of one that failed', () => {
    expect(feedLine({ kind: 'job.failed', values: { job: 'sync', job_id: 7, error: 'no route' } })).toEqual({ text: 'Sync (task 7) failed', more: 'no route', tone: 'bad' })
  })
  it('shows what it does not know by its name', () => {
    expect(feedLine({ kind: 'moon.rose', values: {} })).toEqual({ text: 'moon.rose', more: '', tone: 'calm' })
    expect(feedLine({ kind: 'alarm.raised', values: { kind: 'moon.full' } }).text).toBe('Alarm: moon.full')
  })
  it('calls alarms what their table calls them', () => {
    const table = readFileSync(join(__dirname, '../../../schema/alarms.def'), 'utf8')
    const rows = [...table.matchAll(/^A\(\w+, "([\w.]+)", \w+,\n\s*"([^"]*)", "([^"]*)"/gm)]
    expect(rows.length).toBeGreaterThan(10)
    expect(Object.fromEntries(rows.map((r) => [r[1]!.replace('.', '_'), [r[2], r[3]]]))).toEqual(feed.alarmKind)
  })
})
