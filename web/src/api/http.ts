/* SPDX-License-Identifier: Apache-2.0 */
/* One call of the API: from a typed route to its answer, or to a Problem that can be shown. */
import { permissions, type Routes } from '@gen/api'
import { said } from '@/lib/said'

export type Route = keyof Routes
type Args<K extends Route> = {
  path?: Routes[K]['path']
  query?: Partial<Record<string, unknown>>
  body?: Routes[K]['body']
  /** Same key, same request: asked twice, it is done once. */
  once?: string
  signal?: AbortSignal
}

export interface Fault {
  pointer: string
  code: string
  detail: string
}

/** What the API says when it says no (RFC 9457), or that it could not be asked at all (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly errors: Fault[] = [],
    readonly request = '',
  ) {
    super(detail)
  }

  /** What is wrong with each field of the form, by the field's name; of a field in a list by its whole path, "ceph/0/keyring", too. */
  byField(): Record<string, string> {
    return Object.fromEntries(
      this.errors.flatMap((e) => {
        const path = e.pointer.replace(/^[/?]/, '')
        return [[path.split('/')[0], said(e.detail)], [path, said(e.detail)]]
      }),
    )
  }
}

const watchers: Array<(p: Problem) => void> = []
/** Told of each Problem: the session store goes back to the login on a 401. */
export const onProblem = (fn: (p: Problem) => void): number => watchers.push(fn)

export function pathOf(route: string, params: Record<string, unknown> = {}): string {
  const path = route.slice(route.indexOf(' ') + 1)
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    if (params[name] === undefined || params[name] === '') throw new Error(`${route}: ${name} is missing`)
    return encodeURIComponent(String(params[name]))
  })
}

/** Empty values are left out: the API has its own defaults and refuses what it does not know. */
export function queryOf(query: Record<string, unknown> = {}): string {
  const pairs = Object.entries(query).flatMap(([name, v]) =>
    (Array.isArray(v) ? v : [v]).filter((x) => x !== undefined && x !== null && x !== '').map((x) => [name, String(x)]),
  )
  return pairs.length ? `?${new URLSearchParams(pairs as string[][])}` : ''
}

export function problemOf(status: number, body: unknown): Problem {
  const p = (body ?? {}) as Partial<Problem>
  return new Problem(status, p.code ?? '', p.detail ?? '', p.errors ?? [], p.request ?? '')
}

function failed(p: Problem): Problem {
  watchers.forEach((fn) => fn(p))
  return p
}

export async function call<K extends Route>(route: K, args: Args<K> = {}): Promise<Routes[K]['out']> {
  const method = route.slice(0, route.indexOf(' '))
  const headers: Record<string, string> = { 'X-Requested-With': 'bdr' }
  let answer: Response

  if (args.body !== undefined) headers['Content-Type'] = 'application/json'
  if (args.once) headers['Idempotency-Key'] = args.once
  try {
    answer = await fetch(pathOf(route, args.path as Record<string, unknown>) + queryOf(args.query), {
      method,
      headers,
      body: args.body === undefined ? undefined : JSON.stringify(args.body),
      credentials: 'same-origin',
      signal: args.signal,
    })
  } catch (e) {
    if ((e as Error).name === 'AbortError') throw e
    throw failed(new Problem(0, 'NET', ''))
  }
  const text = await answer.text()
  let body: unknown
  try {
    body = text ? JSON.parse(text) : undefined
  } catch {
    body = undefined
  }
  if (!answer.ok) throw failed(problemOf(answer.status, body))
  return body as Routes[K]['out']
}

const rank: Record<string, number> = { viewer: 1, operator: 2, admin: 3 }
const needs: Record<string, number> = { self: 1, read: 1, operate: 2, admin: 3 }

/** Would this role be let through? The console decides; this hides what it would refuse. */
export function roleMay(role: string, route: Route): boolean {
  const verb = permissions[route]?.split(':')[1]
  return !verb || (rank[role] ?? 0) >= (needs[verb] ?? 3)
}

export const newKey = (): string => crypto.randomUUID()
