/* SPDX-License-Identifier: Apache-2.0 */
/* All words, by area. */
import { feed } from './feed'
import { frame } from './frame'
import { protect } from './protect'
import { site } from './site'
import { watching } from './watch'

export const words = { ...frame, ...site, ...protect, ...watching, ...feed } as const
