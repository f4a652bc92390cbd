/* SPDX-License-Identifier: Apache-2.0 */
/* A Problem in words: the kind in the reader's language, then what the console said about this very case. */
import { ElMessage, ElMessageBox } from 'element-plus'
import type { Problem } from '@/api/http'
import { has, t } from '@/i18n'
import { said } from './said'

export function problemText(p: Problem): { title: string; detail: string } {
  const code = String(p.code || '').toUpperCase()
  const key = has(`problem.${code}`) ? code : p.status === 0 ? 'NET' : p.status >= 500 ? 'INTERNAL' : 'INVAL'
  return { title: t(`problem.${key}`), detail: said(p.detail) || t(`todo.${key}`) }
}

export function tell(p: unknown): void {
  if (p === 'cancel' || p === 'close') return /* the person closed the question */
  if ((p as Problem).status === 401) return /* the login that comes up says so */
  const text = p instanceof Error && 'code' in p ? problemText(p as Problem) : { title: t('problem.INTERNAL'), detail: String(p) }
  ElMessage({ type: 'error', message: `${text.title}: ${text.detail}`, duration: 8000, showClose: true, grouping: true })
}

export const done = (text: string): void => void ElMessage({ type: 'success', message: text, grouping: true })

/** Asks before something that cannot be undone; rejects when the answer is no. */
export function sure(title: string, text: string, button: string): Promise<unknown> {
  return ElMessageBox.confirm(text, title, {
    confirmButtonText: button, cancelButtonText: t('do.cancel'), type: 'warning', confirmButtonClass: 'el-button--danger', autofocus: false,
  })
}

/** One of two; undefined when the question was closed without an answer. */
export function choose(title: string, text: string, yes: string, no: string): Promise<boolean | undefined> {
  return ElMessageBox.confirm(text, title, { confirmButtonText: yes, cancelButtonText: no, type: 'warning', distinguishCancelAndClose: true, autofocus: false }).then(
    () => true,
    (how: unknown) => (how === 'cancel' ? false : undefined),
  )
}
