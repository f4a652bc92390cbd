/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two languages, word beside word: every text is a pair [English, Chinese], so that neither language can miss one.
 * vue-i18n gets one tree a language, made of these pairs when the program starts.
 */
import { createI18n } from 'vue-i18n'
import type { Plugin } from 'vue'
import { words } from './words'

export type Two = readonly [en: string, zh: string]
export type Lang = 'en' | 'zh'
export interface Tree {
  readonly [key: string]: Two | Tree
}
export const LANGS: readonly Lang[] = ['en', 'zh']

/** vue-i18n's own signs, as plain text; {name} stays a place for a value. */
export const plain = (text: string): string => text.replace(/[@|]/g, (c) => `{'${c}'}`)

export const isTwo = (v: Two | Tree): v is Two => Array.isArray(v)

export function split(tree: Tree, lang: Lang): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(tree).map(([key, v]) => [key, isTwo(v) ? plain(v[lang === 'en' ? 0 : 1]) : split(v, lang)]),
  )
}

export function firstLang(stored: string | null, browser: readonly string[]): Lang {
  if (stored === 'en' || stored === 'zh') return stored
  return browser.some((l) => l.toLowerCase().startsWith('zh')) && !browser[0]?.toLowerCase().startsWith('en') ? 'zh' : 'en'
}

/* What of vue-i18n is used; its own types follow every key of every tree and take the compiler minutes. */
type I18n = Plugin & { global: { t: (key: string, values?: Record<string, unknown>) => string; te: (key: string) => boolean; locale: { value: Lang } } }

const STORE = 'bdr.lang'
const start: Lang =
  typeof localStorage === 'undefined' ? 'en' : firstLang(localStorage.getItem(STORE), navigator.languages ?? [navigator.language])

export const i18n = createI18n({
  legacy: false,
  locale: start,
  fallbackLocale: 'en',
  messages: { en: split(words, 'en'), zh: split(words, 'zh') } as never,
}) as unknown as I18n

export const t = i18n.global.t
export const has = (key: string): boolean => i18n.global.te(key)
export const lang = (): Lang => i18n.global.locale.value
/** A pair in the language of now; reactive. `{name}` is filled from `values`. */
export function say(two: Two, values: Record<string, string | number> = {}): string {
  return two[lang() === 'en' ? 0 : 1].replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all))
}
/** A word of a table by what the API calls it; what nobody translated is shown as it is. */
export const word = (table: string, name: string | undefined): string =>
  !name ? '' : has(`${table}.${name}`) ? t(`${table}.${name}`) : name

export function setLang(l: Lang): void {
  i18n.global.locale.value = l
  localStorage.setItem(STORE, l)
  document.documentElement.lang = l === 'zh' ? 'zh-CN' : 'en'
}
