/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator does every day: a link to a list, a list as a file, one thing to many, whose clock it is. */
import { describe, expect, it, vi } from 'vitest'
import { counted, i18n, t } from '@/i18n'
import { fromQuery, toQuery } from '@/lib/address'
import { nameOf } from '@/lib/audit'
import { countOf, doAll } from '@/lib/bulk'
import { byteStep, spaceOption } from '@/lib/charts'
import { allOf, csvOf, fileName } from '@/lib/csv'
import { retentionText } from '@/lib/policy'
import { fullTime, localTimes, time, zoneText } from '@/lib/fmt'
import { keyCommand } from '@/lib/share'
import { titleOf } from '@/lib/title'

describe('the address of a list', () => {
  const usual = { name: '', state: 'any' }
  it('says what is not as usual, and nothing else', () => {
    expect(toQuery({}, usual, usual)).toEqual({})
    expect(toQuery({ state: 'gone', other: 'x' }, { name: 'db', state: 'any' }, usual)).toEqual({ name: 'db', other: 'x' })
  })
  it('comes back from a link', () => {
    expect(fromQuery(toQuery({}, { name: 'a&b=c', state: 'gone' }, usual), usual)).toEqual({ name: 'a&b=c', state: 'gone' })
  })
  it('takes only values that there are', () => {
    expect(fromQuery({ state: 'no-such', name: ['a', 'b'] }, usual, { state: ['any', 'gone'] })).toEqual(usual)
  })
})

describe('a list as a file', () => {
  const columns = [{ label: 'Name', of: (r: { n: unknown }) => r.n as string }]
  it('is what a spreadsheet reads', () => {
    expect(csvOf(columns, [{ n: '主机 1' }, { n: 'a, "b"\nc' }, { n: undefined }, { n: -5 }])).toBe('\uFEFFName\r\n主机 1\r\n"a, ""b""\nc"\r\n\r\n-5\r\n')
  })
  it('gives a spreadsheet no formula', () => {
    expect(csvOf(columns, [{ n: '=HYPERLINK("http://x")' }, { n: '@a' }, { n: '-1+2' }]).split('\r\n').slice(1, 4)).toEqual(['"\'=HYPERLINK(""http://x"")"', "'@a", "'-1+2"])
  })
  it('walks all pages of the console', async () => {
    const asked: unknown[] = []
    const seen = vi.fn()
    const rows = await allOf(async (cursor, limit) => {
      asked.push([cursor, limit])
      return cursor ? { items: [3] } : { items: [1, 2], next: 'c' }
    }, seen, 2)
    expect(rows).toEqual([1, 2, 3])
    expect(asked).toEqual([[undefined, 2], ['c', 2]])
    expect(seen.mock.calls).toEqual([[2], [3]])
  })
  it('has a name with its time', () => expect(fileName('hosts', new Date(2026, 10, 3, 4, 5))).toBe('hosts-20261103-0405.csv'))
})

describe('one thing done to many', () => {
  const act = async (n: number): Promise<void> => {
    if (n === 2) throw new Error('it burns')
  }
  it('goes on after a failure, and tells of each', async () => {
    const out = await doAll([1, 2, 3, 4], { act, why: (e) => (e as Error).message, skip: (n) => (n === 3 ? 'not now' : undefined) })
    expect(out).toEqual([{ item: 1, how: 'done' }, { item: 2, how: 'failed', why: 'it burns' }, { item: 3, how: 'skipped', why: 'not now' }, { item: 4, how: 'done' }])
    expect([countOf(out, 'done'), countOf(out, 'skipped'), countOf(out, 'failed')]).toEqual([2, 1, 1])
  })
  it('can be stopped, and says what was not tried', async () => {
    let n = 0
    const out = await doAll([1, 5, 6], { act, why: String, step: (k) => (n = k), stop: () => n >= 1, stopped: 'stopped' })
    expect(out.map((o) => o.how)).toEqual(['done', 'skipped', 'skipped'])
  })
})

