/* SPDX-License-Identifier: Apache-2.0 */
/* What an operator does every day: links to lists, lists as files, many hosts at once, the search key, a report on paper. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SHOTS } from './browser.mjs'

export function flowStories(b, c, s, lang, story) {
  const zh = lang === 'zh'
  const say = (en, cn) => (zh ? cn : en)
  const p = b.page
  const dialog = '.el-dialog:visible'
  const query = () => Object.fromEntries(new URL(p.url()).searchParams)
  const rows = '.list tbody tr:not(.spacer)'
  const rowsAre = (n) => p.waitForFunction(([sel, want]) => document.querySelectorAll(sel).length === want, [rows, n])

  story('flow-address', async (look) => {
    await b.go('/hosts')
    await p.fill('.search input', 'vm-001')
    await rowsAre(10)
    await Promise.all([p.waitForResponse((r) => /\/v1\/hosts\?.*sort=name/.test(r.url())), p.locator('th .sort').first().click()])
    await rowsAre(10)
    await p.waitForURL('**/hosts?*sort=name*')
    await p.getByText(say('Columns', '显示列')).click()
    await p.locator('.el-popover:visible .el-checkbox', { hasText: 'RPO' }).click()
    assert.equal(await p.locator('th', { hasText: 'RPO' }).count(), 0)
    await look()
    assert.deepEqual(query(), { name: 'vm-001', sort: 'name', hide: 'rpo' })
    await p.reload()
    await rowsAre(10)
    assert.equal(await p.inputValue('.search input'), 'vm-001')
    assert.equal(await p.locator('th', { hasText: 'RPO' }).count(), 0)
    assert.equal(await p.locator('th[aria-sort=ascending]').count(), 1)
    await b.go('/jobs?state=failed&kind=no-such-kind')
    await p.waitForSelector(rows)
    assert.deepEqual(await p.locator(`${rows} .state`).evaluateAll((all) => [...new Set(all.map((e) => e.innerText))]), [say('Failed', '失败')])
    await p.locator('.side a', { hasText: say('Tasks', '任务') }).click()
    await p.waitForFunction(([sel]) => [...document.querySelectorAll(`${sel} .state`)].some((e) => !/Failed|失败/.test(e.innerText)), [rows])
    assert.deepEqual(query(), {})
  })
  for (const [name, path, columns, text] of [
    ['hosts', '/hosts?name=vm-00', ['Name', '名称'], /vm-0099/], ['tasks', '/jobs', ['#', '#'], /erp-application/], ['audit', '/audit', ['#', '#'], /user\.add/],
    ['points', undefined, ['#', '#'], /db1/], ['alarms', '/alarms?state=all', ['Severity', '级别'], /OpenStack prod/],
  ])
    story(`flow-csv-${name}`, async () => {
      await b.go(path ?? `/hosts/${s.hosts.db1.id}`)
      await p.waitForSelector(rows)
      const [file] = await Promise.all([p.waitForEvent('download'), p.getByText(say('Export as CSV', '导出 CSV')).first().click()])
      assert.match(file.suggestedFilename(), new RegExp(`^${name}-\\d{8}-\\d{4}\\.csv$`))
      const lines = readFileSync(await file.path(), 'utf8').split('\r\n')
      assert.ok(lines[0].startsWith(`\uFEFF${zh ? columns[1] : columns[0]}`), lines[0])
      assert.ok(lines.some((l) => text.test(l)), lines.slice(0, 3).join('|'))
      if (name === 'hosts') assert.equal(lines.filter(Boolean).length, 101, 'the header and the hundred that the search finds')
      if (name === 'audit') assert.ok(lines.filter(Boolean).length - 1 >= (await c.call('GET', '/v1/audit?limit=1')).items[0].seq - 5, 'all of it, not a page')
    })
  story('flow-bulk', async (look) => {
    await b.go('/hosts')
    for (const name of ['db1', 'erp-application-server-in-the-old-building', 'vm-0001'])
      await p.locator(rows, { has: p.getByText(name, { exact: true }) }).locator('.el-checkbox').click()
    await p.locator('.list-bar button', { hasText: say('Pause', '暂停') }).click()
    await p.waitForSelector(`${dialog} .bulk`)
    const told = await p.locator(`${dialog} .bulk`).innerText()
    assert.match(told, say(/2 done, 1 skipped, 0 failed/, /成功 2，跳过 1，失败 0/))
    assert.match(told, /vm-0001/)
    assert.ok((await p.locator(`${dialog} .bulk tbody td`).last().innerText()).length > 8, 'with the reason')
    await look()
    await p.locator(`${dialog} .el-dialog__footer button`).click()
    for (const name of ['db1', 'erp-application-server-in-the-old-building']) {
      const h = await c.call('GET', `/v1/hosts/${s.hosts[name].id}`)
      assert.equal(h.paused, true, name)
      await c.call('POST', `/v1/hosts/${h.id}/resume`)
    }
    /* one that the console refuses does not stop the others */
    await b.go('/hosts')
    for (const name of ['db1', 'web1']) await p.locator(rows, { has: p.getByText(name, { exact: true }) }).locator('.el-checkbox').click()
    await p.route(`**/v1/hosts/${s.hosts.db1.id}/protection`, (r) => r.fulfill({ status: 409, contentType: 'application/problem+json', body: JSON.stringify({ code: 'CONFLICT', detail: 'tasks of this host have not ended' }) }))
    await p.locator('.list-bar button', { hasText: say('Protect', '保护') }).first().click()
    await p.waitForSelector(dialog)
    assert.match(await p.locator(`${dialog} .el-dialog__title`).innerText(), say(/Change the protection of 2 hosts/, /修改 2 台主机的保护/))
    for (let i = 0; i < 2; i++) await p.locator(`${dialog} .el-dialog__footer .el-button--primary`).click()
    await p.locator(`${dialog} .el-checkbox`, { hasText: say('Start the first sync', '首次同步') }).click()
    await p.locator(`${dialog} .el-dialog__footer .el-button--primary`).click()
    await p.waitForSelector(`${dialog} .bulk`)
    assert.match(await p.locator(`${dialog} .bulk`).innerText(), say(/1 done, 0 skipped, 1 failed[^]*db1/, /成功 1，跳过 0，失败 1[^]*db1/))
    await p.unroute(`**/v1/hosts/${s.hosts.db1.id}/protection`)
    b.said.splice(0)
  })
  story('flow-slash', async () => {
    await b.go('/audit')
    await p.keyboard.press('/')
    assert.ok(await p.evaluate(() => document.activeElement.closest('.search')), 'the search of this list')
    await p.keyboard.type('a/b')
    assert.equal(await p.inputValue('.search input >> nth=0'), 'a/b', 'in a field it is a letter')
    await b.go('/policies')
    await p.keyboard.press('/')
    await p.waitForURL('**/hosts')
    await p.waitForFunction(() => document.activeElement.closest('.search'))
  })
  story('flow-title', async () => {
    await b.go(`/hosts/${s.hosts.db1.id}`)
    const n = await c.call('GET', '/v1/summary')
    assert.equal(await p.title(), `(${n.alarms_critical + n.alarms_warning}) db1 · ${say('Hosts', '主机')} · OpenBDR`)
    await b.go('/policies')
    assert.match(await p.title(), new RegExp(`^\\(\\d+\\) ${say('Policies', '策略')} · OpenBDR$`))
  })
  story('flow-zone', async () => {
    await b.go('/hosts?name=db1')
    const zone = await p.evaluate(() => Intl.DateTimeFormat().resolvedOptions().timeZone)
    assert.ok((await p.locator('.side .zone').innerText()).includes(zone))
    await p.waitForSelector(rows)
    assert.match(await p.locator(`${rows} td [title]`).first().getAttribute('title'), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .*UTC[+-]\d\d:\d\d/)
  })
  story('flow-copied', async () => {
    await b.go('/site/agent')
    const button = p.locator('.copy .el-button').first()
    await button.click()
    await p.locator('.copy .el-button', { hasText: say('Copied', '已复制') }).first().waitFor()
    assert.match(await p.locator('.copy [role=status]').first().innerText(), say(/Copied/, /已复制/), 'told to a screen reader')
  })
  story('flow-report', async (look) => {
    await b.go(`/hosts/${s.hosts.db1.id}`)
    await p.locator('.page-head a', { hasText: say('Report', '报告') }).click()
    await p.waitForSelector('.report .facts')
    assert.match(await p.locator('.report').innerText(), say(/Usable recovery points[^]*31 of 31/, /可用恢复点[^]*31 \/ 31/))
    await look()
    await p.evaluate(() => void (window.print = () => (window.printed = true)))
    await p.locator('.page-head button', { hasText: say('Print', '打印') }).click()
    assert.equal(await p.evaluate(() => window.printed), true)
    await p.emulateMedia({ media: 'print', colorScheme: 'dark' })
    try {
      await p.waitForFunction(() => document.documentElement.classList.contains('dark'))
      for (const part of ['.top', '.side', '.page-head .actions']) assert.equal(await p.locator(part).first().isVisible(), false, `${part} is not on paper`)
      assert.equal(await p.locator('.report .facts').isVisible(), true)
      assert.equal(await p.evaluate(() => getComputedStyle(document.querySelector('.report .card')).backgroundColor), 'rgb(255, 255, 255)', 'paper is white')
      const [ink, under] = await p.locator('.report th').first().evaluate((e) => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor].map((c) => c.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0)))
      assert.ok(under > 690 && ink < 300, `a table's head can be read: ${ink} on ${under}`)
      await p.pdf({ path: join(SHOTS, `${lang}-report.pdf`), format: 'A4' })
      await p.screenshot({ path: join(SHOTS, `${lang}-report-paper.png`), fullPage: true })
    } finally {
      await p.emulateMedia({ media: null, colorScheme: 'light' })
    }
  })
}
