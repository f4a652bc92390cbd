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

/** "[s]" and "[is,are]" go by the number before them: 1 host, 2 hosts. Only in texts that were written so. */
export function counted(text: string): string {
  let n = NaN
  return text.replace(/(\d[\d.,]*)|\[([a-z]*)(?:,([a-z]*))?\]/g, (all, number: string | undefined, one: string, many?: string) => {
    if (number !== undefined) {
      n = Number(number)
      return all
    }
    return many === undefined ? (n === 1 ? '' : one) : n === 1 ? one : many
  })
}
const COUNTED = /\[[a-z]*(,[a-z]*)?\]/
const countedKeys = new Set<string>()
function findCounted(tree: Tree, at: string): void {
  for (const [key, v] of Object.entries(tree))
    if (!isTwo(v)) findCounted(v, `${at}${key}.`)
    else if (v.some((x) => COUNTED.test(x))) countedKeys.add(at + key)
}
findCounted(words, '')

export const t = (key: string, values?: Record<string, unknown>): string => {
  const text = i18n.global.t(key, values as Record<string, unknown>)
  return countedKeys.has(key) ? counted(text) : text
}
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
