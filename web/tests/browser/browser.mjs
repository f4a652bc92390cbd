/* SPDX-License-Identifier: Apache-2.0 */
/* One browser, one page, and what is looked at in each picture: errors, accessibility, words, overflow. */
import { mkdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { BUILD } from './console.mjs'
import { layoutFaults } from './layout.mjs'

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
export const SHOTS = join(BUILD, 'web-shots')
const CHROMIUM = process.env.BDR_CHROMIUM ?? '/usr/bin/chromium'

const COLOURS = ['color-contrast', 'link-in-text-block']

/** Windows that each page is looked at in besides the usual one: what an old projector and a desk have. */
const OTHER_SIZES = [{ width: 1024, height: 768 }, { width: 1920, height: 1080 }]

/** Counts as the lanes of `make check` understand it. */
export class Tally {
  passed = 0
  failed = 0
  skipped = 0
  took = [] /* [ms, name] */
  begun = Date.now()
  ok(name) {
    this.passed++
    console.log(`ok ${name}`)
  }
  bad(name, why) {
    this.failed++
    console.log(`not ok ${name}\n    ${String(why).split('\n').slice(0, 40).join('\n    ')}`)
  }
  async test(name, fn) {
    const begun = Date.now()
    try {
      await fn()
      this.ok(name)
    } catch (e) {
      this.bad(name, e.stack ?? e)
    }
    this.took.push([Date.now() - begun, name])
  }
  end() {
    const s = (ms) => `${(ms / 1000).toFixed(1)} s`
    this.took.sort((a, b) => b[0] - a[0])
    console.log(`# ${s(Date.now() - this.begun)}; the slowest: ${this.took.slice(0, 12).map(([ms, name]) => `${name} ${s(ms)}`).join(', ')}`)
    console.log(`${this.passed} passed, ${this.failed} failed, ${this.skipped} skipped`)
    return this.failed || !this.passed ? 1 : 0
  }
}

export class Browser {
  static async open(base, { lang = 'en', dark = false, width = 1366, height = 768 } = {}) {
    const b = new Browser()
    for (const folder of ['dark', ...OTHER_SIZES.map((o) => String(o.width))]) mkdirSync(join(SHOTS, folder), { recursive: true })
    b.base = base
    b.lang = lang
    b.dark = dark
    b.chromium = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
    b.context = await b.chromium.newContext({
      ignoreHTTPSErrors: true, locale: lang === 'zh' ? 'zh-CN' : 'en-GB', viewport: { width, height }, reducedMotion: 'reduce', colorScheme: dark ? 'dark' : 'light',
      permissions: ['clipboard-read', 'clipboard-write'],
    })
    await b.context.addInitScript(() => {
      window.violations = []
      document.addEventListener('securitypolicyviolation', (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`))
    })
    b.page = await b.context.newPage()
    b.said = []
    b.page.on('console', (m) => {
      if (['error', 'warning'].includes(m.type())) b.said.push(`${m.type()}: ${m.text()}`)
    })
    b.page.on('response', (r) => {
      if (r.status() >= 400) b.said.push(`${r.status()} ${r.request().method()} ${r.url()}`)
    })
    b.page.on('pageerror', (e) => b.said.push(`exception: ${e.message}`))
    b.page.setDefaultTimeout(10000)
    return b
  }

  async close() {
    await this.chromium.close()
  }

  /** Everything that was asked for has been answered and drawn. The stream of events never ends: it does not count. */
  async settle() {
    await this.page.waitForFunction(() => !document.querySelector('.el-skeleton, .el-loading-mask'))
    await this.page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))))
    await this.page.waitForFunction(() => document.getAnimations().every((a) => a.playState !== 'running' || a.effect?.getTiming().iterations === Infinity))
  }

  async go(path) {
    await this.page.goto(this.base + path, { waitUntil: 'load' })
    await this.page.waitForSelector('h1')
    await this.settle()
  }

  /** A picture, and what must hold in every picture. `expect`: what the browser says of a failure that the story makes. */
  async look(name, { expect, words = true } = {}) {
    this.words = words ? this.lang : ''
    await this.settle()
    await this.page.screenshot({ path: join(SHOTS, `${name}.png`) })
    const wrong = this.said.splice(0).filter((s) => !expect?.test(s))
    wrong.push(...(await this.page.evaluate(() => window.violations.splice(0))).map((v) => `policy: ${v}`))
    wrong.push(...(await this.laidOut()))
    wrong.push(...(await this.keysShown()))
    wrong.push(...(await this.axe()))
    if (this.lang === 'en' && !this.dark) wrong.push(...(await this.inTheDark(name)))
    wrong.push(...(await this.otherSizes(name)))
    if (wrong.length) throw new Error([...new Set(wrong)].join('\n'))
  }

  async laidOut() {
    const over = await this.page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    return [...(over > 1 ? [`the page is ${over} px wider than the window`] : []), ...(await layoutFaults(this.page, this.words))]
  }

  async otherSizes(name) {
    const wrong = []
    const usual = this.page.viewportSize()
    /* English words are the longer ones; the story with real programs shows the same pages in both */
    const sizes = !this.words ? [] : this.lang === 'en' ? OTHER_SIZES : OTHER_SIZES.slice(0, 1)
    for (const size of sizes) {
      await this.page.setViewportSize(size)
      await this.settle()
      await this.page.screenshot({ path: join(SHOTS, String(size.width), `${name}.png`) })
      wrong.push(...(await this.laidOut()).map((x) => `${size.width}: ${x}`))
    }
    await this.page.setViewportSize(usual)
    await this.settle()
    return wrong
  }

  /** A text that is nothing but a key: a word is missing. */
  keysShown() {
    return this.page.evaluate(() => {
      const out = []
      const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
      while (walk.nextNode()) {
        const text = walk.currentNode.textContent.trim()
        if (/^[a-z][A-Za-z]+\.[a-z_]+[A-Za-z_]*$/.test(text) && walk.currentNode.parentElement.closest('.mono, pre, code, td, dd, .el-drawer__header') === null) out.push(`a key is shown: ${text}`)
      }
      return out
    })
  }

  /** The same in dark mode: a picture, and colours that can be told apart. */
  async inTheDark(name) {
    if (await this.page.evaluate(() => document.documentElement.classList.contains('dark'))) return []
    await this.page.emulateMedia({ colorScheme: 'dark' })
    try {
      await this.page.waitForFunction(() => document.documentElement.classList.contains('dark'))
      await this.settle()
      await this.page.screenshot({ path: join(SHOTS, 'dark', `${name}.png`) })
      return (await this.axe(COLOURS)).map((x) => `dark: ${x}`)
    } finally {
      await this.page.emulateMedia({ colorScheme: 'light' })
      await this.settle()
    }
  }

  /** All rules, or `rules` only. Colours are the same in all languages: they are looked at in English, in light and dark. */
  async axe(rules) {
    if (!(await this.page.evaluate(() => 'axe' in window))) await this.page.evaluate(AXE)
    const off = !rules && this.lang !== 'en' ? Object.fromEntries(COLOURS.map((r) => [r, { enabled: false }])) : {}
    /* preload: style sheets of other origins, for a rule about turned phones */
    const options = { resultTypes: ['violations'], preload: false, elementRef: false, ...(rules ? { runOnly: rules } : { rules: off }) }
    const found = await this.page.evaluate((o) => window.axe.run(document, o), options)
    return found.violations
      .filter((v) => v.impact === 'serious' || v.impact === 'critical')
      .flatMap((v) => v.nodes.slice(0, 4).map((n) => `axe ${v.impact} ${v.id}: ${n.target.join(' ')} ${n.failureSummary?.split('\n')[1]?.trim() ?? ''}`))
  }
}
