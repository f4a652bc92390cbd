/* SPDX-License-Identifier: Apache-2.0 */
/* Who must reach whom, and what a Sync Proxy needs: the tables shown in every guide. */
import type { Two } from '@/i18n'

export interface Port {
  from: Two
  to: Two
  port: string
  why: Two
}

export const PROXY: Two = ['Sync Proxy', 'Sync Proxy']
export const CONSOLE: Two = ['OpenBDR Console', 'OpenBDR Console']

export const CONSOLE_PORTS: readonly Port[] = [
  { from: PROXY, to: CONSOLE, port: '10443', why: ['Authentication and control', '认证通信端口'] },
  { from: PROXY, to: CONSOLE, port: '30080', why: ['Download of packages', '安装包下载访问端口'] },
]

export const PROXY_SIZE: ReadonlyArray<{ what: Two; need: string }> = [
  { what: ['OS Version', 'OS Version'], need: 'Ubuntu 20.04' },
  { what: ['CPU', 'CPU'], need: '4C' },
  { what: ['Memory', 'Memory'], need: '8GB' },
  { what: ['System Disk', 'System Disk'], need: '50GB' },
]

const SOURCE: Two = ['Windows/Linux Host', 'Windows/Linux Host']
const GATEWAY: Two = ['Cloud Sync Gateway', 'Cloud Sync Gateway']

export const AGENT_PORTS: readonly Port[] = [
  { from: SOURCE, to: CONSOLE, port: '10443', why: ['Authentication and control', '认证通信端口'] },
  { from: SOURCE, to: CONSOLE, port: '30080', why: ['Download of packages', '安装包下载访问端口'] },
  {
    from: SOURCE, to: GATEWAY, port: '3260',
    why: ['Data (iSCSI protocol): for block storage over iSCSI', '数据同步端口（iSCSI 协议）：适用于块存储 iSCSI 协议'],
  },
  {
    from: SOURCE, to: GATEWAY, port: '443',
    why: ['Data (HTTPS protocol): for block storage over HTTPS', '数据同步端口（HTTPS 协议）：适用于块存储 HTTPS 协议'],
  },
  {
    from: SOURCE, to: ['Object Storage Services', 'Object Storage Services'], port: '443',
    why: [
      'Data (object storage over HTTPS/HTTP): for object storage. If the storage is named by a domain, add its name record first.',
      '数据同步端口（对象存储 HTTPS/HTTP 协议）：适用于对象存储模式。如果目标对象存储使用了域名，需要提前添加对象存储的域名解析或静态 hosts 解析。',
    ],
  },
]
