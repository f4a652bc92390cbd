/* SPDX-License-Identifier: Apache-2.0 */
/* By keyboard alone: the guides, dialogs and menus, with the place where one is always to be seen, and given back in the end. */
import assert from 'node:assert/strict'

/** What the keyboard is at, and whether that shows: an outline, a shadow or a border that the same thing has not without it. */
const AT = async () => {
  const drawn = () => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))
  await drawn()
  const el = document.activeElement
  const box = el.closest('.el-input__wrapper, .el-select__wrapper, .el-checkbox, .el-radio-button, .el-radio, .el-textarea') ?? el
  const parts = [el, box, ...box.querySelectorAll('.el-checkbox__inner, .el-radio__inner, .el-radio-button__inner, .el-textarea__inner')]
  const look = () => parts.map((x) => { const c = getComputedStyle(x); return [c.outlineStyle === 'none' || parseFloat(c.outlineWidth) === 0 ? '' : c.outline, c.boxShadow, c.borderColor, c.backgroundColor].join() }).join()
  const file = el.type === 'file' ? el.previousElementSibling : undefined
  const now = file ? getComputedStyle(file).outlineStyle : look()
  const r = (file ?? box).getBoundingClientRect()
  const out = {
    id: el.id, tag: el.tagName, text: (el.innerText || el.getAttribute('aria-label') || '').trim().slice(0, 60), label: el.getAttribute('aria-label') ?? '',
    inside: !!el.closest('.el-dialog, .el-drawer, .el-message-box'), body: el === document.body,
    seen: r.width > 0 && r.height > 0 && r.bottom > 0 && r.top < innerHeight,
  }
  el.blur()
  await drawn()
  const then = file ? getComputedStyle(file).outlineStyle : look()
  el.focus({ preventScroll: true, focusVisible: true })
  await drawn()
  return { ...out, marked: now !== then }
}

export class Keys {
  constructor(b) {
    this.b = b
    this.page = b.page
  }
  press(key) {
    return this.page.keyboard.press(key)
  }
  at() {
    return this.page.evaluate(() => ({ id: document.activeElement.id, text: (document.activeElement.innerText || document.activeElement.getAttribute('aria-label') || '').trim() }))
  }
  /** Tab, until the keyboard is at what is meant: a "#id" or a text. Each stop on the way has to be in sight and marked. */
  async to(what, { back = false, inside = false, max = 80 } = {}) {
    const way = []
    for (let i = 0; i < max; i++) {
      await this.press(back ? 'Shift+Tab' : 'Tab')
      const at = await this.page.evaluate(AT)
      way.push(at.id || at.text || at.tag)
      if (!at.body) {
        assert.ok(at.seen, `out of sight: ${JSON.stringify(at)}`)
        assert.ok(at.marked, `nothing shows where the keyboard is: ${JSON.stringify(at)}`)
      }
      if (inside) assert.ok(at.inside, `the keyboard left the dialog: ${JSON.stringify(at)} after ${way.join(' > ')}`)
      if (what.startsWith('#') ? at.id === what.slice(1) : at.text === what || at.label === what) return
    }
    throw new Error(`the keyboard does not come to ${what}: ${way.join(' > ')}`)
  }
  async type(field, text) {
    await this.to(field, { inside: true })
    await this.page.keyboard.type(text)
  }
  /** Something that has to come true, else what the keyboard is at. */
  async now(what, fn, arg) {
    try {
      await this.page.waitForFunction(fn, arg, { timeout: 5000 })
    } catch {
      throw new Error(`${what}: the keyboard is at ${JSON.stringify(await this.at())}`)
    }
  }
  gone(selector) {
    return this.page.waitForSelector(selector, { state: 'hidden' })
  }
}

