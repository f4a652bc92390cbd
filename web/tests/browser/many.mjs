/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A large site: 5,000 hosts, 20,000 points, 2,000 tasks, 500 alarms, 10,000 entries of the audit log. Each list asks for one
 * page, draws a bounded number of rows, searches at the console; and pages that only stand there ask nothing.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { Browser } from './browser.mjs'
import { Console, PASSWORD, until } from './console.mjs'

const IDLE_MS = Number(process.env.BDR_WEB_IDLE_MS ?? 30000)
const N = { hosts: 5000, points: 20000, jobs: 2000, alarms: 500, audit: 10000 }
const DRAWN_MAX = 160 /* rows of a table in the document, however many there are */
const count = (n) => `WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ${n})`

/** Nothing of it is due, silent or late: what the console does by itself would be events. */
const SEED = (now, platform, repository) => `
BEGIN;
${count(N.hosts)} INSERT INTO host (platform_id, ref, name, addr, os, power, state, created_ms, seen_ms, last_point_ms, label)
  SELECT ${platform}, 'vm-' || i, printf('app-%05d.example.com', (i * 7919) % 100000), printf('10.%d.%d.%d', i / 65536, i / 256 % 256, i % 256),
         CASE i % 3 WHEN 0 THEN 'Rocky Linux 9' WHEN 1 THEN 'Debian 12' ELSE 'Windows Server 2019' END, 'on', 'registered', ${now}, ${now}, ${now} - i * 60000, 'h' || i FROM c;
${count(N.points)} INSERT INTO point (host_id, repository_id, ref, taken_ms, kind, consistency, disk_bytes, stored_bytes)
  SELECT (SELECT min(id) FROM host) + CASE WHEN i <= 2000 THEN 0 ELSE i % 4900 + 1 END, ${repository}, 'p' || i, ${now} - i * 60000, CASE WHEN i % 24 THEN 'incremental' ELSE 'full' END,
         'crash', 1073741824, 10485760 FROM c;
${count(N.jobs)} INSERT INTO job (kind, state, writes, host_id, origin, due_ms, created_ms, started_ms, ended_ms, watched_ms, done_bytes, total_bytes)
  SELECT 'sync', CASE i % 20 WHEN 0 THEN 'failed' ELSE 'done' END, 1, (SELECT min(id) FROM host) + i, 'admin', ${now} - i * 1000, ${now} - i * 1000, ${now} - i * 1000, ${now} - i * 900, ${now} - i * 900, 1000, 1000 FROM c;
${count(N.alarms)} INSERT INTO alarm (kind, severity, object, object_id, text, raised_ms, last_ms, cleared_ms)
  SELECT 'job.failed', CASE i % 2 WHEN 0 THEN 'warning' ELSE 'critical' END, 'job', i, '{}', ${now} - i * 60000, ${now} - i * 60000, ${now} - i * 1000 FROM c;
${count(N.audit)} INSERT INTO audit (seq, at_ms, actor, actor_kind, addr, action, object, object_id, prev_hash, hash)
  SELECT (SELECT max(seq) FROM audit) + i, ${now}, CASE i % 50 WHEN 0 THEN 'operator1' ELSE 'admin' END, 'account', '10.0.0.1', 'host.sync', 'host', CAST(i AS TEXT), zeroblob(32), zeroblob(32) FROM c;
COMMIT;
`

async function large() {
  const c = await Console.start()
  await c.login('admin', c.firstPassword)
  await c.call('PUT', '/v1/session/password', { old: c.firstPassword, password: PASSWORD })
  await c.login('admin', PASSWORD)
  const platform = await c.call('POST', '/v1/platforms', { kind: 'vmware', name: 'vCenter', endpoint: 'https://10.0.0.1', username: 'x', password: 'not-a-real-one' })
  const repository = await c.call('POST', '/v1/repositories', { name: 'store', url: '/srv/store', encrypted: false })
  await c.end()
  execFileSync('python3', ['-c', 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.stdin.read())', join(c.dir, 'console.db')],
    { input: SEED(Date.now(), platform.id, repository.id) })
  await c.begin()
  await c.login('admin', PASSWORD)
  return c
}

