/* SPDX-License-Identifier: Apache-2.0 */
/* The browser's tab: the page, what it is about once that is known, and the alarms, wherever one works. */
import { reactive, watchEffect } from 'vue'
import { t } from '@/i18n'
import { titleOf } from '@/lib/title'

export const title = reactive({ page: '' /* a key of "nav" */, of: '', alarms: 0 })
export const startTitle = (): unknown => watchEffect(() => (document.title = titleOf(title.page ? t(`nav.${title.page}`) : '', title.of, title.alarms)))
