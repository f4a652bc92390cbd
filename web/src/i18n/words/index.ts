/* SPDX-License-Identifier: Apache-2.0 */
/* All words, by area. */
import { frame } from './frame'
import { protect } from './protect'
import { site } from './site'
import { watching } from './watch'

export const words = { ...frame, ...site, ...protect, ...watching } as const
