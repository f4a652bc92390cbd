/* SPDX-License-Identifier: Apache-2.0 */
/* Where the keyboard is: with each step of a guide it goes to that step, to the first field that is wrong, and back to a menu. */
import { nextTick, watch, type Ref } from 'vue'

/** The button that led to a step goes with it: without this, the keyboard would be nowhere. */
export function followSteps(step: Ref<number>, shown: Ref<boolean>, body: Ref<HTMLElement | undefined>): void {
  watch(step, async () => {
    if (!shown.value) return
    await nextTick()
    body.value?.scrollTo({ top: 0 })
    body.value?.focus()
  })
}

/** Once what is wrong is drawn. */
export async function toFirstWrong(): Promise<void> {
  await nextTick()
  document.querySelector<HTMLElement>('.el-dialog .is-error input, .el-dialog .is-error textarea')?.focus()
}

/** From an entry of a menu, which is gone at once, to what opened the menu: a dialog that closes gives the keyboard back to that. */
export function toMenuOpener(): void {
  document.querySelector<HTMLElement>('[aria-haspopup="menu"][aria-expanded="true"]')?.focus()
}
