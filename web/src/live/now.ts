/* SPDX-License-Identifier: Apache-2.0 */
/* The time, for what is shown as an age: a page that stands open grows older with it. */
import { ref } from 'vue'

const LOOK_MS = 2000
const at = ref(Date.now())
setInterval(() => {
  if (!document.hidden) at.value = Date.now()
}, LOOK_MS)
export const now = (): number => at.value
