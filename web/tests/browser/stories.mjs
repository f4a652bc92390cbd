/* SPDX-License-Identifier: Apache-2.0 */
/* What is looked at: each page, each dialog, each step. `look` takes the picture and checks it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { PASSWORD, until } from './console.mjs'
import { rsaKey } from './fleet.mjs'
import { flowStories } from './flows.mjs'
import { keyboardStories } from './keyboard.mjs'

const PLATFORMS = ['vmware', 'openstack', 'aws', 'fusioncompute', 'oracle']
const SIMPLE = {
  dashboard: '/dashboard', alarms: '/alarms', jobs: '/jobs', audit: '/audit', hosts: '/hosts', recoveries: '/recoveries', shares: '/shares', gateways: '/gateways',
  repositories: '/repositories', policies: '/policies', proxies: '/site/proxies', agent: '/site/agent', general: '/settings/general', users: '/settings/users',
  roles: '/settings/roles', tokens: '/settings/tokens', notifications: '/settings/notifications', names: '/settings/names', certificates: '/settings/certificates',
  account: '/settings/account', start: '/start', nowhere: '/no/such/page',
}

/** The form's fields are those the API asks for, in its order, as needed. */
export async function KINDS(c) {
  const source = readFileSync(new URL('../../src/tables/platforms.ts', import.meta.url), 'utf8')
  for (const k of (await c.call('GET', '/v1/platform-kinds')).items) {
    if (!PLATFORMS.includes(k.kind)) continue
    const part = source.slice(source.indexOf(`kind: '${k.kind}'`)).split(/\n {4}ports: /)[0]
    const ours = [...part.matchAll(/column: '(\w+)'/g)].map((m) => m[1])
    const theirs = k.fields.filter((f) => !['name', 'proxies', 'cert_print', 'ceph'].includes(f.name)).map((f) => f.name)
    assert.deepEqual([...ours].sort(), [...theirs].sort(), k.kind)
    for (const f of k.fields.filter((x) => x.default && ours.includes(x.name))) assert.ok(new RegExp(`column: '${f.name}'[^}]*def: '${f.default}'`).test(part), `${k.kind} ${f.name}: default ${f.default}`)
  }
}

const FILL = {
  vmware: { endpoint: 'https://10.2.0.10:443', username: 'backup', password: 'x'.repeat(12) },
  openstack: { endpoint: 'http://10.2.0.11:5000/v3', username: 'admin', password: 'x'.repeat(12) },
  aws: { username: 'AKIAIOSFODNN7EXAMPLE', secret_key: 'x'.repeat(40) },
  fusioncompute: { endpoint: 'https://10.2.0.12:7443', username: 'admin', password: 'x'.repeat(12) },
  oracle: { tenancy: 'ocid1.tenancy.oc1..b', username: 'ocid1.user.oc1..b', region: 'ap-singapore-1' },
}

