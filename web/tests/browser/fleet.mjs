/* SPDX-License-Identifier: Apache-2.0 */
/* Machines that speak the real protocol with real certificates, and a site of them with something to look at. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const GiB = 2 ** 30
const ago = (ms) => new Date(Date.now() - ms).toISOString()
const HOUR = 3600000

function keyAndRequest(name) {
  const dir = mkdtempSync(join(tmpdir(), 'bdr-key-'))
  try {
    execFileSync('openssl', ['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${name}`,
      '-keyout', join(dir, 'key'), '-out', join(dir, 'csr')], { stdio: 'ignore' })
    return { key: readFileSync(join(dir, 'key'), 'utf8'), csr: readFileSync(join(dir, 'csr'), 'utf8') }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
export const rsaKey = () => execFileSync('openssl', ['genrsa', '-traditional', '2048'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString()

export class Machine {
  static async enrol(c, kind, name, more = {}) {
    const m = new Machine()
    const { token } = await c.call('POST', '/v1/enrolments', { kind, note: name })
    const { key, csr } = keyAndRequest(name)
    const got = await c.json('POST', '/v1/enrol', { token, kind, name, csr, os: 'Debian 12', version: '0.1.0', ...more })
    return Object.assign(m, { c, kind, name, host: got.host, tls: { key, cert: got.certificate } })
  }
  call(method, path, body) {
    return this.c.json(method, path, body, { tls: this.tls })
  }
  beat() {
    return this.call('POST', '/v1/machine/beat', { version: '0.1.0', os: 'Debian 12', jobs: 0, disks: 0, cpu_pct: 7, memory_bytes: 64 * 2 ** 20 })
  }
  async claim() {
    return (await this.call('POST', '/v1/machine/claim', { disks_free: 40 })).job
  }
  progress(job, done, total, step) {
    return this.call('POST', `/v1/machine/jobs/${job.id}/beat`, { fence: job.fence, pass: 1, done_bytes: done, total_bytes: total, stored_bytes: Math.round(done / 3), step })
  }
  end(job, how, more = {}) {
    return this.call('POST', `/v1/machine/jobs/${job.id}/end`, { fence: job.fence, how, ...more })
  }
}

const disk = (ref, size, more = {}) => ({ ref, name: ref.split('/').pop(), size_bytes: size, bus: 'virtio', use: 'ext4', ...more })

const PLATFORMS = {
  vmware: { name: 'vCenter Shanghai', endpoint: 'https://vcenter.example.com:443', username: 'backup@vsphere.local', password: 'not-a-real-one' },
  openstack: {
    name: 'OpenStack prod', endpoint: 'http://192.168.10.201:5000/v3', username: 'admin', password: 'not-a-real-one', user_domain: 'default', project_domain: 'default',
    project: 'admin', region: 'RegionOne',
    ceph: [{ monitors: '10.0.0.201,10.0.0.202,10.0.0.203', cephx: true, username: 'cinder', keyring: 'AQBBY9hfBc0+AxAAzyym+6l+MeTpMlgNTbye/A==', pool: 'volumes', diff: 'rbd_diff', cluster: 'ceph', volume_types: 'ssd,sata' }],
  },
  aws: { username: 'AKIAIOSFODNN7EXAMPLE', secret_key: 'not-a-real-one', region: 'ap-southeast-1' },
  fusioncompute: { name: 'FusionCompute 8.6', endpoint: 'https://fc.example.com:7443', username: 'admin', password: 'not-a-real-one' },
}

/** Everything there is to see; `hosts`: how many the VMware platform shows. */
export async function site(c, { hosts = 320 } = {}) {
  const s = { platforms: {} }
  s.gateway = await Machine.enrol(c, 'gateway', 'dr-gateway-1', { url: 'https://127.0.0.1:443' })
  s.proxies = [await Machine.enrol(c, 'proxy', 'sync-proxy-1'), await Machine.enrol(c, 'proxy', 'sync-proxy-2')]
  s.agents = [await Machine.enrol(c, 'agent', 'web1'), await Machine.enrol(c, 'agent', 'db1'), await Machine.enrol(c, 'agent', 'erp-application-server-in-the-old-building')]
  for (const m of [s.gateway, ...s.proxies, ...s.agents]) await m.beat()
  for (const a of s.agents)
    await a.call('PUT', '/v1/machine/inventory', {
      name: a.name, os: 'Debian GNU/Linux 12', kernel: '6.1.0', arch: 'x86_64', cpus: 4, memory_bytes: 8 * GiB, tracker: 'ebpf',
      disks: [disk('/dev/vda', 40 * GiB), disk('/dev/vdb', 200 * GiB), disk('/dev/sr0', 4 * GiB, { read_only: true, reason: 'it has no size: there is no medium in it' })],
    })
  /* db1's second disk has grown since */
  await s.agents[1].call('PUT', '/v1/machine/inventory', {
    name: 'db1', os: 'Debian GNU/Linux 12', kernel: '6.1.0', arch: 'x86_64', cpus: 4, memory_bytes: 8 * GiB, tracker: 'ebpf',
    disks: [disk('/dev/vda', 40 * GiB), disk('/dev/vdb', 240 * GiB), disk('/dev/sr0', 4 * GiB, { read_only: true, reason: 'it has no size: there is no medium in it' })],
  })
  await policiesAndRepositories(c, s)
  const proxyIds = (await c.call('GET', '/v1/proxies')).items.map((p) => p.id)
  for (const [kind, body] of Object.entries(PLATFORMS)) s.platforms[kind] = await c.call('POST', '/v1/platforms', { kind, ...body, proxies: kind === 'vmware' ? proxyIds : proxyIds.slice(0, 1) })
  s.platforms.oracle = await c.call('POST', '/v1/platforms', { kind: 'oracle', name: 'OCI Singapore', tenancy: 'ocid1.tenancy.oc1..aaaaaaaaxxxx', username: 'ocid1.user.oc1..aaaaaaabbbbb', private_key: rsaKey(), region: 'ap-singapore-1' })
  await scans(c, s, hosts)
  await protection(c, s)
  await people(c)
  /** Leases and machines live as long as they are heard of. */
  s.at = 90 * GiB
  s.alive = async () => {
    for (const m of [s.gateway, ...s.proxies, ...s.agents]) await m.beat()
    await s.agents[0].progress(s.running, s.at, 240 * GiB, s.step ?? 'reading /dev/vdb')
  }
  return s
}

