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

/*
 * Of all tabs of a browser one holds the stream and passes on what it hears: a browser opens six connections to a place,
 * and tabs that each kept one would leave none to work with. When that tab goes, its lock goes to another.
 */
const SHARED = 'bdr.stream'
let channel: BroadcastChannel | undefined
let waiting: AbortController | undefined
let letGo: (() => void) | undefined
let followed = false /* another tab had the stream: what came between its end and ours was missed */

function hearAll(kind: Kind, text: string): void {
  hear(kind, text)
  channel?.postMessage({ kind, text })
}
function beConnected(on: boolean): void {
  connected.value = on
  channel?.postMessage({ connected: on })
}

function openSource(url: string): void {
  source?.close()
  const s = new EventSource(url)
  source = s
  s.onopen = () => {
    if (tries || followed) hearAll('reset', '{}')
    tries = 0
    followed = false
    beConnected(true)
  }
  s.onerror = () => {
    beConnected(false)
    if (s.readyState !== EventSource.CLOSED) return /* the browser tries by itself */
    retry = setTimeout(() => openSource(url), RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)])
  }
  for (const kind of [...KINDS, 'reset']) s.addEventListener(kind, (e) => hearAll(kind, (e as MessageEvent<string>).data))
}

interface Passed {
  kind?: Kind
  text?: string
  connected?: boolean
  ask?: true
}
function follow(m: Passed): void {
  if (m.ask) {
    if (source) channel?.postMessage({ connected: connected.value })
    return
  }
  if (source) return /* the stream is here */
  followed = true
  if (m.connected !== undefined) connected.value = m.connected
  if (m.kind) hear(m.kind, m.text ?? '')
}

export function startStream(url = '/v1/stream'): void {
  stopStream()
  if (!('locks' in navigator) || !('BroadcastChannel' in globalThis)) return openSource(url)
  channel = new BroadcastChannel(SHARED)
  channel.onmessage = (e: MessageEvent<Passed>) => follow(e.data)
  channel.postMessage({ ask: true })
  waiting = new AbortController()
  const hold = (): Promise<void> =>
    new Promise((done) => {
      letGo = done
      openSource(url)
    })
  navigator.locks.request(SHARED, { signal: waiting.signal }, hold).catch(() => undefined) /* it was not waited for any longer */
}

export function stopStream(): void {
  clearTimeout(retry)
  source?.close()
  source = undefined
  connected.value = false
  waiting?.abort()
  letGo?.()
  channel?.close()
  waiting = letGo = channel = undefined
  followed = false
}
