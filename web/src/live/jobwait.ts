/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a job to end: told by the stream, looked at once in a while in case a hint was lost. */
import { jobs, type Job } from '@/api/jobs'
import { listen } from './stream'

const LOOK_MS = 15000
const ENDS = ['done', 'failed', 'cancelled']

export function waitForJob(id: number, seen: (j: Job) => void = () => {}, signal?: AbortSignal): Promise<Job> {
  return new Promise((resolve, reject) => {
    let over = false
    const stop = listen(['job', 'progress'], (told) => {
      if (told.some((e) => e.kind === 'reset' || e.data.id === id)) void look()
    })
    const timer = setInterval(() => void look(), LOOK_MS)
    const end = (): void => {
      over = true
      stop()
      clearInterval(timer)
    }
    async function look(): Promise<void> {
      try {
        const j = await jobs.get(id)
        if (over) return
        seen(j)
        if (!ENDS.includes(j.state ?? '')) return
        end()
        resolve(j)
      } catch (e) {
        if (over) return
        end()
        reject(e)
      }
    }
    signal?.addEventListener('abort', () => {
      end()
      reject(new DOMException('given up', 'AbortError'))
    })
    void look()
  })
}
