/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the first password to a recovered disk, in a browser, with nothing but real programs behind it: a console, a
 * gateway that joins by the command of its page, an agent that is installed by the command of its page and protects a
 * disk which is written to, and taken off again by the command of its page. Pictures: $BUILD/web-shots/real-*.
 *
 * It needs root (loop devices, an agent), and a machine without an agent; else it says so and is skipped.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { appendFileSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { Browser, Tally } from './browser.mjs'
import { BUILD, Console, freePort, PASSWORD, until } from './console.mjs'

const HOME = '/var/lib/egisplus-agent'
const TOP = resolve('..')
const DIALOG = '.el-dialog:visible'
const tally = new Tally()
const sh = (file, ...args) => execFileSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
const has = (tool) => {
  try {
    return !!sh('sh', '-c', `PATH=$PATH:/sbin:/usr/sbin command -v ${tool}`)
  } catch {
    return false
  }
}

function whyNot() {
  if (process.getuid() !== 0) return 'only root can install an agent and make a loop device'
  if (existsSync(HOME)) return `this machine has an agent already (${HOME})`
  const missing = ['losetup', 'mkfs.ext4', 'patchelf', 'cmp', 'curl', 'unshare'].filter((tool) => !has(tool))
  if (missing.length) return `${missing.join(', ')} is missing (tools/deps)`
  if (!existsSync('/dev/loop-control')) return 'there are no loop devices here'
  return undefined
}

/** The agent's package and install script, of this build. */
function pack() {
  const script = join(BUILD, 'packages/install_agent.sh')
  const agent = join(BUILD, 'src/agent/bdr-agent')
  if (existsSync(script) && statSync(script).mtimeMs > statSync(agent).mtimeMs) return
  execFileSync(join(TOP, 'packaging/build'), ['agent'], { env: { ...process.env, BUILD, PACKAGE_FORMATS: 'tar' }, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** What is made, and taken away in the other order, whatever happened. */
const undo = []
const after = (fn) => undo.push(fn)
async function clean() {
  while (undo.length)
    try {
      await undo.pop()()
    } catch (e) {
      tally.bad('real: cleaning up', e.message ?? e)
    }
}

function disks(dir) {
  const made = ['data', 'spare'].map((name, i) => {
    const image = join(dir, `${name}.img`)
    sh('truncate', '-s', i ? '32M' : '384M', image)
    const device = sh('losetup', '-f', '--show', image)
    after(() => sh('losetup', '-d', device))
    return device
  })
  const mount = join(dir, 'mnt')
  sh('mkfs.ext4', '-q', made[0])
  mkdirSync(mount)
  sh('mount', made[0], mount)
  const d = { device: made[0], spare: made[1], mount, mounted: true }
  d.unmount = () => {
    if (d.mounted) sh('umount', mount)
    d.mounted = false
  }
  after(d.unmount)
  sh('dd', 'if=/dev/urandom', `of=${join(mount, 'media')}`, 'bs=1M', 'count=72', 'status=none')
  sh('sync', '-f', mount)
  return d
}

/** Somebody who writes: a line, durable, five times a second. */
function writer(mount) {
  const journal = join(mount, 'journal')
  let lines = 0
  const timer = setInterval(() => {
    appendFileSync(journal, `${++lines} ${new Date().toISOString()}\n`)
    const fd = openSync(journal, 'r')
    closeSync(fd)
  }, 200)
  const stop = () => clearInterval(timer)
  after(stop)
  return { stop, lines: () => lines }
}

/** A picture in both languages; dialogs stay open, the words change under them. */
async function both(b, name, more) {
  await b.look(`real-${name}-zh`, more)
  await b.page.evaluate(() => document.querySelector('.tool.lang, .login .link').click())
  await b.look(`real-${name}-en`, { ...more, words: false }) /* what was typed is Chinese */
  await b.page.evaluate(() => document.querySelector('.tool.lang, .login .link').click())
  await b.settle()
}

/** A chart that is there and empty is no chart: its canvas has a hundred pixels of some colour. */
async function drawn(b, selector) {
  await b.page.waitForSelector(`${selector} canvas`)
  await b.page.waitForFunction((s) => {
    const c = document.querySelector(`${s} canvas`)
    const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height)
    let n = 0
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 100 && Math.max(data[i], data[i + 1], data[i + 2]) - Math.min(data[i], data[i + 1], data[i + 2]) > 60) n++
    return n > 100
  }, selector)
}

async function story(dir) {
  const disk = disks(dir)
  const write = writer(disk.mount)
  const c = await Console.start({ packages: join(BUILD, 'packages') })
  after(() => c.stop())
  const b = await Browser.open(c.base, { lang: 'zh' })
  after(() => b.close())
  const p = b.page
  p.setDefaultTimeout(20000)
  const button = (text, at = '') => p.locator(`${at} button:visible`, { hasText: text }).first()
  const press = async (text, at) => {
    await button(text, at).click()
    await b.settle()
  }
  const step = async (name, fn) => {
    const begun = Date.now()
    try {
      await fn()
      tally.ok(`real/${name} (${((Date.now() - begun) / 1000).toFixed(1)} s)`)
    } catch (e) {
      await p.screenshot({ path: join(BUILD, 'web-shots', `real-failed.png`) }).catch(() => {})
      throw new Error(`real/${name}: ${e.stack}`) /* what comes after rests on it */
    }
  }
  const copied = async (box) => {
    await p.locator(`${box} .el-button`).first().click()
    return p.evaluate(() => navigator.clipboard.readText())
  }
  const rows = () => p.locator('.points .list tbody tr')

  await step('first password, guide', async () => {
    await b.go('/')
    await p.fill('#login-name', 'admin')
    await p.fill('#login-password', c.firstPassword)
    await p.click('button[type=submit]')
    await p.fill('#login-own', PASSWORD)
    await p.fill('#login-again', PASSWORD)
    await both(b, '01-own-password')
    await p.click('button[type=submit]')
    await p.waitForURL('**/start')
    await both(b, '02-guide')
  })

  await step('a gateway joins by the command of its page', async () => {
    const state = join(dir, 'gateway')
    const port = await freePort()
    await press('去接入')
    await p.waitForURL('**/gateways')
    const answered = p.waitForResponse((r) => r.url().endsWith('/v1/enrolments') && r.request().method() === 'POST')
    await press('添加', '.page-head')
    const made = await (await answered).json()
    await p.waitForSelector(`${DIALOG} .copy`)
    await both(b, '03-gateway-add')
    const program = join(BUILD, 'bdr-gateway')
    /* where there is a package of it, the page shows the command that installs it, as root at port 443: the lab of installs tries that one */
    const enrol = made.manual.replace('bdr-gateway enrol', `${program} enrol --state ${state} --url https://127.0.0.1:${port} --name dr-gateway`)
    const command = `${enrol} && exec ${program} serve --state ${state} --listen 127.0.0.1:${port}`
    const log = openSync(join(dir, 'gateway.log'), 'w')
    const gateway = spawn('sh', ['-c', command], { stdio: ['ignore', log, log], detached: true })
    after(async () => {
      process.kill(-gateway.pid, 'SIGTERM')
      await until('the gateway to end', () => gateway.exitCode !== null || gateway.signalCode !== null)
    })
    await press('关闭', DIALOG)
    await p.locator('.list tbody tr', { hasText: 'dr-gateway' }).getByText('在线').waitFor()
    await both(b, '04-gateway')
  })

  await step('a repository on it', async () => {
    await b.go('/start')
    await press('去添加')
    await p.waitForURL('**/repositories')
    await press('添加', '.page-head')
    await p.fill('#re-name', '灾备存储 1')
    await p.fill('#re-url', join(dir, 'repository'))
    await both(b, '05-repository-add')
    await press('确定', DIALOG)
    await p.locator('.list tbody tr', { hasText: '灾备存储 1' }).waitFor()
    await both(b, '06-repository')
  })

  await step('a policy', async () => {
    await b.go('/start')
    await press('去创建')
    await p.waitForURL('**/policies')
    await press('添加', '.page-head')
    await p.fill('#po-name', '每日凌晨')
    await p.locator(`${DIALOG} .el-radio-button`, { hasText: '定时' }).click() /* nothing runs by itself meanwhile */
    await p.fill(`${DIALOG} input[placeholder^="30 2"]`, `${new Date().getUTCMinutes()} ${(new Date().getUTCHours() + 12) % 24} * * *`)
    await p.fill('#po-rpo', '20s') /* short: the alarm is part of the story */
    await p.fill('#po-bw', '* 00:00-24:00 4M') /* slow: the first pass is watched */
    await p.waitForFunction(() => /\d{4}-\d\d-\d\d/.test(document.querySelector('.el-dialog').innerText))
    await both(b, '07-policy-add')
    await press('确定', DIALOG)
    await p.locator('.list tbody tr', { hasText: '每日凌晨' }).waitFor()
    await both(b, '08-policy')
  })

  await step('the agent is installed by the command of its page, and its host comes in', async () => {
    await b.go('/start')
    await both(b, '09-guide-host')
    await press('安装代理程序')
    await p.waitForURL('**/site/agent')
    await p.waitForSelector('.copy')
    await p.locator('.copy').first().scrollIntoViewIfNeeded()
    await both(b, '10-agent')
    const command = await copied('.copy')
    mkdirSync(HOME) /* loop devices are told of only when they are named, and a minute between two words is long here */
    after(() => existsSync(`${HOME}/uninstall_agent.sh`) && sh('bash', `${HOME}/uninstall_agent.sh`, '--force'))
    writeFileSync(`${HOME}/options`, `OPTIONS='--disks ${disk.device},${disk.spare} --beat-ms 2000'\n`)
    await b.go('/hosts')
    const install = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, http_proxy: '', https_proxy: '', no_proxy: '*' } })
    let said = ''
    install.stdout.on('data', (d) => (said += d))
    install.stderr.on('data', (d) => (said += d))
    await until('the installation', () => install.exitCode !== null, 60000)
    assert.equal(install.exitCode, 0, said)
    await p.locator('.list tbody tr').first().waitFor({ timeout: 30000 }) /* by itself: nobody asked again */
    await both(b, '11-host-came')
  })

  await step('its disk is protected', async () => {
    await p.locator('.list tbody tr a').first().click()
    await p.waitForURL('**/hosts/*')
    await p.getByText(basename(disk.device), { exact: true }).first().waitFor({ timeout: 30000 })
    await both(b, '12-host')
    await press('保护', '.page-head')
    await p.waitForSelector(`${DIALOG} table`)
    await p.locator(`${DIALOG} tr`, { hasText: basename(disk.spare) }).locator('.el-checkbox').click()
    await both(b, '13-protect-disks')
    await press('下一步', DIALOG)
    await both(b, '14-protect-where')
    await press('下一步', DIALOG)
    await both(b, '15-protect-check')
    await press('保护', `${DIALOG} .el-dialog__footer`)
    await p.waitForSelector('.el-message--success')
  })

  await step('the first pass is watched: how much, how fast, how long still', async () => {
    await p.waitForSelector('.job')
    const fact = (label) => p.evaluate((l) => [...document.querySelectorAll('.job dt')].find((x) => x.innerText === l)?.nextElementSibling.innerText, label)
    const seen = new Set()
    await until('progress that moves', async () => {
      const rate = await fact('速率')
      if (/MiB\/s|KiB\/s/.test(rate ?? '')) seen.add(await fact('已完成'))
      if (seen.size >= 2 && /秒|分钟/.test((await fact('预计剩余')) ?? '')) return true
      if (/100%/.test(await p.locator('.job .el-progress').innerText())) throw new Error(`it ended before it was seen to move: ${[...seen]}`)
      return false
    }, 60000)
    await both(b, '16-progress')
    await rows().first().waitFor({ timeout: 90000 })
    await p.locator('.job .state', { hasText: '已完成' }).waitFor()
    await both(b, '17-first-point')
    await b.go('/start')
    await p.getByText('全部完成').waitFor()
    await both(b, '18-guide-done')
  })

  await step('the next point, and both on the line of time', async () => {
    await p.goBack()
    await p.waitForSelector('.job, .points')
    await b.settle()
    const lines = write.lines()
    await until('the writer to go on', () => write.lines() > lines + 2)
    await press('立即同步', '.page-head')
    await until('the second point', async () => (await rows().count()) >= 2, 60000)
    await drawn(b, '.timeline')
    await p.locator('.points').scrollIntoViewIfNeeded()
    await both(b, '19-points')
  })

  await step('the RPO is missed: an alarm, and the chart', async () => {
    await until('an alarm at the bell', async () => /[1-9]/.test(await p.locator('.top .el-badge').innerText()), 60000)
    await p.evaluate(() => scrollTo(0, 0))
    await drawn(b, '.rpo')
    await both(b, '20-rpo')
    await b.go('/alarms')
    await p.locator('.list tbody tr', { hasText: 'RPO' }).first().waitFor()
    await both(b, '21-alarm')
    await b.go('/dashboard')
    await both(b, '22-dashboard')
  })

  await step('the writer ends, a last point, the alarm goes', async () => {
    write.stop()
    disk.unmount()
    await b.go('/hosts')
    await p.locator('.list tbody tr a').first().click()
    await p.waitForSelector('.points')
    await b.settle()
    await press('立即同步', '.page-head')
    await until('the third point', async () => (await rows().count()) >= 3, 60000)
    await p.locator('.job .state', { hasText: '已完成' }).waitFor()
    await until('no alarm at the bell', async () => !/[1-9]/.test(await p.locator('.top .el-badge').innerText()), 60000)
  })

  const folder = join(dir, 'recovered')
  await step('all of its disks are recovered into a folder of the gateway, byte for byte', async () => {
    await press('恢复', '.page-head')
    await p.waitForSelector(`${DIALOG} .list tbody input`)
    await both(b, '23-recover-when')
    await p.locator(`${DIALOG} .list tbody input`).first().check()
    await press('下一步', DIALOG)
    await p.waitForSelector('#rc-path')
    await p.fill('#rc-path', folder)
    await p.locator(`${DIALOG} .el-radio-button`, { hasText: 'raw' }).click()
    await both(b, '24-recover-where')
    await press('下一步', DIALOG)
    await both(b, '25-recover-check')
    await press('恢复', `${DIALOG} .el-dialog__footer`)
    await p.waitForURL('**/recoveries')
    await p.locator('.list tbody tr', { hasText: '已完成' }).waitFor({ timeout: 60000 })
    await both(b, '26-recovered')
    const files = sh('find', folder, '-type', 'f').split('\n')
    assert.equal(files.length, 1, files.join(' '))
    sh('cmp', disk.device, files[0])
    sh('e2fsck', '-fn', files[0])
  })

  await step('one disk is recovered to a file of its own', async () => {
    const file = join(dir, 'one disk.raw')
    await p.locator('.list tbody tr a').first().click()
    await p.waitForSelector('.points')
    await b.settle()
    await press('恢复', '.page-head')
    await press('最新恢复点', DIALOG)
    await p.locator(`${DIALOG} .el-radio`, { hasText: '恢复为文件' }).click()
    await p.fill('#rc-path', file)
    await p.locator(`${DIALOG} .el-radio-button`, { hasText: 'raw' }).click()
    await both(b, '27-recover-one')
    await press('下一步', DIALOG)
    await press('恢复', `${DIALOG} .el-dialog__footer`)
    await p.waitForURL('**/recoveries')
    await until('two recoveries', async () => (await p.locator('.list tbody tr', { hasText: '已完成' }).count()) === 2, 60000)
    sh('cmp', disk.device, file)
  })

  await step('a point is opened without being restored: its files on the gateway, its disk over NBD', async () => {
    const openPoint = async (radio) => {
      await b.go('/hosts')
      await p.locator('.list tbody tr a').first().click()
      await p.waitForSelector('.points .list tbody tr')
      await b.settle()
      await press('在线访问', '.points .list tbody tr')
      await p.locator(`${DIALOG} .el-radio`).nth(radio).click()
      await press('在线访问', `${DIALOG} .el-dialog__footer`)
      await p.locator(`${DIALOG} .share .state`, { hasText: '可访问' }).waitFor({ timeout: 30000 })
    }
    const close = async () => {
      await press('停止访问', `${DIALOG} .el-dialog__footer`)
      await p.locator(`${DIALOG} .share .state`, { hasText: '已停止' }).waitFor({ timeout: 30000 })
      await press('关闭', `${DIALOG} .el-dialog__footer`)
    }
    await openPoint(0)
    await both(b, '28-open-files')
    const command = await p.locator(`${DIALOG} .copy pre`).innerText()
    const shared = command.replace(/^ls /, '')
    const images = sh('find', shared, '-type', 'f', '-size', '+1M').split('\n').filter((f) => String(statSync(f).size) === sh('blockdev', '--getsize64', disk.device))
    assert.ok(images.length, sh('find', shared))
    sh('cmp', disk.device, images[0])
    await close()
    await openPoint(1)
    await both(b, '29-open-nbd')
    const [key, read] = await p.locator(`${DIALOG} .copy pre`).allInnerTexts()
    const at = join(dir, 'reader')
    mkdirSync(at)
    execFileSync('sh', ['-c', `cd '${at}' && ${key} && ${read}`])
    sh('cmp', disk.device, join(at, 'disk.img'))
    await close()
    await b.go('/shares')
    await until('both are in the list', async () => (await p.locator('.list tbody tr', { hasText: '已停止' }).count()) === 2, 10000)
    await both(b, '30-shares')
  })

  await step('protection pauses and goes on', async () => {
    await p.locator('.list tbody tr a').first().click()
    await p.waitForSelector('.points')
    await b.settle()
    await press('暂停', '.page-head')
    await p.locator('.tile', { hasText: '已暂停' }).waitFor()
    await both(b, '31-paused')
    await press('恢复同步', '.page-head')
    await p.locator('.tile .state', { hasText: '已保护' }).waitFor()
  })

  await step('the host is deregistered, and the agent taken off by the command of its page', async () => {
    await b.go('/site/agent')
    await p.waitForSelector('.copy')
    const remove = await copied('li:has-text("卸载") .copy')
    assert.throws(() => sh('bash', '-c', remove), /still registered/)
    await b.go('/hosts')
    await p.locator('.list tbody tr a').first().click()
    await p.waitForSelector('.points')
    await press('更多操作', '.page-head')
    await p.locator('.el-dropdown-menu__item:visible', { hasText: '解除注册' }).click()
    await p.waitForSelector('.el-message-box')
    await both(b, '32-deregister')
    await press('解除注册', '.el-message-box')
    await p.waitForURL('**/hosts')
    await b.settle()
    await both(b, '33-deregistered')
    sh('bash', '-c', remove)
    assert.equal(existsSync(HOME), false)
    await b.go('/audit')
    await both(b, '31-audit')
  })
}

