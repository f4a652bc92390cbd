/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs say is said in Chinese, too: the formats are read from their sources. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { i18n } from '@/i18n'
import { words } from '@/i18n/words'
import { alarmText } from '@/lib/alarm'
import { whyNot } from '@/lib/allowed'
import { said } from '@/lib/said'
import { SAID } from '@/tables/said'

const SRC = join(__dirname, '../../../src')
const HAN = /[\u3000-\u9fff]/
/* Not for people at the web console: what machines are told, and other doors. */
const OTHERS = /^(machine_.*|install|web|cli_login|metrics|health)\.c$/
/* A failure of these codes is told in its own words; others are the log's (api_refusal). */
const TOLD = /^\s*(BDR_(NOTFOUND|EXISTS|CONFLICT|INVAL|DENIED|RANGE|FENCED))\s*,/
const sources = (dir: string, fits: (name: string) => boolean = () => true): string[] =>
  readdirSync(join(SRC, dir)).filter((n) => n.endsWith('.c') && fits(n)).map((n) => join(SRC, dir, n))

const LITERAL = /"((?:[^"\\\n]|\\.)*)"/g
/** Literals that stand side by side are one; PRIu64 and the like are a place. */
const TEXT = /"(?:[^"\\\n]|\\.)*"(?:\s*(?:"(?:[^"\\\n]|\\.)*"|PRI[a-z]\d+))*/g
const textOf = (raw: string): string => [...raw.replace(/PRI[a-z]\d+/g, '"lld"').matchAll(LITERAL)].map((m) => m[1]).join('').replace(/\\"/g, '"')

/** From the bracket at `from` to the one that closes it. */
function inside(text: string, from: number): string {
  let depth = 1
  let quoted = false
  for (let i = from; i < text.length; i++) {
    const c = text[i]
    if (quoted) {
      if (c === '\\') i++
      else if (c === '"') quoted = false
    } else if (c === '"') quoted = true
    else if (c === '(') depth++
    else if (c === ')' && --depth === 0) return text.slice(from, i)
  }
  return ''
}

function formats(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  const out: string[] = []
  for (const m of text.matchAll(/\b(BDR_REFUSE|bdr_req_fault|BDR_FAIL|obj_allow)\s*\(/g)) {
    const body = inside(text, m.index + m[0].length)
    if (m[1] === 'BDR_FAIL' && !TOLD.test(body)) continue
    out.push(...[...body.matchAll(TEXT)].map((t) => textOf(t[0])))
  }
  /* reasons are often chosen before they are told */
  for (const m of text.matchAll(TEXT)) {
    const before = text.slice(Math.max(0, m.index - 60), m.index)
    const next = text.slice(m.index + m[0].length, m.index + m[0].length + 120)
    if (/\.(help|note|hint|summary|todo)\s*=\s*$/.test(before) || /^,?\s*(\.help_zh|"[^"]*[\u3000-\u9fff])/.test(next)) continue
    if (/^(%lld |[A-Z]).* .*\.$/.test(textOf(m[0]))) out.push(textOf(m[0]))
  }
  return out
}
/** Sentences and parts of them; a word alone is a name, a place alone is somebody else's sentence. */
const isSaid = (t: string): boolean => / /.test(t) && !/^mon-fri \d/.test(t) && !HAN.test(t)

const FILES = [
  ...sources('console/api', (n) => !OTHERS.test(n)), ...sources('console/jobs'), ...sources('console/rules'), ...sources('console/policy'),
  ...['password', 'token', 'totp', 'who'].map((n) => join(SRC, `console/auth/${n}.c`)), join(SRC, 'wire/route/problem.c'),
]
/* Said where no person of the web console can come to. */
const NOT_HERE = new Set(["QEMU's qcow2.", 'STARTTLS, and nothing less.', 'From the first byte.', 'When names are used at the production site, add their name records so that they resolve.'])

describe('what the programs say', () => {
  const table = new Map(SAID)
  const all = [...new Set(FILES.flatMap(formats))].filter((t) => isSaid(t) && !NOT_HERE.has(t))

  it('is found in their sources', () => {
    expect(all.length).toBeGreaterThan(170)
    expect(all).toContain('The host is not registered.')
    expect(all).toContain('host %s cannot be protected: %s')
  })
  it('is said in Chinese, all of it', () => expect(all.filter((t) => !table.has(t))).toEqual([]))
  it.each(SAID)('%s has the places that its Chinese names, and is there once', (pattern, zh) => {
    const n = (pattern.match(/%[-0-9.*]*(?:ll|z|l)?[sdux]/g) ?? []).length
    for (const m of zh.matchAll(/\{(\d)\}/g)) expect(Number(m[1])).toBeLessThanOrEqual(n)
    expect(zh).toMatch(HAN)
    expect(SAID.filter(([p]) => p === pattern)).toHaveLength(1)
  })
})

describe('the audit log', () => {
  it('has words for each action that the console writes', () => {
    const actions = sources('console/api').flatMap((f) => [...readFileSync(f, 'utf8').matchAll(/(?:api_audit|audited)\([^;]*?"([a-z]+\.[a-z-]+)"|\.action = "([a-z]+\.[a-z-]+)"/g)].map((m) => m[1] ?? m[2]))
    expect(actions.length).toBeGreaterThan(30)
    expect([...new Set(actions)].filter((a) => !(a.split('.')[0] in words.object) || !(a.split('.')[1] in words.auditVerb))).toEqual([])
  })
})

describe('said', () => {
  const setLang = (l: 'en' | 'zh'): void => void (i18n.global.locale.value = l)
  afterEach(() => setLang('en'))
  it('leaves English as it is', () => expect(said('The host is gone.')).toBe('The host is gone.'))
  it('puts values, and the words among them, into their places', () => {
    setLang('zh')
    expect(said('The job is running.')).toBe('任务当前为“运行中”。')
    expect(said('3 hosts and 14 recovery points need it.')).toBe('仍有 3 台主机和 14 个恢复点在使用。')
    expect(said('4 jobs of host web1 have not ended; the repository can change when they have')).toBe('主机 web1 有 4 个任务未结束，结束后才能更换存储库')
  })
  it('says a reason within a reason', () => {
    setLang('zh')
    expect(said('gateway dr1 cannot be deleted: It runs jobs.')).toBe('不能删除网关 dr1：正在执行任务。')
  })
  it('says a chain part by part, and what it does not know as it came', () => {
    setLang('zh')
    expect(said("the windows: 'x' is not like mon-fri 20:00-06:00")).toBe('时间窗口：“x”格式不正确，应类似 mon-fri 20:00-06:00')
    expect(said('Keystone refused the user')).toBe('Keystone refused the user')
    expect(said(undefined)).toBe('')
  })
  it('is what a button says that is off', () => {
    setLang('zh')
    expect(whyNot([{ action: 'sync', allowed: false, reason: 'A job of the host has not ended.' }], 'sync')).toBe('该主机还有未结束的任务。')
  })
  it('takes the pattern that fits best', () => {
    setLang('zh')
    expect(said("must be one of a, b; did you mean 'a'?")).toBe('必须是 a, b 之一，是否为“a”？')
    expect(said('must be between 1 and 5')).toBe('必须在 1 与 5 之间')
  })
})

describe('an alarm', () => {
  const a = { text: 'db1的sync任务在5次尝试后失败：the host is not there', values: { name: 'db1', job: 'sync', tries: 5, error: 'The host is not protected.' } }
  afterEach(() => void (i18n.global.locale.value = 'en'))
  it('has the words of the programs in Chinese, the names as they are', () => {
    i18n.global.locale.value = 'zh'
    expect(alarmText(a)).toBe('db1的同步任务在5次尝试后失败：the host is not there')
    const text = alarmText({ ...a, text: `db1的sync任务在5次尝试后失败：${a.values.error}` })
    expect(text).toMatch(/^db1的同步任务在5次尝试后失败：[^a-zA-Z]+$/)
    expect(alarmText({ text: 'sync-host的sync任务', values: { job: 'sync', name: 'sync-host' } })).toBe('sync-host的同步任务')
  })
  it('is as it came in English', () => expect(alarmText(a)).toBe(a.text))
})

it('fills the places of a sentence, counted from one', () => {
  for (const [en, zh] of SAID) {
    const n = [...en.matchAll(/%(?:\d+\$)?[-0 #+]*(?:\.\*|\.?\d+)?(?:ll|z|l|h)?[sdiuxc]/g)].length
    for (const m of zh.matchAll(/\{(\d)\}/g)) expect(Number(m[1]) >= 1 && Number(m[1]) <= n, `${en}: ${zh}`).toBe(true)
  }
  i18n.global.locale.value = 'zh'
  expect(said('there is no share 5')).toBe('没有在线访问 5')
  expect(said('the mail server mail.example.com:587: Could not resolve host: mail.example.com')).toBe('邮件服务器 mail.example.com:587：无法解析主机名 mail.example.com')
})
it('says why the agent cannot protect a disk', () => {
  i18n.global.locale.value = 'zh'
  const reasons = [...readFileSync(join(SRC, 'agent/inventory.c'), 'utf8').matchAll(/->reason = "([^"]+)"/g)].map((m) => m[1])
  expect(reasons.length).toBeGreaterThan(0)
  for (const r of reasons) expect(said(r)).toMatch(HAN)
})
