/* SPDX-License-Identifier: Apache-2.0 */
/* The logic behind the pages: numbers, forms, windows of long tables, problems, charts, changes. */
import { describe, expect, it } from 'vitest'
import { pathOf, Problem, problemOf, queryOf, roleMay } from '@/api/http'
import { whyNot } from '@/lib/allowed'
import { changesOf, partsOf } from '@/lib/audit'
import { byTime, rpoOption, spaceOption, stepOf, timelineOption } from '@/lib/charts'
import { browserOf } from '@/lib/browser'
import { ago, bytes, clockIn, duration, eta, parseDuration, pct, rate, rpoAge, rpoTone, time } from '@/lib/fmt'
import { bodyOf, commas, newCeph, startOf, wrongOf, wrongOfCeph } from '@/lib/form'
import { passwordFaults } from '@/lib/password'
import { bodyOf as policyBody, CODECS, formOf, readCodec, readRetention, writeCodec, writeRetention, wrongOfPolicy } from '@/lib/policy'
import { bodyOf as recoverBody, placeOf, sizeOf, wrongOfPlace, type RecoverForm } from '@/lib/recover'
import { rolesTable } from '@/lib/roles'
import { ROW_PX, windowOf } from '@/lib/window'
import { CEPH_FIELDS, platformOf } from '@/tables/platforms'

describe('numbers', () => {
  it('says bytes in the unit that fits', () => {
    expect([0, 1023, 1536, 10 * 2 ** 30, 200 * 2 ** 40].map((n) => bytes(n))).toEqual(['0 B', '1023 B', '1.5 KiB', '10.0 GiB', '200 TiB'])
    expect(bytes(undefined)).toBe('-')
    expect(rate(0)).toBe('-')
    expect(rate(2 ** 20)).toBe('1.0 MiB/s')
  })
  it('says how long in the two largest parts', () => {
    expect(duration(93784000, 'en')).toBe('1 d 2 h')
    expect(duration(3600000, 'zh')).toBe('1 小时')
    expect(duration(500, 'en')).toBe('under 1 s')
    expect(duration(86400000 + 60000, 'en')).toBe('1 d')
    expect(duration(undefined, 'en')).toBe('-')
  })
  it('says how long ago, and never a time before', () => {
    const now = Date.parse('2030-01-01T12:00:00Z')
    expect(ago('2030-01-01T11:58:30Z', now, 'en')).toBe('1 min ago')
    expect(ago('2030-01-01T12:00:05Z', now, 'zh')).toBe('刚刚')
    expect(time('')).toBe('-')
  })
  it('reads durations, and knows what is left', () => {
    expect([parseDuration('15min'), parseDuration('2 h'), parseDuration('90'), parseDuration('1.5d'), parseDuration('soon')]).toEqual([900000, 7200000, 5400000, 129600000, undefined])
    expect(eta(50, 100, 10)).toBe(5000)
    expect(eta(50, 100, 0)).toBeUndefined()
    expect(pct(5, 0)).toBe(0)
    expect(pct(999, 1000)).toBe(99)
  })
})

describe('a call', () => {
  it('puts values into the path and refuses a missing one', () => {
    expect(pathOf('GET /v1/hosts/{id}/disks/{disk}', { id: 7, disk: 'a/b' })).toBe('/v1/hosts/7/disks/a%2Fb')
    expect(() => pathOf('GET /v1/hosts/{id}', {})).toThrow('id is missing')
  })
  it('leaves empty filters out', () => {
    expect(queryOf({ name: '', limit: 5, cursor: undefined, active: false })).toBe('?limit=5&active=false')
    expect(queryOf({})).toBe('')
  })
  it('knows a problem and the fields it is about', () => {
    const p = problemOf(422, { code: 'INVAL', detail: 'x', errors: [{ pointer: '/name', code: 'INVAL', detail: 'is too long' }, { pointer: '/ceph/0/pool', code: 'INVAL', detail: 'y' }] })
    expect(p).toBeInstanceOf(Problem)
    expect(p.byField()).toEqual({ name: 'is too long', ceph: 'y', 'ceph/0/pool': 'y' })
    expect(problemOf(500, undefined).detail).toBe('')
  })
  it('hides what a role would be refused', () => {
    expect(roleMay('viewer', 'POST /v1/hosts/{id}/register')).toBe(false)
    expect(roleMay('operator', 'POST /v1/hosts/{id}/register')).toBe(true)
    expect(roleMay('operator', 'POST /v1/platforms')).toBe(false)
    expect(roleMay('viewer', 'GET /v1/hosts')).toBe(true)
  })
  it('says why a button is off', () => {
    const list = [{ action: 'sync', allowed: false, reason: 'A job runs.' }, { action: 'pause', allowed: true }]
    expect(whyNot(list, 'sync')).toBe('A job runs.')
    expect(whyNot(list, 'pause')).toBeUndefined()
    expect(whyNot(undefined, 'pause')).toBeUndefined()
  })
})

