/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a picture of any page must not show: text that is cut off and told nowhere, controls that lie on each other or are of
 * different heights, wrapped labels, words of the other language, times and values as programs write them, wrong plurals.
 */

/** Names of this test's site, which are data: they are in one language whatever the page is in. */
const DATA = [
  '王小明', 'Every 15 minutes, a month', 'after the console came back', 'by keyboard', 'half filled', 'Alex Auditor', 'DR store 1', 'FusionCompute 8.6',
  /* what the simulated platforms of the test say */
  'This version has no driver for that platform yet', 'Keystone refused the user admin: the password is not right', 'It has a shared disk',
  /* commands of the manual, as one types them */
  'cat /etc/ceph/ceph.client.cinder.keyring', 'ceph osd ls pools', 'openstack volume type list', 'vssadmin list shadows',
]

/** Runs in the page. `lang`: what its words should be; '' when people wrote some of them in another. Returns what is wrong. */
export function faultsOf({ data, lang }) {
  const zh = lang !== 'en'
  const out = new Set()
  const dialog = [...document.querySelectorAll('.el-overlay')].filter((e) => e.offsetParent !== null || getComputedStyle(e).display !== 'none').pop()
  const scope = dialog ?? document.body
  const brief = (e) => `${e.tagName.toLowerCase()}${e.id ? `#${e.id}` : ''}${typeof e.className === 'string' && e.className ? `.${e.className.trim().split(/\s+/).slice(0, 3).join('.')}` : ''} "${(e.innerText ?? '').trim().slice(0, 60).replace(/\s+/g, ' ')}"`
  const seen = (e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && e.getClientRects().length > 0
  const inside = (r, x, y) => x >= r.left && x <= r.right && y >= r.top && y <= r.bottom
  const lines = (e) => {
    const r = document.createRange()
    r.selectNodeContents(e)
    const tops = [...r.getClientRects()].filter((x) => x.width > 1 && x.height > 1).map((x) => x.top + x.height / 2).sort((a, b) => a - b)
    let n = tops.length ? 1 : 0
    for (let i = 1; i < tops.length; i++) if (tops[i] - tops[i - 1] > 9) n++
    return n
  }

  /* cut off: more text than room, and nothing that says the rest */
  for (const e of scope.querySelectorAll('*')) {
    if (!seen(e) || e.closest('.el-switch, .el-checkbox__input, .el-radio__input, svg, canvas, .skip')) continue
    const css = getComputedStyle(e)
    const input = e.tagName === 'INPUT' && ['text', 'number', 'search'].includes(e.type)
    if (!input && (css.overflowX === 'visible' || css.overflowX === 'auto' || css.overflowX === 'scroll')) continue
    if (e.scrollWidth <= e.clientWidth + 1 || e.clientWidth < 2) continue
    if (input ? !e.value && !e.placeholder : !e.innerText?.trim()) continue
    e.dispatchEvent(new MouseEvent('mouseover', { bubbles: true })) /* lists say it when one points at it */
    const says = e.closest('[title]:not([title=""])') ?? e.querySelector('[title]:not([title=""])')
    if (!says) out.add(`cut off: ${brief(e)}${input ? ` ${e.value || e.placeholder}` : ''} ${e.scrollWidth} > ${e.clientWidth}`)
  }
  /* labels that wrap */
  for (const e of scope.querySelectorAll('button.el-button, .el-radio-button__inner, .state, .tops a, .el-step__title, .list th, .tool.lang, .brand, .el-tag, .link.one, .facts dt'))
    if (seen(e) && lines(e) > 1) out.add(`wrapped: ${brief(e)}`)
  /* a number and its unit are one word */
  for (const e of scope.querySelectorAll('td, dd')) if (seen(e) && /^[\d.,]+ ([KMGTP]?i?B|ms|s|min|h|d)(\/s)?$/.test(e.innerText.trim()) && lines(e) > 1) out.add(`wrapped: ${brief(e)}`)
  /* buttons beside each other are of one height and on one line's middle */
  const rows = new Map()
  for (const e of scope.querySelectorAll('.el-button, .el-input__wrapper, .el-select__wrapper, .el-radio-group')) {
    if (!seen(e) || e.closest('.el-radio-group .el-radio, .copy, .el-textarea')) continue
    const bar = e.closest('.list-bar, .actions, .el-dialog__footer, .row')
    if (bar) rows.set(bar, [...(rows.get(bar) ?? []), e])
  }
  for (const [bar, all] of rows) {
    const heights = new Set(all.filter((e) => e.closest('.list-bar, .actions, .el-dialog__footer, .row') === bar).map((e) => Math.round(e.getBoundingClientRect().height)))
    if (heights.size > 1) out.add(`heights ${[...heights].join(', ')} in ${brief(bar)}`)
  }
  /* controls on each other */
  const controls = [...scope.querySelectorAll('button, a[href], input, .el-select__wrapper, .state, .el-tag, .list th')].filter((e) => seen(e) && !e.closest('.skip, .el-input__suffix, .el-select__wrapper *'))
  for (const e of controls) {
    const r = e.getBoundingClientRect()
    const [x, y] = [r.left + r.width / 2, r.top + r.height / 2]
    if (r.width < 3 || x < 0 || y < 0 || x > innerWidth || y > innerHeight || e.type === 'file') continue
    let clip = e.parentElement
    while (clip && !(getComputedStyle(clip).overflow !== 'visible' && !inside(clip.getBoundingClientRect(), x, y))) clip = clip.parentElement
    if (clip && clip !== document.body && clip !== document.documentElement) continue /* scrolled out of sight */
    const hit = document.elementFromPoint(x, y)
    if (!hit || hit === e || e.contains(hit) || hit.contains(e) || hit.closest('label')?.contains(e)) continue
    const c = hit.closest('button, a[href], input, .el-select__wrapper, .state, .el-tag')
    if (c && c !== e && !c.contains(e) && !e.contains(c) && !hit.closest('.el-popper, .el-message, thead, .top, td.act')) out.add(`${brief(e)} lies under ${brief(c)}`)
  }
  /* a box that is wider than what holds it */
  for (const e of scope.querySelectorAll('.card, .tile, .el-dialog__body, .el-drawer__body, .page-head, .list-bar, .sub-card, .el-form-item')) {
    if (!seen(e)) continue
    const box = e.getBoundingClientRect()
    for (const k of e.querySelectorAll('.el-button, .el-input, .el-select, h2, p, table, .el-radio-group, dl')) {
      if (!seen(k) || k.closest('.list-scroll, .scroll-x, .el-select__wrapper') || (k.closest('.el-overlay') ?? null) !== (e.closest('.el-overlay') ?? null)) continue
      const r = k.getBoundingClientRect()
      if (r.right > box.right + 1 || r.left < box.left - 1) out.add(`sticks out of ${e.className}: ${brief(k)} by ${Math.round(Math.max(r.right - box.right, box.left - r.left))} px`)
    }
  }
  /* a list that has to be pushed aside to be read, in a window that has room */
  if (innerWidth >= 1366)
    for (const e of scope.querySelectorAll('.list-scroll')) if (seen(e) && e.scrollWidth > e.clientWidth + 1) out.add(`the list is ${e.scrollWidth - e.clientWidth} px too wide: ${brief(e).slice(0, 60)}`)
  for (const e of scope.querySelectorAll('.list-scroll td.act')) {
    const [cell, box] = [e.getBoundingClientRect(), e.closest('.list-scroll').getBoundingClientRect()]
    if (seen(e) && (cell.right > box.right + 1 || cell.left < box.left)) out.add(`what can be done is out of sight: ${brief(e)}`)
    if (seen(e) && cell.height > 64) out.add(`a row of ${Math.round(cell.height)} px: ${brief(e)}`)
  }
  /* words */
  const walk = document.createTreeWalker(scope, NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    const at = walk.currentNode.parentElement
    const text = walk.currentNode.textContent.replace(/\s+/g, ' ').trim()
    if (!text || !at || !seen(at) || at.closest('script, style, [lang]:not(html)')) continue
    const plain = data.reduce((s, d) => s.replaceAll(d, ''), text)
    const code = at.closest('.mono, pre, code, .data')
    if (/\d{4}-\d\d-\d\dT\d\d:|\d\d:\d\d(:\d\d)? ?(UTC|Z)\b(?! \(UTC)/.test(plain) && !code) out.add(`a time as programs write it: ${text.slice(0, 80)}`)
    if (/\b(undefined|NaN|null|Infinity)\b|\[object /.test(plain) && !code) out.add(`a value as programs write it: ${text.slice(0, 80)}`)
    if (!lang) continue
    if (!zh && /[\u3000-\u9fff\uff00-\uffef]/.test(plain)) out.add(`Chinese in an English page: ${text.slice(0, 60)}`)
    if (zh && !code && /(\b[a-z]{2,}\b[,;]? ){2,}\b[a-z]{2,}\b/.test(plain)) out.add(`English in a Chinese page: ${text.slice(0, 80)}`)
    if (!zh && /(^|[^\d.,:/-])1 (?!s\b|is\b|has\b|was\b|vCPUs?\b|as\b)[a-z]+s\b/.test(plain)) out.add(`plural: ${text.slice(0, 60)}`)
    if (!zh && /\([s]\)/.test(plain)) out.add(`plural: ${text.slice(0, 60)}`)
  }
  return [...out]
}

export const layoutFaults = (page, lang) => page.evaluate(faultsOf, { lang, data: DATA })