const why = whyNot()
if (!why && !process.env.BDR_OWN_MOUNTS) {
  /* A namespace that somebody copies meanwhile would hold the disk's file system: unmounted here, it would live on there. */
  const child = spawn('unshare', ['-m', '--propagation', 'private', process.execPath, ...process.argv.slice(1)], { stdio: 'inherit', env: { ...process.env, BDR_OWN_MOUNTS: '1' } })
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => child.kill(signal))
  process.exit(await new Promise((done) => child.on('exit', (code) => done(code ?? 1))))
}
if (why) {
  console.log(`ok real # SKIP ${why}`)
  tally.skipped++
} else {
  const dir = mkdtempSync(join(tmpdir(), 'bdr-web-real-'))
  after(() => rmSync(dir, { recursive: true, force: true }))
  for (const [signal, code] of [['SIGTERM', 143], ['SIGINT', 130]]) process.once(signal, () => clean().finally(() => process.exit(code)))
  try {
    pack()
    await story(dir)
  } catch (e) {
    const log = existsSync(join(dir, 'gateway.log')) ? readFileSync(join(dir, 'gateway.log'), 'utf8').split('\n').slice(-5).join('\n') : ''
    tally.bad('real', `${e.message ?? e}\n${log}`)
  }
  await clean()
}
console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`)
process.exit(tally.failed ? 1 : 0)
