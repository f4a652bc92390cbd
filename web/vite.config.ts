/* SPDX-License-Identifier: Apache-2.0 */
/* The build: hashed names under assets/, nothing inline (the console's CSP would refuse it), a .gz beside each file. */
import vue from '@vitejs/plugin-vue'
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

const out = resolve(process.env.BDR_WEB_OUT ?? '../build/web/dist')
const gen = resolve(process.env.BDR_WEB_GEN ?? '../build/web/gen')

function packed(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (statSync(path).isDirectory()) packed(path)
    else if (/\.(js|css|html|svg|json)$/.test(name)) writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }))
  }
}
const gzip: Plugin = { name: 'gzip', apply: 'build', closeBundle: () => packed(out) }

export default defineConfig({
  plugins: [vue(), gzip],
  resolve: { alias: { '@': resolve('src'), '@gen': gen } },
  define: { __VUE_OPTIONS_API__: true, __VUE_PROD_DEVTOOLS__: false, __VUE_I18N_LEGACY_API__: false, __INTLIFY_PROD_DEVTOOLS__: false },
  build: {
    outDir: out,
    emptyOutDir: true,
    target: 'es2021',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1200,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        manualChunks: { vue: ['vue', 'vue-router', 'vue-i18n'], charts: ['echarts/core', 'echarts/charts', 'echarts/components', 'echarts/renderers'] },
      },
    },
  },
  server: { proxy: { '/v1': { target: process.env.BDR_CONSOLE ?? 'https://127.0.0.1:10443', secure: false } } },
  test: { include: ['tests/unit/**/*.test.ts'], environment: 'node' },
} as never)
