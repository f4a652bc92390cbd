/* SPDX-License-Identifier: Apache-2.0 */
/* "Mozilla/5.0 (X11; Linux x86_64) ... Chrome/129.0 Safari/537.36" -> "Chrome 129, Linux"; the more special names come first. Pure. */
const NAMES: ReadonlyArray<readonly [RegExp, string]> = [
  [/\bEdg\w*\/(\d+)/, 'Edge'], [/\bOPR\/(\d+)/, 'Opera'], [/\bFirefox\/(\d+)/, 'Firefox'], [/\b(?:Headless)?Chrom(?:e|ium)\/(\d+)/, 'Chrome'], [/\bVersion\/(\d+).*Safari/, 'Safari'],
  [/^curl\/([\d.]+)/, 'curl'], [/^bdr\/([\d.]+)/, 'bdr'],
]
const SYSTEMS: ReadonlyArray<readonly [RegExp, string]> = [
  [/Android/, 'Android'], [/iPhone|iPad/, 'iOS'], [/Windows/, 'Windows'], [/Mac OS X/, 'macOS'], [/Linux|X11/, 'Linux'],
]

export function browserOf(agent: string | undefined): string {
  if (!agent) return '-'
  const name = NAMES.flatMap(([test, n]) => (test.exec(agent) ? [`${n} ${test.exec(agent)?.[1]}`] : []))[0]
  const system = SYSTEMS.find(([test]) => test.test(agent))?.[1]
  return name ? [name, system].filter(Boolean).join(', ') : agent.slice(0, 60)
}
