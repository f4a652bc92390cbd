/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of events: who is told, how often, and that what is lost is asked for again. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { hear, listen, type Told } from '@/live/stream'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('gathers many events into one telling', () => {
  const told: Told[][] = []
  const stop = listen(['job'], (t) => told.push(t))
  for (let i = 0; i < 50; i++) hear('job', `{"id":${i}}`)
  hear('host', '{}')
  expect(told).toHaveLength(0)
  vi.advanceTimersByTime(1000)
  expect(told).toHaveLength(1)
  expect(told[0]).toHaveLength(50)
  expect(told[0][7].data.id).toBe(7)
  stop()
})
it('tells everybody after something was missed', () => {
  const fn = vi.fn()
  const stop = listen(['alarm'], fn)
  hear('reset', '{}')
  vi.advanceTimersByTime(1000)
  expect(fn).toHaveBeenCalledTimes(1)
  stop()
})
it('tells nobody who has gone', () => {
  const fn = vi.fn()
  const stop = listen(['job'], fn)
  hear('job', 'no json at all')
  stop()
  vi.advanceTimersByTime(1000)
  expect(fn).not.toHaveBeenCalled()
})
