/* SPDX-License-Identifier: Apache-2.0 */
/* Both languages say everything: no empty text, the same places for values, no key that is used and missing. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { permissions } from '@gen/api'
import { describe, expect, it } from 'vitest'
import { firstLang, isTwo, plain, split, type Tree, type Two } from '@/i18n'
import { words } from '@/i18n/words'
import { LINUX_REMOVE_STEPS, LINUX_STEPS, PRECHECKS, PREPARE, WHEN, WINDOWS_REMOVE_STEPS, WINDOWS_STEPS } from '@/tables/agent'
import { CEPH_FIELDS, PLATFORMS } from '@/tables/platforms'
import { AGENT_PORTS, CONSOLE_PORTS } from '@/tables/ports'
import { STATES } from '@/tables/states'
import { NAV } from '@/nav'

const flat = (tree: Tree, at = ''): Array<[string, Two]> =>
  Object.entries(tree).flatMap(([k, v]) => (isTwo(v) ? [[at + k, v] as [string, Two]] : flat(v, `${at}${k}.`)))
const ALL = flat(words)
const KEYS = new Set(ALL.map(([k]) => k))
const places = (text: string): string => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join()
const files = (dir: string): string[] =>
  readdirSync(dir).flatMap((n) => (statSync(join(dir, n)).isDirectory() ? files(join(dir, n)) : /\.(vue|ts)$/.test(n) ? [join(dir, n)] : []))

const pairsIn = (v: unknown): Two[] => {
  if (Array.isArray(v) && v.length === 2 && v.every((x) => typeof x === 'string')) return [v as unknown as Two]
  return v && typeof v === 'object' && !(v instanceof RegExp) ? Object.values(v).flatMap(pairsIn) : []
}

describe('words', () => {
  it.each(ALL)('%s is said in both languages, with the same values', (_, [en, zh]) => {
    expect(en.trim()).not.toBe('')
    expect(zh.trim()).not.toBe('')
    expect(places(zh)).toBe(places(en))
  })
  it('has each key that a page uses', () => {
    const missing: string[] = []
    for (const file of files('src'))
      for (const m of readFileSync(file, 'utf8').matchAll(/\bt\(\s*'([\w.]+)'/g)) if (!KEYS.has(m[1])) missing.push(`${file}: ${m[1]}`)
    for (const file of files('src'))
      for (const m of readFileSync(file, 'utf8').matchAll(/\bt\([^()'`]*\? '([\w.]+)' : '([\w.]+)'/g))
        for (const k of [m[1], m[2]]) if (!KEYS.has(k)) missing.push(`${file}: ${k}`)
    expect(missing).toEqual([])
  })
  it('has a family of keys for each that is put together from a value', () => {
    const missing: string[] = []
    for (const file of files('src'))
      for (const m of readFileSync(file, 'utf8').matchAll(/\bt\(\s*`([\w.]+?)\$\{/g))
        if (![...KEYS].some((k) => k.startsWith(m[1]))) missing.push(`${file}: ${m[1]}`)
    expect(missing).toEqual([])
  })
  it('names each state, page and menu', () => {
    for (const [table, states] of Object.entries(STATES)) for (const s of Object.keys(states)) expect(KEYS).toContain(`${table}.${s}`)
    for (const top of NAV)
      for (const g of top.groups) for (const k of [top.key, ...(g.key ? [g.key] : []), ...g.leaves.map((l) => l.key)]) expect(KEYS).toContain(`nav.${k}`)
  })
  it('names each area of the API\'s permissions', () => {
    for (const p of Object.values(permissions)) if (/:(read|operate|admin)$/.test(p)) expect(KEYS).toContain(`area.${p.split(':')[0]}`)
  })
  it('keeps the manual\'s tables whole in both languages', () => {
    const pairs = pairsIn([PLATFORMS, CEPH_FIELDS, AGENT_PORTS, CONSOLE_PORTS, PRECHECKS, PREPARE, WHEN, LINUX_STEPS, LINUX_REMOVE_STEPS, WINDOWS_STEPS, WINDOWS_REMOVE_STEPS])
    expect(pairs.length).toBeGreaterThan(150)
    for (const [en, zh] of pairs) {
      expect(en).not.toBe('')
      expect(zh).not.toBe('')
    }
  })
  it('makes a tree a language, with vue-i18n\'s signs as plain text', () => {
    expect(split({ a: { b: ['x@y', '甲|乙'] } }, 'zh')).toEqual({ a: { b: "甲{'|'}乙" } })
    expect(plain('root@host')).toBe("root{'@'}host")
  })
  it('starts in the language of the browser, or the one that was chosen', () => {
    expect(firstLang(null, ['zh-CN', 'en'])).toBe('zh')
    expect(firstLang(null, ['en-GB', 'zh'])).toBe('en')
    expect(firstLang('en', ['zh-CN'])).toBe('en')
  })
})

describe('the manual', () => {
  it('has its navigation in its order', () => {
    const site = NAV.find((x) => x.key === 'config')?.groups[0]
    expect(words.nav.config[1]).toBe('配置管理')
    expect(words.nav.site[1]).toBe('生产站点配置')
    expect(site?.leaves.map((l) => words.nav[l.key as keyof typeof words.nav][1])).toEqual(['VMware', 'OpenStack', 'AWS', 'FusionCompute', 'Oracle', '源端代理程序', '源端同步代理'])
  })
  it.each([
    ['vmware', ['鉴权地址', '用户名', '密码'], ['443', '902']],
    ['openstack', ['鉴权地址', '用户 Domain ID', '用户名', '密码', '项目 Domain ID', '项目名称', '域名'], ['5000, 35357, 9696, 8774, 8776, 9292', '6789']],
    ['aws', ['Access Key ID', 'Access Key Secret', '区域'], ['443']],
    ['fusioncompute', ['鉴权地址', '用户名', '密码'], ['7443', '21064']],
    ['oracle', ['租户 OCID', '用户 OCID', '密钥', '密钥指纹', '区域'], ['443', '3260 (1522)']],
  ])('%s has its fields and ports', (kind, labels, ports) => {
    const p = PLATFORMS.find((x) => x.kind === kind)
    expect(p?.fields.map((f) => f.label[1])).toEqual(labels)
    expect(p?.ports.map((x) => x.port)).toEqual(ports)
    expect(p?.steps.some((s) => s.command)).toBe(true)
  })
  it.each([
    ['vmware', ['https://<vCenter/ESXi Host>:443', '连接 vCenter/ESXi 主机的用户名', '连接 vCenter/ESXi 主机的密码'], ['', '', '']],
    ['openstack', ['http://192.168.10.201:5000/v3', 'default', '用户名', '密码', 'default', 'admin', 'RegionOne'], ['', 'default', '', '', 'default', 'admin', 'RegionOne']],
    ['aws', ['AWS Access Key ID', 'AWS Access Secret Key', 'ap-southeast-1'], ['', '', '']],
    ['fusioncompute', ['https://<FusionCompute/Host>:7443', '连接 FusionCompute 主机的用户名', '连接 FusionCompute 主机的密码'], ['', '', '']],
    ['oracle', ['ocid1.tenancy.oc1..aaaaaaaaxxxx', 'ocid1.user.oc1..aaaaaaabbbbb', 'oci_api_key.pem', '20:3b:97:13:55:1c:8c:xx:xx:xx:xx:xx:xx', 'ap-singapore-1'], ['', '', '', '', '']],
  ])('%s has its examples, its defaults and a hint at each field', (kind, examples, defaults) => {
    const fields = PLATFORMS.find((x) => x.kind === kind)?.fields ?? []
    expect(fields.map((f) => (typeof f.example === 'object' ? f.example[1] : f.example))).toEqual(examples)
    expect(fields.map((f) => f.def ?? '')).toEqual(defaults)
    for (const f of fields) expect(f.hint, f.column).toBeDefined()
  })
  it('has the address field of what may go by a name lead to name resolution, and the region to AWS\'s list', () => {
    for (const kind of ['vmware', 'openstack', 'fusioncompute']) expect(PLATFORMS.find((x) => x.kind === kind)?.fields[0].link?.href).toBe('/settings/names')
    expect(PLATFORMS.find((x) => x.kind === 'aws')?.fields[2].link?.href).toBe('https://docs.aws.amazon.com/general/latest/gr/rande.html')
  })
  it('has a Ceph cluster\'s examples and defaults, and what is needed of it', () => {
    expect(CEPH_FIELDS.map((f) => f.def ?? f.example)).toEqual(['10.0.0.201,10.0.0.202,10.0.0.203', 'true', 'cinder', 'AQBBY9hfBc0+AxAAzyym+6l+MeTpMlgNTbye/A==', 'volumes', 'rbd_diff', 'ceph', 'DEFAULT_VOLUME_TYPE, ssd, sata'])
    expect(CEPH_FIELDS.filter((f) => f.required).map((f) => f.column)).toEqual(['monitors', 'username', 'keyring', 'pool', 'cluster'])
  })
  it('has the eight fields of a Ceph cluster, the agent\'s five ports and nine prechecks', () => {
    expect(CEPH_FIELDS.map((f) => f.label[1])).toEqual(['控制节点地址', '使用 CephX 鉴权', '用户名', '密钥环', '存储池', '增量获取类型', '集群', 'OpenStack 卷类型'])
    expect(AGENT_PORTS.map((p) => p.port)).toEqual(['10443', '30080', '3260', '443', '443'])
    expect(PRECHECKS).toHaveLength(9)
  })
})
