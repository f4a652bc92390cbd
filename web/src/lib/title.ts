/* SPDX-License-Identifier: Apache-2.0 */
/* What the browser's tab says: how many alarms, of what, which page. Pure. */
export const titleOf = (page: string, of: string, alarms: number): string =>
  `${alarms > 0 ? `(${alarms}) ` : ''}${[of, page, 'OpenBDR'].filter(Boolean).join(' · ')}`
