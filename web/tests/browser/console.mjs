/* SPDX-License-Identifier: Apache-2.0 */
/* A real bdr-console in a temporary folder, and calls to it as a person who has logged in. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export const BUILD = resolve(process.env.BUILD ?? '../build')
export const PASSWORD = 'correct horse battery staple'

export const freePort = () =>
  new Promise((done, fail) => {
    const s = createServer()
    s.on('error', fail).listen(0, '127.0.0.1', () => {
      const { port } = s.address()
      s.close(() => done(port))
    })
  })

/** Until fn gives something true; it is asked again every 50 ms, not longer than `ms`. */
export async function until(what, fn, ms = 20000) {
  const end = Date.now() + ms
  for (;;) {
    const got = await fn()
    if (got) return got
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`)
    await new Promise((r) => setTimeout(r, 50))
  }
}

export class Console {
  /** `packages`: a folder that 30080 serves. `program`: another one than the build's, which has to find its web files itself. */
  static async start({ packages, program } = {}) {
    const c = new Console()
    c.dir = mkdtempSync(join(tmpdir(), 'bdr-web-'))
    c.port = await freePort()
    c.httpPort = await freePort()
    c.base = `https://127.0.0.1:${c.port}`
    c.log = ''
    const args = ['run', '--data', c.dir, '--address', '127.0.0.1', '--port', c.port, '--http-port', c.httpPort, '--name', '127.0.0.1',
      ...(program ? [] : ['--web', join(BUILD, 'web/dist')]), ...(packages ? ['--packages', packages] : [])]
    c.run = [program ?? join(BUILD, 'src/console/bdr-console'), args.map(String)]
    try {
      await c.begin()
    } catch (e) {
      await c.stop()
      throw e
    }
    return c
  }

  get ca() {
    return readFileSync(join(this.dir, 'ca.crt'))
  }
  get firstPassword() {
    return readFileSync(join(this.dir, 'initial-password'), 'utf8').trim()
  }

  /** One request as it is, the path untouched; `tls`: a machine's key and certificate. */
  raw(method, path, { body, headers = {}, tls = {} } = {}) {
    return new Promise((done, fail) => {
      const text = body === undefined ? undefined : JSON.stringify(body)
      const req = request(
        { host: '127.0.0.1', port: this.port, method, path, ca: this.ca, servername: '', agent: false, ...tls,
          headers: { ...(text ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) } : {}), ...headers } },
        (res) => {
          const parts = []
          res.on('data', (d) => parts.push(d))
          res.on('end', () => done({ status: res.statusCode, headers: res.headers, body: Buffer.concat(parts) }))
        },
      )
      req.on('error', fail)
      req.end(text)
    })
  }

  async json(method, path, body, more = {}) {
    const r = await this.raw(method, path, { body, ...more })
    const text = r.body.toString()
    if (r.status >= 400) throw new Error(`${method} ${path}: ${r.status} ${text}`)
    return text ? JSON.parse(text) : undefined
  }

  /** As a person; a browser's cookie. */
  async login(name, password) {
    const r = await this.raw('POST', '/v1/session', { body: { name, password } })
    if (r.status !== 200) throw new Error(`login: ${r.status} ${r.body}`)
    this.cookie = r.headers['set-cookie'][0].split(';')[0]
  }
  call(method, path, body) {
    return this.json(method, path, body, { headers: { Cookie: this.cookie, 'X-Requested-With': 'bdr' } })
  }

  /** The program, on its ports and its data; again after end(). */
  async begin() {
    this.ended = undefined
    this.child = spawn(...this.run, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.child.stdout.on('data', (d) => (this.log += d))
    this.child.stderr.on('data', (d) => (this.log += d))
    this.child.on('exit', (code, sig) => (this.ended = `${code ?? sig}`))
    await until('the console', async () => {
      if (this.ended !== undefined) throw new Error(`the console ended (${this.ended}):\n${this.log}`)
      return (await this.raw('GET', '/v1/health/ready').catch(() => undefined))?.status === 200
    })
    this.away = false
  }
  async end() {
    this.away = true
    if (!this.child || this.ended !== undefined) return
    this.child.kill('SIGTERM')
    await until('the console to end', () => this.ended !== undefined, 10000).catch(() => this.child.kill('SIGKILL'))
  }
  async stop() {
    await this.end()
    rmSync(this.dir, { recursive: true, force: true })
  }
}