export function keyboardStories(b, c, s, lang, story) {
  const zh = lang === 'zh'
  const say = (en, cn) => (zh ? cn : en)
  const k = new Keys(b)
  const p = b.page
  const dialog = '.el-dialog:visible'

  story('keyboard-platform', async () => {
    await b.go('/site/vmware')
    await k.to(say('Add', '添加'))
    await k.press('Enter')
    await p.waitForSelector(`${dialog} .copy`)
    await b.settle()
    await k.press('Escape')
    await k.gone('.el-dialog')
    await k.now('back at the button', (text) => document.activeElement.innerText.trim() === text, say('Add', '添加'))
    await k.press('Enter')
    await p.waitForSelector(`${dialog} .copy`)
    await b.settle()
    await k.to(say('Copy', '复制'), { inside: true })
    await k.press('Enter')
    await k.now('copied', (text) => document.activeElement.innerText.trim() === text, say('Copied', '已复制'))
    await k.to(say('Next', '下一步'), { inside: true })
    await k.press('Enter')
    await p.waitForSelector('#f-endpoint')
    await k.now('in the new step', () => document.activeElement.closest('.el-dialog'))
    await k.type('#f-endpoint', 'https://10.3.0.1:443')
    await k.type('#f-username', 'backup')
    await k.type('#f-password', 'not-a-real-one')
    await k.to('#f-proxies', { inside: true })
    await k.press('Enter')
    await p.waitForSelector('.el-select-dropdown__item:visible')
    await k.press('ArrowDown')
    await k.press('Enter')
    await k.press('Escape') /* closes the list, not the dialog */
    await k.gone('.el-select-dropdown__item')
    assert.equal(await p.locator(dialog).count(), 1, 'the dialog stays')
    assert.equal(await p.locator(`${dialog} .el-select .el-tag`).count(), 1, 'a proxy was chosen')
    await k.to(say('Advanced settings', '高级设置'), { inside: true })
    await k.press('Enter')
    await k.type('#f-name', `by keyboard ${lang}`)
    await k.to(say('OK', '确定'), { inside: true })
    await k.press('Enter')
    await p.waitForSelector(`${dialog} .facts`)
    await k.now('in the last step', () => document.activeElement.closest('.el-dialog'))
    await k.to(say('Finish', '完成'), { inside: true })
    await k.press('Enter')
    await k.gone('.el-dialog')
    await k.now('back at the button', (text) => document.activeElement.innerText.trim() === text, say('Add', '添加'))
    assert.ok((await c.call('GET', '/v1/platforms?kind=vmware')).items.some((x) => x.name === `by keyboard ${lang}`), 'it was stored')
  })

  story('keyboard-protect', async () => {
    await b.go(`/hosts/${s.hosts.db1.id}`)
    await k.to(say('Change protection', '修改保护'))
    await k.press('Enter')
    await p.waitForSelector(`${dialog} table`)
    await b.settle()
    for (let i = 0; i < 20; i++) { /* to the first disk: off and on again */
      await k.press('Tab')
      if (await p.evaluate(() => document.activeElement.type === 'checkbox')) break
    }
    await k.press('Space')
    assert.equal(await p.evaluate(() => document.activeElement.checked), false)
    await k.press('Space')
    assert.equal(await p.evaluate(() => document.activeElement.checked), true)
    await k.to(say('Next', '下一步'), { inside: true })
    await k.press('Enter')
    await k.to('#pr-repo', { inside: true })
    await k.press('Enter')
    await p.waitForSelector('.el-select-dropdown__item:visible')
    await k.press('Escape')
    await k.gone('.el-select-dropdown__item')
    await k.to('#pr-plan', { inside: true })
    await k.to(say('Next', '下一步'), { inside: true })
    await k.press('Enter')
    await p.waitForSelector(`${dialog} .facts`)
    await k.to(say('Back', '上一步'), { inside: true })
    await k.press('Enter')
    await p.waitForSelector('#pr-repo')
    await k.to(say('Next', '下一步'), { inside: true })
    await k.press('Enter')
    await k.to(say('Protect', '保护'), { inside: true })
    await k.press('Enter')
    await k.gone('.el-dialog')
    await p.waitForSelector('.el-message--success')
    await k.now('back at the button', (text) => document.activeElement.innerText.trim() === text, say('Change protection', '修改保护'))
  })

  story('keyboard-recover', async () => {
    await b.go(`/hosts/${s.hosts.db1.id}`)
    await k.to(say('Recover', '恢复'))
    await k.press('Enter')
    await p.waitForSelector(`${dialog} .list tbody input`)
    await b.settle()
    for (let i = 0; i < 20; i++) {
      await k.press('Tab')
      if (await p.evaluate(() => document.activeElement.type === 'radio')) break
    }
    await k.press('Space')
    await k.press('ArrowDown')
    await k.now('the next point is chosen', () => document.querySelectorAll('.el-dialog .list tbody tr')[1].classList.contains('chosen'))
    await k.to(say('Next', '下一步'), { inside: true })
    await k.press('Enter')
    await k.to('#rc-path', { inside: true })
    await k.press('Control+A')
    await p.keyboard.type(`/srv/restore/by-keyboard-${lang}`)
    await k.to(say('Next', '下一步'), { inside: true })
    await k.press('Enter')
    await p.waitForSelector(`${dialog} .facts`)
    await k.to(say('Recover', '恢复'), { inside: true })
    await k.press('Enter')
    await p.waitForURL('**/recoveries')
    assert.ok((await c.call('GET', '/v1/recoveries')).items.some((x) => x.path?.includes(`by-keyboard-${lang}`)), 'it was asked for')
  })

  story('keyboard-menus', async () => {
    await b.go('/site/proxies')
    await k.to(say('More', '更多操作'))
    await k.press('Enter')
    await p.waitForSelector('.el-dropdown-menu:visible')
    await k.press('Escape')
    await k.gone('.el-dropdown-menu')
    await k.now('back at the menu', (text) => document.activeElement.innerText.trim() === text, say('More', '更多操作'))
    await k.press('Enter')
    await p.waitForSelector('.el-dropdown-menu:visible')
    await k.now('in the menu', () => document.activeElement.closest('.el-dropdown-menu'))
    await k.press('Enter')
    await p.waitForSelector('#p-timeout')
    await b.settle()
    await k.to('#p-disks', { inside: true })
    await k.press('Control+A')
    await p.keyboard.type('151')
    await k.press('Tab')
    await p.waitForSelector(`${dialog} .el-alert--warning`)
    await k.press('Escape')
    await k.gone('.el-dialog')
    await k.now('back at the row', (text) => document.activeElement.innerText.trim() === text, say('More', '更多操作'))
  })

  story('keyboard-why', async () => {
    await b.go('/site/vmware')
    for (let i = 0; i < 60; i++) {
      await k.press('Tab')
      if (await p.evaluate(() => document.activeElement.getAttribute('aria-disabled') === 'true')) break
    }
    const why = await p.evaluate(() => document.activeElement.getAttribute('aria-description'))
    assert.ok(why, 'a button that is off says why')
    await p.locator('.el-popper:visible', { hasText: why }).waitFor()
    await k.press('Enter')
    assert.equal(await p.locator('.el-message-box:visible').count(), 0, 'and does nothing')
  })

  story('keyboard-row', async () => {
    await b.go('/jobs')
    await p.waitForSelector('.list tbody tr')
    for (let i = 0; i < 60; i++) {
      await k.press('Tab')
      if (await p.evaluate(() => document.activeElement.closest('tbody tr'))) break
    }
    await k.press('Enter')
    await p.waitForSelector('.el-drawer .job')
    await b.settle()
    await k.press('Escape')
    await k.gone('.el-drawer')
    await k.now('back in the row', () => document.activeElement.closest('tbody tr'))
  })

  story('keyboard-question', async () => {
    await b.go('/settings/names')
    await k.to(say('Delete', '删除'))
    await k.press('Enter')
    await p.waitForSelector('.el-message-box:visible')
    await b.settle()
    await k.to(say('Cancel', '取消'), { inside: true })
    await k.press('Escape')
    await k.gone('.el-message-box')
    await k.now('back at the button', (text) => document.activeElement.innerText.trim() === text, say('Delete', '删除'))
  })
}
