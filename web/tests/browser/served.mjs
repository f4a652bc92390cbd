/* SPDX-License-Identifier: Apache-2.0 */
/* How the console serves the web console's files: headers, caching, packing, and what it never gives. */
import assert from 'node:assert/strict'
import { gunzipSync } from 'node:zlib'

export async function servedTests(c, tally) {
  const page = await c.raw('GET', '/')
  const asset = /assets\/[\w.-]+\.js/.exec(page.body.toString())?.[0]

  await tally.test('served: the page and its policy', () => {
    assert.equal(page.status, 200)
    assert.equal(page.headers['content-type'], 'text/html; charset=utf-8')
    assert.equal(page.headers['cache-control'], 'no-cache')
    const csp = page.headers['content-security-policy']
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) assert.ok(csp.includes(part), part)
    assert.ok(!/unsafe|\*|https?:/.test(csp), csp)
    assert.equal(page.headers['x-content-type-options'], 'nosniff')
    assert.equal(page.headers['referrer-policy'], 'no-referrer')
    assert.match(page.headers['strict-transport-security'], /max-age=\d+/)
    assert.ok(!/<script(?![^>]*src=)|<style|\son\w+=|https?:\/\//.test(page.body.toString()), 'nothing inline, nothing from elsewhere')
  })
  await tally.test('served: hashed files are kept for ever, packed when asked for', async () => {
    const plain = await c.raw('GET', `/${asset}`)
    assert.equal(plain.headers['cache-control'], 'public, max-age=31536000, immutable')
    assert.equal(plain.headers['content-encoding'], undefined)
    const packed = await c.raw('GET', `/${asset}`, { headers: { 'Accept-Encoding': 'gzip, br' } })
    assert.equal(packed.headers['content-encoding'], 'gzip')
    assert.deepEqual(gunzipSync(packed.body), plain.body)
    assert.equal(packed.headers.vary, 'Accept-Encoding')
  })
  await tally.test('served: a page that has not changed is not sent again', async () => {
    const again = await c.raw('GET', '/hosts', { headers: { 'If-None-Match': page.headers.etag } })
    assert.equal(again.status, 304)
    assert.equal(again.body.length, 0)
    assert.equal((await c.raw('HEAD', '/')).body.length, 0)
  })
  for (const path of ['/../ca.key', '/assets/../../master.key', '/%2e%2e/ca.key', '/..%2f..%2fetc/passwd', '//etc/passwd', '/assets/..%5cca.key', '/.git/config', '/assets/.x.js', '/v1/no-such', '/console.db'])
    await tally.test(`served: ${path} is not there`, async () => {
      const r = await c.raw('GET', path, { headers: { 'Accept-Encoding': 'gzip' } })
      assert.ok([400, 404].includes(r.status), `${r.status} ${r.body.toString().slice(0, 80)}`)
      assert.ok(!/PRIVATE|root:|<!doctype/i.test(r.body.toString()))
    })
  await tally.test('served: pages take GET only', async () => assert.ok([404, 405].includes((await c.raw('POST', '/hosts')).status)))
}