describe('a platform\'s form', () => {
  const os = platformOf('openstack').fields
  it('starts with the manual\'s defaults', () => {
    expect(startOf(os)).toMatchObject({ user_domain: 'default', project_domain: 'default', project: 'admin', region: 'RegionOne', password: '' })
  })
  it('wants what is needed, once there is nothing stored', () => {
    expect(Object.keys(wrongOf(os, startOf(os), false)).sort()).toEqual(['endpoint', 'password', 'username'])
    expect(Object.keys(wrongOf(os, { ...startOf(os), endpoint: 'http://k:5000/v3', username: 'u' }, true))).toEqual([])
  })
  it('checks the forms of values', () => {
    expect(wrongOf(os, { ...startOf(os), endpoint: 'k:5000', username: 'u', password: 'p' }, false)).toHaveProperty('endpoint')
    const oci = platformOf('oracle').fields
    const v = { tenancy: 'ocid1.tenancy.oc1..a', username: 'ocid1.user.oc1..b', private_key: 'k', key_print: '20:3b', region: 'ap-singapore-1' }
    expect(Object.keys(wrongOf(oci, v, false))).toEqual(['key_print'])
  })
  it('sends no empty secret and no spaces', () => {
    expect(bodyOf(os, { ...startOf(os), endpoint: ' http://k ', username: 'u', password: '' })).toEqual({ endpoint: 'http://k', username: 'u', user_domain: 'default', project_domain: 'default', project: 'admin', region: 'RegionOne' })
  })
  it('knows a Ceph cluster', () => {
    const c = newCeph(CEPH_FIELDS)
    expect(c).toMatchObject({ cluster: 'ceph', diff: 'rbd_diff', cephx: true })
    expect(Object.keys(wrongOfCeph(c, false)).sort()).toEqual(['keyring', 'monitors', 'pool', 'username'])
    expect(wrongOfCeph({ ...c, cephx: false, monitors: '10.0.0.1, 10.0.0.2', pool: 'p' }, false)).toEqual({})
    expect(wrongOfCeph({ ...c, cephx: false, monitors: '10.0.0.1;x', pool: 'p' }, false)).toHaveProperty('monitors')
    expect(commas('a，b c,, d')).toBe('a,b,c,d')
  })
})

describe('a policy', () => {
  it('shows its retention in boxes and keeps what has none', () => {
    expect(readRetention('last=3 daily=7 within=30d')).toEqual({ keep: { last: 3, daily: 7 }, rest: 'within=30d' })
    expect(writeRetention({ daily: 7, last: 3, weekly: 0 }, ' within=30d')).toBe('last=3 daily=7 within=30d')
  })
  it('comes back from its form as it was', () => {
    const p = { name: 'x', interval_ms: 900000, cron: '', zone: 'Asia/Shanghai', windows: '', bandwidth: '', retention: 'last=3', compression: 'lz4', encrypt: false, consistency: 'filesystem' as const, rpo_ms: 7200000, tries: 3 }
    expect(policyBody(formOf(p))).toEqual(p)
  })
  it('is checked before it is sent', () => {
    expect(wrongOfPolicy({ ...formOf(), every: '30s' })).toEqual(['name', 'every'])
    expect(wrongOfPolicy({ ...formOf({ name: 'x' }), mode: 'cron', cron: '30 2 * *' })).toEqual(['cron'])
  })
})

describe('a long table', () => {
  it('draws short lists whole', () => expect(windowOf(120, 0, 600)).toEqual({ from: 0, to: 120, above: 0, below: 0 }))
  it('draws what is in sight, and the sum of heights never changes', () => {
    for (const top of [0, 1000, 20000, 46999, 999999]) {
      const w = windowOf(1000, top, 600)
      expect(w.above + w.below + (w.to - w.from) * ROW_PX).toBe(1000 * ROW_PX)
      expect(w.to - w.from).toBeLessThan(80)
      expect(w.to).toBeLessThanOrEqual(1000)
    }
  })
})

