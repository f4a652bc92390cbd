/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens, as it happens: one event stream for all pages. Events are hints; whoever cares asks the API again, at
 * most once in GATHER_MS however many came. A stream that broke comes back by itself, later and later.
 */
import { onUnmounted, ref } from 'vue'

export type Kind = string
export interface Told {
  kind: Kind
  data: Record<string, unknown>
}

const GATHER_MS = 400
const RETRY_MS = [1000, 2000, 5000, 10000, 30000]
/** The events the console tells people of; an EventSource hears only the names it asked for. */
export const KINDS: readonly Kind[] = [
  'host', 'job', 'progress', 'point', 'recovery', 'platform', 'proxy', 'machine', 'gateway', 'repository', 'policy',
  'alarm', 'channel', 'user', 'settings', 'name',
]

interface Listener {
  kinds: readonly Kind[]
  got: Told[]
  timer: ReturnType<typeof setTimeout> | undefined
  fn: (told: Told[]) => void
}

const listeners = new Set<Listener>()
let source: EventSource | undefined
let tries = 0
let retry: ReturnType<typeof setTimeout> | undefined
export const connected = ref(false)

function deliver(l: Listener): void {
  const got = l.got
  l.got = []
  l.timer = undefined
  l.fn(got)
}

/** Exported for tests: what the stream does with one event. "reset" concerns everybody: something was missed. */
export function hear(kind: Kind, text: string): void {
  let data: Record<string, unknown> = {}
  try {
    data = JSON.parse(text || '{}') as Record<string, unknown>
  } catch {
    /* a hint without details is still a hint */
  }
  for (const l of listeners)
    if (kind === 'reset' || !l.kinds.length || l.kinds.includes(kind)) {
      l.got.push({ kind, data })
      l.timer ??= setTimeout(() => deliver(l), GATHER_MS)
    }
}

export function listen(kinds: readonly Kind[], fn: (told: Told[]) => void): () => void {
  const l: Listener = { kinds, got: [], timer: undefined, fn }
  listeners.add(l)
  return () => {
    clearTimeout(l.timer)
    listeners.delete(l)
  }
}

/** The same for as long as the component lives. */
export function useLive(kinds: readonly Kind[], fn: (told: Told[]) => void): void {
  onUnmounted(listen(kinds, fn))
}

export function startStream(url = '/v1/stream'): void {
  stopStream()
  const s = new EventSource(url)
  source = s
  s.onopen = () => {
    if (tries) hear('reset', '{}')
    tries = 0
    connected.value = true
  }
  s.onerror = () => {
    connected.value = false
    if (s.readyState !== EventSource.CLOSED) return /* the browser tries by itself */
    retry = setTimeout(() => startStream(url), RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)])
  }
  for (const kind of [...KINDS, 'reset']) s.addEventListener(kind, (e) => hear(kind, (e as MessageEvent<string>).data))
}

export function stopStream(): void {
  clearTimeout(retry)
  source?.close()
  source = undefined
  connected.value = false
}