async function policiesAndRepositories(c, s) {
  s.policy = await c.call('POST', '/v1/policies', { name: 'Every 15 minutes, a month', interval_ms: 900000, retention: 'last=24 hourly=24 daily=7 weekly=4', consistency: 'filesystem', zone: 'Asia/Shanghai' })
  await c.call('POST', '/v1/policies', { name: 'Nightly', cron: '30 2 * * *', retention: 'daily=30', zone: 'Asia/Shanghai', windows: 'mon-sun 01:00-06:00', bandwidth: 'mon-fri 08:00-18:00 10M' })
  const [gw] = (await c.call('GET', '/v1/gateways')).items
  s.repository = await c.call('POST', '/v1/repositories', { name: 'DR store 1', url: '/srv/bdr/store1', gateway: gw.id })
  await c.call('POST', '/v1/repositories', { name: 'Archive bucket', url: 's3://openbdr-archive/site-a', s3_key: 'AKIAEXAMPLE', s3_secret: 'not-a-real-one', s3_endpoint: 'https://s3.example.com', gateway: gw.id })
  await s.gateway.call('PUT', `/v1/gateway/repositories/${s.repository.id}/state`, { state: 'ok', used_bytes: 1.4e12, free_bytes: 2.6e12, data_bytes: 9.8e12 })
}

