/* SPDX-License-Identifier: Apache-2.0 */
import type { Channel } from '@gen/api'
import { call } from './http'

export type { Channel }
export type ChannelBody = Partial<Channel> & { name: string; kind: Channel['kind'] }
export const channels = {
  list: (cursor?: string, limit?: number) => call('GET /v1/channels', { query: { cursor, limit } }),
  add: (c: ChannelBody) => call('POST /v1/channels', { body: c as Channel }),
  change: (id: number, c: Partial<Channel>) => call('PATCH /v1/channels/{id}', { path: { id }, body: c }),
  remove: (id: number) => call('DELETE /v1/channels/{id}', { path: { id } }),
  test: (id: number) => call('POST /v1/channels/{id}/test', { path: { id } }),
}
