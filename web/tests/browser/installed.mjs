/* SPDX-License-Identifier: Apache-2.0 */
/* What `meson install` put somewhere finds its web files there, whatever stands in the build. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BUILD, Console } from './console.mjs'

const find = (dir, name) => readdirSync(dir, { recursive: true, withFileTypes: true }).filter((e) => e.name === name).map((e) => join(e.path ?? e.parentPath, e.name))

export async function installedTests(tally) {
  const dest = mkdtempSync(join(tmpdir(), 'bdr-install-'))
  await tally.test('installed: the console finds its web files', async () => {
    execFileSync('meson', ['install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir', dest], { stdio: ['ignore', 'ignore', 'pipe'] })
    const [program] = find(dest, 'bdr-console')
    const [page] = find(dest, 'index.html')
    assert.ok(program && page?.endsWith('/share/openbdr/web/index.html'), `${program} ${page}`)
    const c = await Console.start({ program })
    try {
      const got = await c.raw('GET', '/')
      assert.equal(got.status, 200)
      const asset = /assets\/[\w.-]+\.js/.exec(got.body.toString())[0]
      assert.equal((await c.raw('GET', `/${asset}`)).status, 200)
      rmSync(page) /* it is this one, and no other */
      rmSync(`${page}.gz`, { force: true })
      assert.equal((await c.raw('GET', '/')).status, 404)
    } finally {
      await c.stop()
    }
  })
  rmSync(dest, { recursive: true, force: true })
}