async function scans(c, s, hosts) {
  for (const p of s.proxies) {
    for (let job = await p.claim(); job; job = await p.claim()) {
      if (job.kind === 'scan' && job.platform?.kind === 'vmware') {
        const seen = Array.from({ length: hosts }, (_, i) => ({
          ref: `vm-${1000 + i}`, name: `vm-${String(i).padStart(4, '0')}`, addr: `10.1.${i >> 8}.${i & 255}`, os: i % 3 ? 'Rocky Linux 9' : 'Windows Server 2019', power: 'on',
          ...(i === 5 ? { reason: 'It has a shared disk.' } : {}), disks: [disk(`disk-${i}-0`, 60 * GiB)],
        }))
        for (let i = 0; i < seen.length; i += 500)
          await p.call('PUT', `/v1/machine/platforms/${s.platforms.vmware.id}/hosts`, { fence: job.fence, job: job.id, hosts: seen.slice(i, i + 500), complete: i + 500 >= seen.length })
        await p.end(job, 'finish')
      } else if (job.kind === 'scan' && job.platform?.kind === 'openstack')
        await p.end(job, 'fail', { error_code: 'AUTH', error_text: 'Keystone refused the user admin: the password is not right.' })
      else if (job.platform?.kind === 'aws') await p.end(job, 'finish')
      else await p.end(job, 'fail', { error_code: 'UNSUPPORTED', error_text: 'This version has no driver for that platform yet.' })
    }
  }
}

async function protection(c, s) {
  const byName = Object.fromEntries((await c.call('GET', '/v1/hosts?limit=500')).items.map((h) => [h.name, h]))
  s.hosts = byName
  for (const name of ['web1', 'db1', 'erp-application-server-in-the-old-building']) {
    const h = await c.call('GET', `/v1/hosts/${byName[name].id}`)
    await c.call('PUT', `/v1/hosts/${h.id}/protection`, { policy: s.policy.id, repository: s.repository.id, excluded: h.disks.filter((d) => d.reason).map((d) => d.id) })
    await c.call('POST', `/v1/hosts/${h.id}/sync`, { full: false }).catch((e) => {
      if (!/409/.test(e.message)) throw e /* else the policy was quicker */
    })
  }
  const [web, db, erp] = s.agents
  const total = 240 * GiB
  const done = await db.claim()
  const points = Array.from({ length: 30 }, (_, i) => ({
    ref: `point-${i}`, label: done.label, taken: ago((30 - i) * 4 * HOUR), full: i === 0, consistency: i % 7 === 3 ? 'crash' : 'filesystem', disk_bytes: total, read_bytes: i ? 2 * GiB : total, stored_bytes: i ? 640 * 2 ** 20 : 80 * GiB,
  }))
  points.push({ ref: 'point-now', label: done.label, taken: ago(120000), full: false, consistency: 'filesystem', disk_bytes: total, read_bytes: 3 * GiB, stored_bytes: GiB, job: done.id })
  await db.progress(done, total, total, 'sealing')
  await s.gateway.call('POST', `/v1/gateway/repositories/${s.repository.id}/points`, { points })
  await db.end(done, 'finish', { done_bytes: total, total_bytes: total, stored_bytes: GiB })
  s.running = await web.claim()
  await web.progress(s.running, 90 * GiB, total, 'reading /dev/vdb')
  const bad = await erp.claim()
  await erp.end(bad, 'fail', { error_code: 'IO', error_text: 'Reading /dev/vdb at 12.0 GiB: Input/output error.' })
}

async function people(c) {
  await c.call('POST', '/v1/users', { name: 'operator1', title: '王小明', mail: 'operator1@example.com', role: 'operator', password: 'first login only 1' })
  await c.call('POST', '/v1/users', { name: 'auditor', title: 'Alex Auditor', role: 'viewer', password: 'first login only 2' })
  await c.call('POST', '/v1/tokens', { name: 'monitoring', scopes: 'summary:read alarms:read' })
  await c.call('POST', '/v1/names', { name: 'vcenter.example.com', address: '10.1.0.10' })
  await c.call('POST', '/v1/channels', { name: 'Operators', kind: 'mail', host: 'mail.example.com', port: 587, from: 'openbdr@example.com', to: ['ops@example.com'], min_severity: 'warning', lang: 'zh' })
}