describe('words and numbers', () => {
  it('counts one as one', () => {
    expect(counted('1 active alarm[s]')).toBe('1 active alarm')
    expect(counted('0 machine[s] [does,do] not')).toBe('0 machines do not')
    expect(counted('1 machine[s] [does,do] not, 2 host[s]')).toBe('1 machine does not, 2 hosts')
    expect(t('policy.used', { n: 1 })).toBe('1 host uses it.')
    expect(t('policy.used', { n: 3 })).toBe('3 hosts use it.')
    i18n.global.locale.value = 'zh'
    expect(t('policy.used', { n: 1 })).toBe('有 1 台主机正在使用。')
    i18n.global.locale.value = 'en'
  })
  it('says what a policy keeps', () => {
    const words = (r: string): string => ({ last: 'Newest', daily: 'Daily' })[r] ?? r
    expect(retentionText('last=24 daily=7 within=30d', words, ', ')).toBe('Newest 24, daily 7, within=30d')
    expect(retentionText('', words, ', ')).toBeUndefined()
  })
  it('says whose clock it is', () => {
    const winter = Date.UTC(2026, 0, 5)
    expect(zoneText(winter, 'Asia/Shanghai')).toBe('Asia/Shanghai (UTC+08:00)')
    expect(zoneText(winter, 'America/St_Johns')).toBe('America/St_Johns (UTC-03:30)')
    expect(zoneText(winter, 'UTC')).toBe('UTC (UTC+00:00)')
    expect(fullTime(undefined)).toBe('-')
    expect(fullTime(winter)).toMatch(/^2026-01-0\d \d\d:\d\d:\d\d .+ \(UTC[+-]\d\d:\d\d\)$/)
  })
  it('puts the alarms and what it is about into the tab', () => {
    expect(titleOf('Hosts', 'db1', 4)).toBe('(4) db1 · Hosts · OpenBDR')
    expect(titleOf('', '', 0)).toBe('OpenBDR')
  })
  it('names what an entry of the audit log is about', () => {
    expect(nameOf('{"id":3,"name":"web1"}')).toBe('web1')
    expect(nameOf({ id: 3 })).toBe('')
    expect(nameOf('not json')).toBe('')
  })
  it('marks space in round numbers of the units that are shown', () => {
    const GiB = 2 ** 30
    for (const max of [1500, 3 * 2 ** 20, 900 * GiB, 1100 * GiB, 3.64 * 1024 * GiB, 9 * 1024 * GiB, 700 * 1024 * GiB]) {
      const step = byteStep(max)
      const n = Math.ceil(max / step)
      expect(n, `${max}`).toBeGreaterThanOrEqual(2)
      expect(n, `${max}`).toBeLessThanOrEqual(8)
      let unit = 1
      while (step / unit >= 1024) unit *= 1024
      expect(Number.isInteger(step / unit), `${max}: ${step / unit}`).toBe(true)
    }
    const axis = spaceOption([{ at: '2026-01-01T00:00:00Z', used_bytes: 1.4e12, free_bytes: 2.6e12 }], 'used', 'all').yAxis as { interval: number; max: number }
    expect([axis.interval, axis.max]).toEqual([1024 * GiB, 4 * 1024 * GiB])
  })
})

describe('the key of an opened point', () => {
  it('goes into a file of its owner alone, as the address names it', () => {
    expect(keyCommand(`share-7:${'0f'.repeat(32)}`)).toBe(`umask 077; echo 'share-7:${'0f'.repeat(32)}' >share-7.psk`)
  })
  it('is nothing for files, nor when it is not what it should be', () => {
    expect(keyCommand(undefined)).toBe('')
    expect(keyCommand("share-7:00'; reboot; '")).toBe('')
  })
})

describe('times in the console\'s sentences', () => {
  it('are the reader\'s', () => {
    const here = time(Date.parse('2026-11-23T13:23:00Z')).slice(0, 16)
    expect(localTimes('its point is of 2026-11-23 13:23 UTC; 20 s were promised')).toBe(`its point is of ${here}; 20 s were promised`)
    expect(localTimes('2026-99-23 13:23 UTC')).toBe('2026-99-23 13:23 UTC')
  })
})