export async function manyTests(tally) {
  const c = await large()
  const b = await Browser.open(c.base)
  const p = b.page
  const asked = []
  b.context.on('request', (r) => {
    const url = new URL(r.url())
    if (url.pathname.startsWith('/v1/')) asked.push({ path: url.pathname, query: Object.fromEntries(url.searchParams), at: Date.now() })
  })
  const rows = () => p.locator('.list tbody tr:not(.spacer)').count()
  const lists = (path) => asked.filter((r) => r.path === path)
  try {
    await b.go('/login')
    await p.fill('#login-name', 'admin')
    await p.fill('#login-password', PASSWORD)
    await p.click('button[type=submit]')
    await p.waitForURL('**/dashboard')
    const [first] = (await c.call('GET', '/v1/hosts?limit=1')).items
    const pages = [['/hosts', '/v1/hosts'], ['/jobs', '/v1/jobs'], ['/alarms', '/v1/alarms'], ['/audit', '/v1/audit'], [`/hosts/${first.id}`, '/v1/points']]
    for (const [page, list] of pages)
      await tally.test(`many: ${list} comes by the page`, async () => {
        await b.settle()
        asked.length = 0
        const began = Date.now()
        await p.goto(c.base + page)
        if (page === '/alarms') {
          await p.locator('.el-radio-button').nth(2).click() /* all, not only those that stand */
          await b.settle()
          asked.splice(0, asked.findLastIndex((r) => r.path === list && r.query.state === 'all'))
        }
        await p.waitForSelector('.list tbody tr')
        console.log(`# ${list}: first rows after ${Date.now() - began} ms`)
        await b.settle()
        assert.equal(lists(list).filter((r) => r.query.limit === '100').length, 1, `one page: ${JSON.stringify(lists(list))}`)
        assert.ok((await rows()) > 20 && (await rows()) <= DRAWN_MAX, `${await rows()} rows are drawn`)
        for (let i = 0; i < 8; i++) {
          const before = lists(list).length
          await p.evaluate(() => { const x = document.querySelector('.list-scroll'); x.scrollTop = x.scrollHeight })
          if (i < 4) await until('the next page', () => lists(list).length > before)
          await b.settle()
        }
        assert.ok(lists(list).some((r) => r.query.cursor), 'the next page by its cursor')
        assert.ok((await rows()) <= DRAWN_MAX, `${await rows()} rows are drawn after scrolling`)
        b.said.splice(0)
      })
    await tally.test('many: the console searches and filters', async () => {
      await b.go('/hosts')
      asked.length = 0
      await p.fill('.search input', 'app-07919')
      await p.waitForFunction(() => document.querySelectorAll('.list tbody tr:not(.spacer)').length === 1)
      assert.deepEqual(lists('/v1/hosts').map((r) => r.query.name), ['app-07919'])
      await p.fill('.search input', '')
      await p.waitForFunction(() => document.querySelectorAll('.list tbody tr:not(.spacer)').length > 1)
      const names = () => p.locator('.list tbody tr:not(.spacer) strong').allInnerTexts()
      await p.locator('th .sort').first().click()
      const lowest = (await c.call('GET', '/v1/hosts?sort=name&limit=1')).items[0].name
      await p.waitForFunction((name) => document.querySelector('.list tbody strong')?.innerText === name, lowest)
      assert.equal(lists('/v1/hosts').at(-1).query.sort, 'name')
      assert.equal(await p.locator('th[aria-sort=ascending]').count(), 1)
      assert.deepEqual(await names(), (await names()).sort())
      await b.go('/audit')
      asked.length = 0
      await p.locator('.search input').first().fill('operator1')
      await until('the answer', () => lists('/v1/audit').length)
      assert.equal(lists('/v1/audit')[0].query.actor, 'operator1')
      await b.go('/jobs')
      asked.length = 0
      await p.locator('.list-bar .el-select').first().click()
      await p.locator('.el-select-dropdown__item:visible', { hasText: 'Failed' }).click()
      await until('the answer', () => lists('/v1/jobs').length)
      assert.equal(lists('/v1/jobs')[0].query.state, 'failed')
    })
    await tally.test('many: a moment long before what is listed finds its point', async () => {
      await b.go(`/hosts/${first.id}`)
      const old = (await c.call('GET', `/v1/points?host=${first.id}&to=${encodeURIComponent(new Date(Date.now() - 1500 * 60000).toISOString())}&limit=1`)).items[0]
      const when = await p.evaluate((iso) => { const d = new Date(Date.parse(iso) + 1000); const two = (n) => String(n).padStart(2, '0'); return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}` }, old.taken)
      await p.fill('#pt-moment', when)
      await p.keyboard.press('Enter')
      await p.locator('strong[role=status]').waitFor()
      assert.equal(lists('/v1/points').at(-1).query.limit, '1')
    })
    await tally.test(`many: pages that stand there ask nothing (${IDLE_MS / 1000} s)`, async () => {
      const tabs = []
      for (const path of ['/dashboard', '/hosts', '/jobs', '/alarms', '/audit', '/site/vmware', '/policies']) {
        const tab = await b.context.newPage()
        await tab.goto(c.base + path)
        await tab.waitForSelector('h1')
        await tab.waitForFunction(() => !document.querySelector('.el-skeleton'))
        tabs.push(tab)
      }
      for (const tab of [p, ...tabs]) await tab.waitForSelector('.top[data-live=yes]') /* each of eight tabs is live */
      asked.length = 0
      await p.waitForTimeout(IDLE_MS) /* what is looked at is this span itself */
      assert.deepEqual(asked.filter((r) => r.path !== '/v1/stream').map((r) => r.path), [])
      for (const tab of tabs.slice(0, 6)) await tab.close()
      /* live still, whichever tab had the stream: the first one goes, too */
      await p.goto('about:blank')
      await c.call('POST', '/v1/policies', { name: 'told to the last tab', interval_ms: 3600000 })
      await tabs[6].locator('.list tbody tr', { hasText: 'told to the last tab' }).waitFor()
      assert.ok(asked.filter((r) => r.path === '/v1/stream').length <= 1, 'one stream for all tabs, and one more when its tab went')
    })
  } finally {
    await b.close()
    await c.stop()
  }
}
