/* SPDX-License-Identifier: Apache-2.0 */
/* Light or dark: what was chosen, else what the system says. */
import { ref } from 'vue'

const STORE = 'bdr.theme'
export const dark = ref(false)

function show(on: boolean): void {
  dark.value = on
  document.documentElement.classList.toggle('dark', on)
}

export function startTheme(): void {
  const chosen = localStorage.getItem(STORE)
  const system = matchMedia('(prefers-color-scheme: dark)')
  show(chosen ? chosen === 'dark' : system.matches)
  system.addEventListener('change', (e) => {
    if (!localStorage.getItem(STORE)) show(e.matches)
  })
}

export function toggleTheme(): void {
  show(!dark.value)
  localStorage.setItem(STORE, dark.value ? 'dark' : 'light')
}
