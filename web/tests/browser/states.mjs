/* SPDX-License-Identifier: Apache-2.0 */
/* What is not as usual: a console that is gone for a while, a session that ended, somebody who may only look. */
import assert from 'node:assert/strict'
import { Browser } from './browser.mjs'
import { PASSWORD } from './console.mjs'

async function enter(b, name, password) {
  await b.go('/login')
  await b.page.fill('#login-name', name)
  await b.page.fill('#login-password', password)
  await b.page.click('button[type=submit]')
}

export async function statesTests(c, s, lang, tally) {
  const zh = lang === 'zh'
  const b = await Browser.open(c.base, { lang })
  const p = b.page
  const look = (name, more) => b.look(`${lang}-state-${name}`, more)
  const viewer = `viewer-${lang}`
  try {
    await tally.test(`${lang}/state: a viewer sees no buttons, and is told what they may not`, async () => {
      const { id } = await c.call('POST', '/v1/users', { name: viewer, role: 'viewer', password: 'only for coming in' })
      assert.ok(id)
      await enter(b, viewer, 'only for coming in')
      await p.fill('#login-own', PASSWORD)
      await p.fill('#login-again', PASSWORD)
      await p.click('button[type=submit]')
      await p.waitForURL('**/start')
      await b.go('/hosts')
      await look('viewer-hosts')
      const words = zh ? /^(注册|保护|立即同步|暂停|删除|添加)$/ : /^(Register|Protect|Sync now|Pause|Delete|Add)$/
      for (const path of ['/hosts', `/hosts/${s.hosts.db1.id}`, '/policies', '/repositories', '/gateways', '/site/vmware', '/site/proxies']) {
        await b.go(path)
        await b.settle()
        const shown = (await p.locator('main button:visible, main .link:visible').allInnerTexts()).filter((t) => words.test(t.trim()))
        assert.deepEqual(shown, [], path)
      }
      assert.equal(await p.locator('.side a', { hasText: zh ? '用户' : 'Users' }).count(), 0)
      b.said.splice(0)
      await b.go('/settings/users')
      await p.waitForSelector('.problem')
      assert.match(await p.locator('.problem').first().innerText(), zh ? /没有权限[^]*管理员/ : /Not allowed[^]*admin/)
      await look('viewer-forbidden', { expect: /403/ })
    })
    const endMine = async () => {
      for (const x of (await c.call('GET', '/v1/sessions')).items.filter((x) => /Chrom/.test(x.agent ?? ''))) await c.call('DELETE', `/v1/sessions/${x.id}`)
    }
    await tally.test(`${lang}/state: a session that ended takes nothing that was typed`, async () => {
      await b.context.clearCookies()
      await enter(b, 'admin', PASSWORD)
      await p.waitForURL('**/dashboard')
      await b.go('/policies')
      await p.locator('.page-head button').last().click()
      await p.fill('#po-name', `half filled ${lang}`)
      await endMine()
      await p.locator('.el-dialog__footer .el-button--primary').dispatchEvent('click') /* whether the page has noticed already or not */
      await p.waitForSelector('.relogin #again-password')
      assert.match(await p.locator('.relogin').innerText(), zh ? /会话已结束/ : /The session has ended/)
      b.said.splice(0)
      await look('session-ended', { expect: /401/ })
      await p.fill('#again-password', 'wrong wrong wrong')
      await p.keyboard.press('Enter')
      await p.locator('.relogin [role=alert]').waitFor()
      await p.fill('#again-password', PASSWORD)
      await p.keyboard.press('Enter')
      await p.waitForSelector('.relogin', { state: 'hidden' })
      assert.equal(await p.inputValue('#po-name'), `half filled ${lang}`)
      await p.waitForSelector('.top[data-live=yes]')
      await p.locator('.el-dialog__footer .el-button--primary').click()
      await p.locator('.list tbody tr', { hasText: `half filled ${lang}` }).waitFor()
      await endMine() /* nobody presses anything: the page finds out by itself, and does not take it for a console that is gone */
      await p.waitForSelector('.relogin #again-password', { timeout: 30000 })
      assert.equal(await p.locator('.offline').count(), 0)
      b.said.splice(0)
    })
    await tally.test(`${lang}/state: a link that was sent leads through the login to what it shows`, async () => {
      await b.context.clearCookies()
      await p.evaluate(() => localStorage.removeItem('bdr.in'))
      await p.goto(`${c.base}/hosts?name=vm-0007&hide=os`)
      await p.waitForURL('**/login')
      await p.fill('#login-name', 'admin')
      await p.fill('#login-password', PASSWORD)
      await p.click('button[type=submit]')
      await p.waitForURL('**/hosts?name=vm-0007&hide=os')
      await p.waitForFunction(() => document.querySelectorAll('.list tbody tr:not(.spacer)').length === 1)
      assert.equal(await p.locator('th', { hasText: zh ? '操作系统' : 'Operating system' }).count(), 0)
      b.said.splice(0)
    })
    await tally.test(`${lang}/state: a console that is gone is told, and found again by itself`, async () => {
      await b.go('/policies')
      await p.waitForSelector('.top[data-live=yes]')
      await c.end()
      try {
        await p.waitForSelector('.offline', { timeout: 20000 })
        assert.equal(await p.getAttribute('.offline', 'role'), 'alert')
        await look('console-lost', { expect: /ERR_|Failed to load/ })
      } finally {
        await c.begin()
      }
      await p.waitForSelector('.offline', { state: 'hidden', timeout: 60000 })
      assert.match(await p.locator('.el-message--success').last().innerText(), zh ? /已重新连接/ : /Connected again/)
      await c.call('POST', '/v1/policies', { name: `after the console came back ${lang}`, interval_ms: 3600000 })
      await p.locator('.list tbody tr', { hasText: `came back ${lang}` }).waitFor() /* told by the new stream */
      b.said.splice(0)
    })
  } finally {
    await b.close()
  }
}