export function pagesOf(b, c, s, lang) {
  const p = b.page
  const zh = lang === 'zh'
  const dialog = '.el-dialog:visible'
  const button = (text, at = '') => p.locator(`${at} button:visible`, { hasText: text }).first()
  const press = async (en, cn, at = '') => {
    await button(zh ? cn : en, at).click()
    await b.settle()
  }
  const list = Object.entries(SIMPLE).map(([name, path]) => ({ name, run: async (look) => {
    await b.go(path)
    await look()
  } }))
  const story = (name, run) => list.push({ name, run })

  for (const kind of PLATFORMS) {
    story(`platform-${kind}`, async (look) => {
      await b.go(`/site/${kind}`)
      await p.waitForSelector('.list tbody tr')
      await look()
    })
    story(`platform-${kind}-guide`, async (look) => {
      await b.go(`/site/${kind}`)
      await press('Add', '添加')
      await p.waitForSelector(`${dialog} .copy`)
      await look(`platform-${kind}-guide-1`)
      await press('Next', '下一步', dialog)
      await p.waitForSelector('#f-proxies')
      await look(`platform-${kind}-guide-2`)
      await button(zh ? '确定' : 'OK', dialog).click()
      await p.waitForSelector(`${dialog} .el-form-item__error`)
      const first = { vmware: 'endpoint', openstack: 'endpoint', aws: 'username', fusioncompute: 'endpoint', oracle: 'tenancy' }[kind]
      await p.waitForFunction((id) => document.activeElement.id === id, `f-${first}`) /* the keyboard is where something is wrong */
      for (const [column, value] of Object.entries(FILL[kind])) await p.fill(`#f-${column}`, value)
      if (kind === 'aws') {
        assert.match(await p.locator(`${dialog} .el-form-item`, { has: p.locator('#f-region') }).innerText(), /ap-southeast-1/, 'the example is shown')
        await p.locator(`${dialog} button[aria-label="${zh ? '获取区域列表' : 'Fetch the regions'}"]`).click()
        const said = await p.locator('.el-message--warning').first().innerText()
        assert.match(said, zh ? /内置/ : /built-in list/, 'it says whose list that is')
        assert.match(await p.locator(`${dialog} .el-form-item`, { has: p.locator('#f-region') }).innerText(), zh ? /内置/ : /built-in list/, 'and so does the form')
        await p.click('#f-region')
        const kinds = (await c.call('GET', '/v1/platform-kinds')).items.find((k) => k.kind === 'aws').fields.find((f) => f.name === 'region')
        assert.equal(await p.locator('.el-select-dropdown__item:visible').count(), kinds.choices.length, 'the regions are the console\'s')
        await p.keyboard.type('eu-west-1')
        await p.keyboard.press('Enter')
      }
      if (kind === 'oracle') {
        await p.setInputFiles('#f-private_key', { name: 'oci_api_key.pem', mimeType: 'application/x-pem-file', buffer: Buffer.from(rsaKey()) })
        await p.fill('#f-key_print', '20:3b:97:13:55:1c:8c:00:11:22:33:44:55:66:77:88')
      }
      if (kind === 'openstack') {
        await press('Add a Ceph cluster', '添加 Ceph 集群', dialog)
        await press('Add a Ceph cluster', '添加 Ceph 集群', dialog)
        for (const [column, value] of Object.entries({ monitors: '10.0.0.201, 10.0.0.202', username: 'cinder', keyring: 'AQBBY9hfBc0+AxAAzyym+6l+MeTpMlgNTbye/A==', pool: 'volumes', volume_types: 'ssd, sata' })) {
          await p.fill(`#c-0-${column}`, value)
          await p.fill(`#c-1-${column}`, column === 'pool' ? 'backups' : value)
        }
        await p.locator('#c-0-monitors').scrollIntoViewIfNeeded()
        assert.deepEqual(await p.locator(`${dialog} .sub-card >> nth=0 >> .el-form-item.is-required`).count(), 5, 'what a cluster needs is marked')
        await look('platform-openstack-guide-2-ceph')
        await p.fill('#c-1-keyring', 'key = AQBB')
        await button(zh ? '确定' : 'OK', dialog).click() /* the console says so, at the field of that cluster */
        await p.locator(`${dialog} .el-form-item`, { has: p.locator('#c-1-keyring') }).locator('.el-form-item__error').waitFor()
        b.said = b.said.filter((x) => !/422/.test(x))
        await p.fill('#c-1-keyring', 'AQBBY9hfBc0+AxAAzyym+6l+MeTpMlgNTbye/A==')
      }
      await press('Advanced settings', '高级设置', dialog)
      await p.fill('#f-name', `${kind} ${lang}`)
      await button(zh ? '确定' : 'OK', dialog).click()
      if (kind === 'oracle') { /* the print is of another key: the console says so, at the field */
        await p.waitForSelector(`${dialog} .el-form-item__error`)
        await look('platform-oracle-guide-2-refused', { expect: /422/ })
        const print = /([0-9a-f]{2}:){15}[0-9a-f]{2}/.exec(await p.locator(`${dialog} .el-form-item__error`).first().innerText())[0]
        await p.fill('#f-key_print', print)
        await button(zh ? '确定' : 'OK', dialog).click()
      }
      await p.waitForSelector(`${dialog} .facts`)
      assert.equal(await p.locator(`${dialog} form:visible`).count(), 0, 'the form is done with')
      await look(`platform-${kind}-guide-3`)
      const made = (await c.call('GET', `/v1/platforms?kind=${kind}`)).items.find((x) => x.name === `${kind} ${lang}`)
      assert.ok(made, 'the platform was stored')
      if (kind === 'openstack') assert.equal(made.ceph?.length ?? (await c.call('GET', `/v1/platforms/${made.id}`)).ceph.length, 2)
    })
  }
  story('platform-test', async (look) => {
    await b.go('/site/vmware')
    await press('Add', '添加')
    await press('Next', '下一步', dialog)
    for (const [column, value] of Object.entries({ ...FILL.vmware, endpoint: 'https://10.2.0.99:443' })) await p.fill(`#f-${column}`, value)
    await p.locator(`${dialog} .el-select__wrapper`, { has: p.locator('#f-proxies') }).click()
    await p.locator('.el-select-dropdown__item:visible', { hasText: 'sync-proxy-2' }).click()
    await p.keyboard.press('Escape')
    await button(zh ? '测试连接' : 'Test connection', dialog).click()
    await p.locator(dialog, { hasText: zh ? '正在尝试连接' : 'trying to connect' }).waitFor()
    const failed = p.locator(`${dialog} .el-alert--error`, { hasText: zh ? '连接失败' : 'The connection failed' })
    await until('the page to tell how the test ended', async () => { /* the proxy is asked for a first look, too */
      const job = await s.proxies[1].claim()
      if (job) await s.proxies[1].end(job, 'fail', { error_code: 'AUTH', error_text: 'Keystone refused the user admin: the password is not right.' })
      return failed.isVisible()
    })
    await look('platform-test-failed', { words: false })
    const made = async () => (await c.call('GET', '/v1/platforms?kind=vmware')).items.some((x) => x.endpoint === 'https://10.2.0.99:443')
    assert.ok(await made(), 'the test is of what is stored')
    await p.locator(`${dialog} .el-dialog__headerbtn`).click()
    await p.waitForSelector('.el-message-box:visible')
    await look('platform-test-keep', { words: false })
    await p.keyboard.press('Escape') /* no answer: one is still there */
    await p.waitForSelector('.el-message-box', { state: 'hidden' })
    await p.locator(`${dialog} .el-dialog__headerbtn`).click()
    await p.locator('.el-message-box:visible button', { hasText: zh ? '删除' : 'Delete' }).click()
    await p.waitForSelector(dialog, { state: 'hidden' })
    assert.ok(!(await made()), 'it is gone')
  })
  story('platform-update', async (look) => {
    await b.go('/site/openstack')
    await p.locator('tr', { hasText: 'OpenStack prod' }).getByText(zh ? '更新' : 'Update').click()
    await p.waitForSelector('#f-endpoint')
    assert.equal(await p.inputValue('#f-password'), '', 'a secret never comes back')
    await look()
  })
  story('proxy-menu', async (look) => {
    await b.go('/site/proxies')
    await p.locator('tr', { hasText: 'sync-proxy-1' }).getByText(zh ? '更多操作' : 'More').click()
    await p.waitForSelector('.el-dropdown-menu:visible')
    assert.equal(await p.locator('.el-dropdown-menu__item.is-disabled:visible').count(), 1, 'delete is off while it is bound')
    await look()
  })
  for (const [key, en, cn] of [['settings', 'Settings', '设置'], ['bind', 'Bind', '绑定'], ['unbind', 'Unbind', '解绑']])
    story(`proxy-${key}`, async (look) => {
      await b.go('/site/proxies')
      await p.locator('tr', { hasText: 'sync-proxy-2' }).getByText(zh ? '更多操作' : 'More').click()
      await p.locator('.el-dropdown-menu__item:visible', { hasText: zh ? cn : en }).first().click()
      await p.waitForSelector(dialog)
      if (key === 'settings') assert.equal(await p.inputValue('#p-timeout'), '600')
      await look()
    })
  story('agent-windows', async (look) => {
    await b.go('/site/agent')
    await p.click('#tab-windows')
    await look()
    await p.getByText('KB4474419').first().scrollIntoViewIfNeeded()
    await look('agent-windows-prechecks')
  })
  story('agent-download', async () => {
    await b.go('/site/agent')
    await p.click('#tab-windows')
    const [file] = await Promise.all([p.waitForEvent('download'), press('Download now', '立即下载')])
    assert.equal(file.suggestedFilename(), 'windows-agent.zip')
    assert.equal(readFileSync(await file.path(), 'utf8'), 'a package')
  })
  story('agent-copy', async () => {
    await b.go('/site/agent')
    await p.locator('.copy .el-button').first().click()
    const got = await p.evaluate(() => navigator.clipboard.readText())
    assert.equal(got, await p.locator('.copy pre').first().innerText())
  })
  story('host', async (look) => {
    await b.go(`/hosts/${s.hosts.db1.id}`)
    await p.waitForSelector('.timeline canvas')
    await look()
    await p.evaluate(() => scrollTo(0, 9999))
    await look('host-points')
  })
  story('host-feed', async (look) => {
    await b.go(`/hosts/${s.hosts.db1.id}`)
    const feed = p.locator('.feed-card')
    await feed.getByText(zh ? '大小由 200 GiB 变为 240 GiB' : 'has 240 GiB now, 200 GiB before').waitFor()
    await feed.getByText(zh ? /同步（任务 \d+）已完成/ : /Sync \(task \d+\) is done/).first().waitFor()
    await feed.scrollIntoViewIfNeeded()
    await look()
  })
  story('host-running', async (look) => {
    await b.go(`/hosts/${s.hosts.web1.id}`)
    await p.waitForSelector('.job')
    await look()
  })
  story('host-live', async () => {
    await b.go(`/hosts/${s.hosts.web1.id}`)
    await p.waitForSelector('.job')
    s.at += 10 * 2 ** 30
    s.step = `step ${lang}`
    await s.alive()
    await p.getByText(`step ${lang}`).waitFor({ timeout: 5000 })
  })
  story('host-protect', async (look) => {
    await b.go(`/hosts/${s.hosts.db1.id}`)
    await press('Change protection', '修改保护')
    await p.waitForSelector(`${dialog} table`)
    await look('host-protect-1')
    await press('Next', '下一步', dialog)
    await look('host-protect-2')
    await press('Next', '下一步', dialog)
    await look('host-protect-3')
    await press('Protect', '保护', `${dialog} .el-dialog__footer`)
    await p.waitForSelector('.el-message--success')
  })
  story('host-recover', async (look) => {
    await b.go(`/hosts/${s.hosts.db1.id}`)
    await press('Recover', '恢复', '.page-head')
    await p.waitForSelector(`${dialog} .list tbody input`)
    await look('host-recover-1')
    await p.locator(`${dialog} .list tbody input`).nth(3).check()
    await press('Next', '下一步', dialog)
    await look('host-recover-2')
    await press('Next', '下一步', dialog)
    await look('host-recover-3')
    await press('Recover', '恢复', `${dialog} .el-dialog__footer`)
    await p.waitForURL('**/recoveries')
    await look('recoveries-after')
  })
  for (const [name, radio] of [['files', 0], ['nbd', 1]])
    story(`host-open-${name}`, async (look) => {
      await b.go(`/hosts/${s.hosts.db1.id}`)
      await p.waitForSelector('.points .list tbody tr')
      await press('Open', '在线访问', '.points .list tbody tr')
      await p.locator(`${dialog} .el-radio`).nth(radio).click()
      await p.locator(`${dialog} .el-radio-button`).nth(0).click()
      await look(`host-open-${name}-1`)
      await press('Open', '在线访问', `${dialog} .el-dialog__footer`)
      await p.waitForSelector(`${dialog} .share .state`)
      const [made] = (await c.call('GET', '/v1/shares?limit=1')).items
      assert.equal(made.host_name, 'db1')
      assert.equal(made.for_s, 3600)
      assert.equal(made.target, name === 'nbd' ? 'nbd' : 'mount')
      assert.equal(made.secret, undefined, 'told once')
      const key = await p.locator(`${dialog} .copy pre`).allInnerTexts()
      if (name === 'nbd') assert.match(key[0], new RegExp(`^umask 077; echo 'share-${made.id}:[0-9a-f]{64}' >share-${made.id}\\.psk$`))
      else assert.deepEqual(key, [])
      await look(`host-open-${name}-2`)
      await press('Stop serving', '停止访问', `${dialog} .el-dialog__footer`)
      await p.locator(`${dialog} .share .state`, { hasText: zh ? '已停止' : 'Closed' }).waitFor()
      assert.equal((await c.call('GET', `/v1/shares/${made.id}`)).state, 'ended')
      assert.equal(await p.locator(`${dialog} .copy`).count(), 0, 'no key of what has ended')
      await b.go('/shares')
      await p.waitForSelector('.list tbody tr')
      await p.locator('.list tbody tr').first().locator('button', { hasText: zh ? '详情' : 'Details' }).click()
      await p.waitForSelector(`${dialog} .share`)
      await look(`shares-${name}`)
    })
  story('hosts-many', async (look) => {
    await b.go('/hosts')
    const rows = () => p.locator('.list tbody tr:not(.spacer)').count()
    const scroll = () => p.evaluate(() => { const x = document.querySelector('.list-scroll'); x.scrollTop = x.scrollHeight })
    for (let i = 0; i < 12 && !(await p.locator('.list-foot').innerText()).match(/323/); i++) {
      await scroll()
      await b.settle()
      await p.waitForFunction((n) => !document.querySelector('.list-foot').innerText.includes('·') || n, i)
    }
    assert.match(await p.locator('.list-foot').innerText(), /323/)
    assert.ok((await rows()) < 100, 'only rows in sight are drawn')
    await look()
    await p.fill('.search input', 'vm-0007')
    await p.waitForFunction(() => document.querySelectorAll('.list tbody tr:not(.spacer)').length === 1)
    await look('hosts-search')
  })
  story('host-recover-device', async (look) => {
    await b.go(`/hosts/${s.hosts.db1.id}`)
    await press('Recover', '恢复', '.page-head')
    await press('The newest point', '最新恢复点', dialog)
    await p.locator(`${dialog} .el-radio`).nth(2).click()
    await p.fill('#rc-path', '/srv/vdb')
    await p.waitForSelector(`${dialog} .el-form-item__error`)
    assert.equal(await button(zh ? '下一步' : 'Next', dialog).isDisabled(), true)
    await look()
    await p.fill('#rc-path', '/dev/vdz')
    await press('Next', '下一步', dialog)
    await look('host-recover-device-3')
  })
  story('host-choose', async (look) => {
    await b.go('/hosts')
    await p.fill('.search input', 'vm-000')
    await p.waitForFunction(() => document.querySelectorAll('.list tbody tr').length === 10)
    for (const i of [0, 1, 2]) await p.locator('.list tbody .el-checkbox').nth(i).click()
    await press('Protect', '保护', '.list-bar')
    await p.waitForSelector(dialog)
    await look()
  })
  for (const [name, path, shown] of [['policy-add', '/policies', '#po-name'], ['repository-add', '/repositories', '#re-name'], ['user-add', '/settings/users', '#us-name'], ['token-add', '/settings/tokens', '#tk-name'], ['channel-add', '/settings/notifications', '#ch-name'], ['name-add', '/settings/names', '#nm-name'], ['gateway-add', '/gateways', '.el-dialog .copy']])
    story(name, async (look) => {
      await b.go(path)
      await press('Add', '添加', '.page-head')
      await p.waitForSelector(shown)
      if (name === 'policy-add') await p.waitForFunction(() => /\d{4}-\d\d-\d\d/.test(document.querySelector('.el-dialog').innerText))
      await look()
    })
  story('repository-growth', async (look) => {
    await b.go('/repositories')
    await p.locator('tr', { hasText: 'DR store 1' }).getByText(zh ? '增长趋势' : 'Growth').click()
    await p.waitForSelector('.el-drawer .facts')
    await look()
  })
  story('job-details', async (look) => {
    await b.go('/jobs')
    await p.locator('tr.pick', { hasText: zh ? '失败' : 'Failed' }).first().click()
    await p.waitForSelector('.el-drawer table tbody tr')
    await look()
  })
  story('audit-details', async (look) => {
    await b.go('/audit')
    await p.locator('tr.pick').first().click()
    await p.waitForSelector('.el-drawer .facts')
    await look()
  })
  story('account-totp', async (look) => {
    await b.go('/settings/account')
    await p.fill('#ac-off', 'correct horse battery staple')
    await press('Switch on', '开启')
    await p.waitForSelector('canvas.qr')
    await look()
  })
  story('account-sessions', async (look) => {
    for (let i = 0; i < 3; i++) await c.raw('POST', '/v1/session', { body: { name: 'admin', password: PASSWORD }, headers: { 'User-Agent': `Mozilla/5.0 (Windows NT 10.0) Firefox/12${i}` } })
    await b.go('/settings/account')
    const rows = () => p.locator('.sessions tbody tr')
    await p.locator('.sessions tr', { hasText: 'Firefox 122, Windows' }).waitFor()
    await look()
    const n = await rows().count()
    await p.locator('.sessions tr', { hasText: 'Firefox 122' }).locator('button').click()
    await p.waitForFunction((was) => document.querySelectorAll('.sessions tbody tr').length === was - 1, n)
    await press('End all others', '结束其他会话', '.sessions')
    await press('End all others', '结束其他会话', '.el-message-box')
    await p.waitForFunction(() => document.querySelectorAll('.sessions tbody tr').length === 1)
    await p.locator('.sessions tr', { hasText: zh ? '当前会话' : 'This one' }).waitFor()
    await c.login('admin', PASSWORD) /* its session was one of the others */
  })
  story('keyboard', async () => {
    await b.go('/hosts')
    await p.keyboard.press('Tab')
    assert.equal(await p.evaluate(() => document.activeElement.className), 'skip')
    await p.keyboard.press('Enter')
    assert.equal(await p.evaluate(() => document.activeElement.id), 'main')
  })
  keyboardStories(b, c, s, lang, story)
  flowStories(b, c, s, lang, story)
  story('offline', async (look) => {
    await b.go('/policies')
    await press('Add', '添加')
    await p.fill('#po-name', 'x')
    await b.context.setOffline(true)
    try {
      await press('OK', '确定', dialog)
      await p.waitForSelector(`${dialog} .problem`)
      await look(undefined, { expect: /DISCONNECTED/ })
    } finally {
      await b.context.setOffline(false)
    }
  })
  for (const [name, path] of [['dashboard', '/dashboard'], ['hosts', '/hosts'], ['platform-vmware', '/site/vmware'], ['agent', '/site/agent'], ['host', `/hosts/${s.hosts.db1.id}`]])
    story(`dark-${name}`, async (look) => {
      await p.emulateMedia({ colorScheme: 'dark' })
      try {
        await b.go(path)
        await look()
      } finally {
        await p.emulateMedia({ colorScheme: 'light' })
      }
    })
  story('narrow', async (look) => {
    await p.setViewportSize({ width: 820, height: 1100 })
    await b.go('/hosts')
    await look()
    await p.setViewportSize({ width: 1440, height: 900 })
  })
  story('other-language', async () => {
    await b.go('/hosts')
    await p.locator('.tool.lang').click()
    assert.match(await p.locator('h1').innerText(), zh ? /Hosts/ : /主机/)
    await p.locator('.tool.lang').click()
  })
  story('log-out', async () => {
    await b.go('/hosts')
    await p.locator('.tools .el-dropdown button').click()
    await p.locator('.el-dropdown-menu__item:visible', { hasText: zh ? '退出登录' : 'Log out' }).click()
    await p.waitForURL('**/login')
  })
  return list
}