describe('charts', () => {
  it('draw series in the order of time', () => {
    const list = [{ at: '2030-01-02T00:00:00Z', age: 2 }, { at: '2030-01-01T00:00:00Z', age: 1 }]
    expect(byTime(list).map((p) => p.age)).toEqual([1, 2])
    const o = rpoOption(list, 3600000, 'en', 'RPO', 'promised') as { series: Array<{ data: number[][]; markLine?: unknown }> }
    expect(o.series[0].data[0][1]).toBe(1)
    expect(o.series[0].markLine).toBeDefined()
    expect((rpoOption(list, 0, 'en', 'RPO', '') as typeof o).series[0].markLine).toBeUndefined()
  })
  it('show the whole of a space only where it is known', () => {
    const of = (free?: number): number => (spaceOption([{ at: '2030-01-01T00:00:00Z', used_bytes: 1, free_bytes: free }], 'u', 'a') as { series: unknown[] }).series.length
    expect([of(5), of()]).toEqual([2, 1])
  })
  it('mark the chosen point', () => {
    const o = timelineOption([{ id: 1, taken: '2030-01-01T00:00:00Z', state: 'ok', held: true }], 1, (x) => x) as { series: Array<{ data: Array<{ symbolSize: number; symbol: string }> }> }
    expect(o.series[0].data[0]).toMatchObject({ symbol: 'diamond', symbolSize: 22 })
  })
})

describe('people', () => {
  it('choose passwords that are not too simple', () => {
    expect(passwordFaults('short', 'short')).toEqual(['short', 'simple'].slice(0, 1))
    expect(passwordFaults('aaaaaaaaaaaa', 'aaaaaaaaaaaa')).toEqual(['simple'])
    expect(passwordFaults('correct horse battery', 'correct horse')).toEqual(['differs'])
    expect(passwordFaults('密码密码很长', '密码密码很长')).toEqual(['simple'])
  })
  it('may what their role may, by the API\'s own words', () => {
    expect(rolesTable({ a: 'hosts:read', b: 'hosts:operate', c: 'hosts:admin', d: '', e: 'session:self' })).toEqual([
      { area: 'hosts', viewer: ['read'], operator: ['read', 'operate'], admin: ['read', 'operate', 'admin'] },
    ])
  })
  it('see what a change changed', () => {
    expect(changesOf({ name: 'a', n: 1 }, { name: 'b', n: 1, x: true })).toEqual([{ name: 'name', was: 'a', now: 'b' }, { name: 'x', was: '', now: 'true' }])
    expect(changesOf(undefined, '{"a":[1]}')).toEqual([{ name: 'a', was: '', now: '[1]' }])
  })
})

describe('a promise', () => {
  const last_point = '2030-01-01T00:00:00Z'
  const at = Date.parse(last_point)
  it('ages by itself, and is missed without anybody asking again', () => {
    const h = { last_point, rpo_ms: 1, rpo_limit_ms: 60000, rpo_state: 'kept' }
    expect([rpoAge(h, at + 1000), rpoAge(h, at + 61000)]).toEqual([1000, 61000])
    expect([rpoTone(h, 1000), rpoTone(h, 61000)]).toEqual(['ok', 'bad'])
  })
  it('is none while a host is paused, and no age while it has no point', () => {
    expect(rpoTone({ rpo_limit_ms: 1, rpo_state: 'none' }, 5)).toBe('')
    expect(rpoAge({ rpo_ms: 0 }, at)).toBeUndefined()
    expect(rpoTone({ rpo_limit_ms: 1, rpo_state: 'missed' }, undefined)).toBe('bad')
  })
  it('shorter than the interval is told before it is sent', () => {
    const f = { ...formOf(), name: 'x', every: '1h', rpo: '20s' }
    expect(wrongOfPolicy(f)).toEqual(['short'])
    expect(wrongOfPolicy({ ...f, mode: 'cron', cron: '0 2 * * *' })).toEqual([])
    expect(wrongOfPolicy({ ...f, rpo: '1h' })).toEqual([])
  })
  it('is drawn over the span that was asked for, with the promise in sight', () => {
    const o = rpoOption([{ at: last_point, age: 4 }], 20000, 'en', 'RPO', '', at - 86400000, at) as { xAxis: object; yAxis: { max: number; interval: number } }
    expect(o.xAxis).toMatchObject({ min: at - 86400000, max: at })
    expect(o.yAxis).toMatchObject({ max: 25000, interval: 5000 })
    expect([stepOf(2250000), stepOf(90000), stepOf(36 * 3600000), stepOf(400 * 86400000)]).toEqual([900000, 15000, 28800000, 10 * 604800000])
  })
})

describe('a recovery', () => {
  const disks = [{ id: 1, size_bytes: 10 }, { id: 2, size_bytes: 5 }]
  const f = (more: Partial<RecoverForm> = {}): RecoverForm => ({ target: 'folder', path: '/srv/x', format: 'qcow2', disk: 1, overwrite: false, ...more })
  it('takes all disks into a folder, which ends with a slash', () => {
    expect(recoverBody(f(), 7, 9)).toEqual({ kind: 'export', host: 7, point: 9, target: 'file', path: '/srv/x/', format: 'qcow2', overwrite: false })
    expect(sizeOf(f(), disks)).toBe(15)
  })
  it('takes one disk to a file or a device', () => {
    expect(recoverBody(f({ target: 'file', path: ' /srv/x.raw ', format: 'raw' }), 7, undefined)).toEqual({ kind: 'export', host: 7, disk: 1, target: 'file', path: '/srv/x.raw', format: 'raw', overwrite: false })
    expect(recoverBody(f({ target: 'device', path: '/dev/vdb' }), 7, undefined)).toEqual({ kind: 'export', host: 7, disk: 1, target: 'device', path: '/dev/vdb', overwrite: false })
    expect(sizeOf(f({ target: 'device' }), disks)).toBe(10)
  })
  it('says what is wrong with a place', () => {
    const wrong = (more: Partial<RecoverForm>): string | undefined => wrongOfPlace(f(more), disks)
    expect([wrong({}), wrong({ path: 'x' }), wrong({ path: '/' }), wrong({ path: '/a/../b' }), wrong({ path: '/dev/vdb' })]).toEqual([undefined, 'path', 'path', 'dots', 'isDevice'])
    expect([wrong({ target: 'file', path: '/a/' }), wrong({ target: 'file', disk: undefined })]).toEqual(['isFolder', 'disk'])
    expect([wrong({ target: 'device' }), wrong({ target: 'device', path: '' }), wrong({ target: 'device', path: '/dev/vdb' })]).toEqual(['device', 'device', undefined])
  })
  it('is offered a place that fits', () => {
    expect([placeOf('folder', 'web1', 'vda', 'raw'), placeOf('file', 'web1', 'vda', 'raw'), placeOf('device', 'web1', 'vda', 'raw')]).toEqual(['/srv/recovered/web1/', '/srv/recovered/web1/vda.raw', ''])
  })
})

describe('a session', () => {
  it('says which browser it is of', () => {
    const chrome = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/129.0.0.0 Safari/537.36'
    expect([browserOf(chrome), browserOf(`${chrome} Edg/129.0`), browserOf('curl/8.1.2'), browserOf('odd thing'), browserOf(undefined)]).toEqual(['Chrome 129, Linux', 'Edge 129, Linux', 'curl 8.1.2', 'odd thing', '-'])
    expect(browserOf('Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15) AppleWebKit/605.1 (KHTML, like Gecko) Version/17.1 Safari/605.1')).toBe('Safari 17, macOS')
  })
})

describe('compression', () => {
  it('is a codec and its level, the usual one unwritten', () => {
    expect(readCodec('lz4:8')).toEqual({ codec: 'lz4', level: 8 })
    expect(readCodec('lz4')).toEqual({ codec: 'lz4', level: 2 })
    expect(readCodec('zstd:9')).toEqual({ codec: 'zstd', level: 9 })
    expect(readCodec('none')).toEqual({ codec: 'none', level: undefined })
    expect(['lz4:8', 'lz4', 'zstd:19', 'none'].map((x) => { const { codec, level } = readCodec(x); return writeCodec(codec, level) })).toEqual(['lz4:8', 'lz4', 'zstd:19', 'none'])
    expect(writeCodec('lz4', 2)).toBe('lz4')
    expect(CODECS.lz4).toEqual({ min: 1, max: 64, def: 2 })
  })
  it('of a policy goes through its form unchanged', () => {
    const p = { name: 'x', interval_ms: 3600000, compression: 'lz4:16' }
    expect(formOf(p)).toMatchObject({ codec: 'lz4', level: 16 })
    expect(policyBody(formOf(p)).compression).toBe('lz4:16')
  })
})

describe('a clock', () => {
  it('is read in a zone, and there is none in a zone that is not', () => {
    const noon = Date.parse('2030-01-01T12:00:00Z')
    expect(clockIn('Asia/Shanghai', noon)).toBe('20:00')
    expect(clockIn('Asia/Nowhere', noon)).toBeUndefined()
  })
})

describe('an entry of the audit log', () => {
  it('names what was changed: a password is an account\'s, not a session\'s', () => {
    expect(partsOf('session.password')).toEqual({ object: 'account', verb: 'password' })
    expect(partsOf('session.totp-on')).toEqual({ object: 'account', verb: 'totp-on' })
    expect(partsOf('session.end')).toEqual({ object: 'session', verb: 'end' })
    expect(partsOf('host.sync')).toEqual({ object: 'host', verb: 'sync' })
    expect(partsOf(undefined)).toEqual({ object: '', verb: '' })
  })
})
