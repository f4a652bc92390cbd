/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The five platforms of a production site as the operator's manual describes them: the steps of the guide, the fields
 * with their examples and hints, the ports, the rights. The pages have no words of a platform of their own.
 */
import type { Two } from '@/i18n'
import { PROXY, type Port } from './ports'

export type Kind = 'vmware' | 'openstack' | 'aws' | 'fusioncompute' | 'oracle'
export type Column =
  | 'endpoint' | 'username' | 'password' | 'user_domain' | 'project' | 'project_domain' | 'region' | 'secret_key'
  | 'tenancy' | 'key_print' | 'private_key'

export interface Field {
  column: Column
  label: Two
  /** text; secret: never shown again; region: may be fetched; file: a key that is uploaded */
  as: 'text' | 'secret' | 'region' | 'file'
  def?: string
  example?: string | Two
  hint?: Two
  /** Where the hint sends people: a page of the console, or documentation elsewhere. */
  link?: Link
  /** The console finds it out by itself when it is left empty. */
  optional?: true
  pattern?: { test: RegExp; say: Two }
}
export interface Link {
  href: string
  text: Two
}

export interface DeployStep {
  title: Two
  text: Two
  link?: Link
  note?: Two
  /** The install command stands under this step. */
  command?: true
}

export interface Platform {
  kind: Kind
  title: string
  steps: readonly DeployStep[]
  terms?: ReadonlyArray<{ title: Two; items: readonly Two[] }>
  fields: readonly Field[]
  ports: readonly Port[]
  /** Where to find what the form asks for. */
  find?: Two
  rights?: Two
  done: Two
  again: Two
  counted: Two
}

const URL_RULE = {
  test: /^https?:\/\/[^\s/]+(:\d+)?(\/\S*)?$/,
  say: ['Begins with https:// (or http://), then the address.', '以 https://（或 http://）开头，后跟地址。'] as Two,
}
const NAMES_HINT = (what: string): Two => [
  `If ${what} goes by a domain name, find out its IP address first and add the record under Settings > Name resolution.`,
  `添加 ${what} 链接地址时，如果源端使用了域名进行管理，则需提前获取域名与 IP 地址的对应关系，并将记录添加到平台以支持解析（设置 > 域名解析）。`,
]
const NAMES: Link = { href: '/settings/names', text: ['Name resolution', '域名解析'] }
const UBUNTU = 'https://cloud-images.ubuntu.com/focal/current/focal-server-cloudimg-amd64'

const RUN: DeployStep = {
  title: ['Copy and run the install command', '复制并执行安装同步代理指令'],
  text: [
    'As root, in a terminal of that machine. When it is done, the proxy shows up here by itself.',
    '以 root 身份在该主机的终端内粘贴执行。执行安装后会自动注册到平台侧。',
  ],
  command: true,
}
const OVA: DeployStep = {
  title: ['Download the OVA file for the Sync Proxy', '下载源端同步代理 OVA 文件'],
  text: ['A standard Ubuntu 20.04 image.', '标准的 Ubuntu 20.04 镜像。'],
  link: { href: `${UBUNTU}.ova`, text: ['Download the OVA', '点击下载 OVA'] },
}
const LOGIN: DeployStep = {
  title: ['Log in to the new proxy machine', '安装源端同步代理，登录新创建的同步代理虚拟机'],
  text: [
    'The image has no default password: give it one, or an SSH key, by cloud-init (the "user-data" of the OVA\'s form).',
    '镜像没有默认登录密码：请通过 cloud-init（OVA 表单中的 user-data）注入密码或 SSH 密钥。',
  ],
}

export const PLATFORMS: readonly Platform[] = [
  {
    kind: 'vmware',
    title: 'VMware',
    steps: [
      OVA,
      {
        title: ['Import it into the VMware cluster', '用 OVA 文件，导入到 VMware 集群'],
        text: [
          'Deploy one or more Sync Proxy machines and give them IP addresses.',
          '部署一台或多台源端同步代理虚拟机，并配置 IP 地址。',
        ],
      },
      LOGIN,
      RUN,
    ],
    fields: [
      {
        column: 'endpoint', label: ['Authentication address', '鉴权地址'], as: 'text', example: 'https://<vCenter/ESXi Host>:443',
        hint: NAMES_HINT('vCenter/ESXi'), link: NAMES, pattern: URL_RULE,
      },
      { column: 'username', label: ['User name', '用户名'], as: 'text', example: ['User name for vCenter/ESXi', '连接 vCenter/ESXi 主机的用户名'], hint: ['The user who connects to vCenter or ESXi.', '用于连接 vCenter 或 ESXi 的用户名。'] },
      { column: 'password', label: ['Password', '密码'], as: 'secret', example: ['Password for vCenter/ESXi', '连接 vCenter/ESXi 主机的密码'], hint: ['The password for vCenter or ESXi.', '用于连接 vCenter 或 ESXi 的密码。'] },
    ],
    ports: [
      { from: PROXY, to: ['vCenter/ESXi', 'vCenter/ESXi'], port: '443', why: ['Authentication and control', '认证通信端口'] },
      {
        from: PROXY, to: ['ESXi Hosts', 'ESXi Hosts'], port: '902',
        why: [
          'Data: the VMware API reads backup data here. When the machines run on several ESXi hosts, the proxy must reach port 902 of every one.',
          '数据通信端口：该端口用于调用 VMware API 接口以获取备份数据。若备份虚拟机运行在多个 ESXi 主机上，需确保 Sync Proxy 可以访问每台对应 ESXi 主机的 902 端口。',
        ],
      },
    ],
    rights: [
      'Incremental sync uses VMware CBT (Changed Block Tracking): only changed blocks travel. The user needs the rights to change the configuration of a machine, make and remove its snapshots, enable change tracking, and allow read-only disk access (VirtualMachine.Provisioning.DiskRandomRead).',
      '利用 VMware 的 CBT（Change Block Tracking）技术实现增量数据同步：只传输发生更改的块。账号需要具有虚拟机配置更改、创建与删除快照、启用更改跟踪以及只读磁盘访问（VirtualMachine.Provisioning.DiskRandomRead）的权限。',
    ],
    counted: ['hosts of the cluster', '集群主机数量'],
    done: ['Wait until the status is OK and the hosts of the cluster were counted; then go on with protecting them.', 'VMware 生产平台配置完成，等待平台状态为正常，且已经获取到集群主机数量，即可进行后续其他步骤操作。'],
    again: ['Repeat these steps for more VMware clusters; a single ESXi host can be added, too.', '重复以上步骤可以添加多个 VMware 集群，你也可以单独添加某一个 ESXi 主机。'],
  },
  {
    kind: 'openstack',
    title: 'OpenStack',
    steps: [
      {
        title: ['Make a cloud host', '创建云主机'],
        text: [
          'Make a machine with Ubuntu 20.04 yourself. On OpenStack and other KVM platforms, the standard Ubuntu 20.04 QCOW2 image can be imported.',
          '可以自行进行 Ubuntu 20.04 操作系统的虚拟机创建，如果为 OpenStack 平台或者其他 KVM 虚拟化平台，可以下载标准的 Ubuntu 20.04 QCOW2 镜像导入进行使用。',
        ],
        link: { href: `${UBUNTU}.img`, text: ['Ubuntu 20.04 QCOW2 image', 'Ubuntu 20.04 QCOW2 镜像下载'] },
        note: [
          'This image has no default password. It brings cloud-init: the platform must be able to set the password by cloud-init, or the image cannot be used.',
          '注意：此 Ubuntu 20.04 的镜像是没有默认登录密码的，镜像内部包含 cloud-init 服务，要求你导入的云平台必须可以支持通过 cloud-init 服务进行密码的注入，否则无法使用此镜像。',
        ],
      },
      RUN,
    ],
    fields: [
      {
        column: 'endpoint', label: ['Authentication address', '鉴权地址'], as: 'text', example: 'http://192.168.10.201:5000/v3', link: NAMES, pattern: URL_RULE,
        hint: [
          'The public endpoint URL of Keystone. If OpenStack goes by a domain name, add its record under Settings > Name resolution first.',
          '一般为 OpenStack Keystone public Endpoint URL 地址。如果源端使用了域名进行管理，那么需要提前获取域名及 IP 地址的对应关系，并将记录进行添加到平台（设置 > 域名解析）。',
        ],
      },
      { column: 'user_domain', label: ['User domain ID', '用户 Domain ID'], as: 'text', def: 'default', example: 'default', hint: ['Domain ID of the user.', '连接 OpenStack 平台的用户 Domain ID'] },
      { column: 'username', label: ['User name', '用户名'], as: 'text', example: ['User name', '用户名'], hint: ['The user who connects to OpenStack.', '连接 OpenStack 平台的用户名'] },
      { column: 'password', label: ['Password', '密码'], as: 'secret', example: ['Password', '密码'], hint: ['The password for OpenStack.', '连接 OpenStack 平台的密码'] },
      { column: 'project_domain', label: ['Project domain ID', '项目 Domain ID'], as: 'text', def: 'default', example: 'default', hint: ['Domain ID of the project.', '连接 OpenStack 平台的项目 Domain ID'] },
      { column: 'project', label: ['Project', '项目名称'], as: 'text', def: 'admin', example: 'admin', hint: ['The project that the user belongs to.', '连接 OpenStack 平台的项目名称，用户所在项目名称'] },
      { column: 'region', label: ['Region', '域名'], as: 'text', def: 'RegionOne', example: 'RegionOne', hint: ['The region name of the OpenStack cluster.', '连接 OpenStack 集群的 Region Name'] },
    ],
    ports: [
      {
        from: PROXY, to: ['OpenStack', 'OpenStack'], port: '5000, 35357, 9696, 8774, 8776, 9292',
        why: ['Authentication and the OpenStack services', '与 OpenStack 服务认证通信端口'],
      },
      {
        from: PROXY, to: ['OpenStack Ceph Monitor Node', 'OpenStack Ceph Monitor Node'], port: '6789',
        why: [
          'Authentication with the Ceph API; backup data is then read from the other Ceph storage nodes, which must be reachable, too.',
          '认证端口，调用 Ceph API 接口认证，并从其他 Ceph 存储节点获取备份数据',
        ],
      },
    ],
    find: [
      'Horizon has all of this: Project > API Access > View Credentials, or Download OpenStack RC File (OS_AUTH_URL, OS_USER_DOMAIN_NAME, OS_USERNAME, OS_PROJECT_DOMAIN_ID, OS_PROJECT_NAME, OS_REGION_NAME).',
      '以下信息可在 Horizon 中查看：项目 → API 访问 → 查看凭证，或下载 OpenStack RC 文件（OS_AUTH_URL、OS_USER_DOMAIN_NAME、OS_USERNAME、OS_PROJECT_DOMAIN_ID、OS_PROJECT_NAME、OS_REGION_NAME）。',
    ],
    counted: ['hosts of the cluster', '集群主机数量'],
    done: ['Wait until the status is OK and the hosts of the cluster were counted; then go on with protecting them.', 'OpenStack 生产平台配置完成，等待平台状态为正常，且已经获取到集群主机数量，即可进行后续其他步骤操作。'],
    again: ['Repeat these steps for more OpenStack clusters.', '重复以上步骤可以添加多个 OpenStack 集群。'],
  },
  {
    kind: 'aws',
    title: 'AWS',
    steps: [
      {
        title: ['Make a cloud host', '创建云主机'],
        text: [
          'On AWS, make a new instance from the EC2 image of Ubuntu 20.04 for the Sync Proxy.',
          '可以在 AWS 平台，使用原生 AWS EC2 Ubuntu 20.04 操作系统镜像来创建一台新的云主机来部署同步代理。',
        ],
      },
      RUN,
    ],
    fields: [
      {
        column: 'username', label: ['Access Key ID', 'Access Key ID'], as: 'text', example: 'AWS Access Key ID',
        pattern: { test: /^\w{16,128}$/, say: ['16 to 128 letters and digits.', '16 到 128 个字母和数字。'] },
        hint: [
          'A key for the AWS API with the rights of its account. Console > your name at the top right > Security credentials > Users.',
          '访问 AWS API 的密钥，具有该账户的完全权限。登录管理控制台 → 指向右上角用户名 → 点击“安全凭证” → 选择“用户”',
        ],
      },
      {
        column: 'secret_key', label: ['Access Key Secret', 'Access Key Secret'], as: 'secret', example: 'AWS Access Secret Key',
        hint: ['The other half of the Access Key ID, from the same place.', '与 Access Key ID 配对的密钥，具有该账户的完全权限。获取方式同上'],
      },
      {
        column: 'region', label: ['Region', '区域'], as: 'region', example: 'ap-southeast-1',
        link: { href: 'https://docs.aws.amazon.com/general/latest/gr/rande.html', text: ['AWS service endpoints', 'AWS 服务端点文档'] },
        pattern: { test: /^[a-z]{2}(-[a-z]+)+-\d$/, say: ['For example ap-southeast-1.', '例如 ap-southeast-1。'] },
        hint: [
          'Where the machines to protect are. Press refresh to choose from a list, or type it as the AWS documentation has it.',
          '待同步机器所在的区域。默认为自动获取，点击刷新按钮可选择。也可手动填写，手动填写时请参考 AWS 服务端点文档。',
        ],
      },
    ],
    ports: [
      {
        from: PROXY, to: ['AWS EC2, AWS EBS', 'AWS EC2、AWS EBS'], port: '443',
        why: [
          'Authentication and the EC2 and EBS services. Over the public network: a public IP address and a rule that lets it out. Over the internal network: a VPC endpoint, and an internal DNS that resolves EC2 and EBS.',
          '与 AWS 服务认证通信端口。确保可以访问 AWS EC2 和 EBS 服务地址。如果通过公网访问，需 EC2 绑定公网 IP，并开通公网访问策略。如果通过内网访问，需确认 EC2 有内网 VPC Endpoint 服务，且能通过内部 DNS 解析访问 EC2 和 EBS 服务。',
        ],
      },
    ],
    rights: [
      'The user needs the rights of the EBS direct APIs (ebs:ListSnapshotBlocks, ebs:ListChangedBlocks, ebs:GetSnapshotBlock) and to describe instances and volumes, and to make, tag and delete snapshots.',
      '调用 AWS Direct API 接口数据备份时，需要具备以下权限：ebs:ListSnapshotBlocks、ebs:ListChangedBlocks、ebs:GetSnapshotBlock，以及查询实例与卷、创建、标记和删除快照的权限。',
    ],
    counted: ['EC2 hosts', 'EC2 主机数量'],
    done: ['Wait until the status is OK and the EC2 hosts were counted; then go on with protecting them.', 'AWS 生产平台配置完成，等待平台状态为正常，且已经获取到 EC2 主机数量，即可进行后续其他步骤操作。'],
    again: ['Repeat these steps for more AWS regions.', '重复以上步骤可以添加多个 AWS 区域。'],
  },
  {
    kind: 'fusioncompute',
    title: 'FusionCompute',
    steps: [
      OVA,
      {
        title: ['Deploy it on the FusionCompute cluster', '用 OVA 文件在 FusionCompute 集群上，部署一台虚拟机'],
        text: ['Give the machine an IP address.', '并配置 IP 地址。'],
        note: ['FusionCompute versions that are supported: FusionCompute 8.6.0', 'FusionCompute 集群兼容的系统的版本：FusionCompute 8.6.0'],
      },
      LOGIN,
      RUN,
    ],
    terms: [
      {
        title: ['What must hold', '前提条件'],
        items: [
          ['Tools are installed and running in the machine: CBT snapshots need them.', '安装并启动 Tools：虚拟机需安装 Tools 并启动，这是创建 CBT 快照的必要条件。'],
          ['A machine has at most 32 snapshots; beyond that no new one can be made.', '备份虚拟机快照数量限制：最多支持 32 个快照，超过此限制无法创建新快照。'],
          ['The machine is running, hibernated or stopped.', '虚拟机状态要求：虚拟机必须处于“运行”、“休眠”或“停止”状态，才能创建快照。'],
          ['Shutting the machine down during a backup makes that backup fail.', '备份虚拟机时要求：备份过程中虚拟机关机会导致备份失败。'],
        ],
      },
      {
        title: ['Limits', '限制条件'],
        items: [
          ['Shared disks have no snapshots: a machine with one cannot be protected this way.', '共享磁盘不支持快照：虚拟机不能使用共享磁盘，使用共享磁盘时无法创建快照。'],
          ['Independent disks cannot be backed up.', '独立磁盘不支持备份：独立磁盘无法进行备份。'],
          ['CBT ends with HA, a restored snapshot, a grown volume, or a restart of the computing node after a fault; a full sync follows.', 'CBT 失效情形：虚拟机 HA、恢复快照、卷扩容、计算节点故障重启等操作后，CBT 会失效，需要执行全量备份。'],
          ['Making a snapshot excludes: starting or stopping the machine, attaching disks, growing disks, moving storage.', '任务互斥性：创建备份快照与启动虚拟机、在线绑定磁盘、关闭虚拟机、磁盘扩容、存储迁移等操作必须互斥。'],
          ['No backup of linked clones, templates, or during a storage migration or disk growth without snapshots.', '快照不支持的场景：链接克隆虚拟机、模板虚拟机、不支持快照的存储迁移、磁盘扩容等情况下无法备份。'],
          ['Leave room on the storage of the target volume for merging snapshots; at most 8 volumes at once.', '存储空间要求：备份时需在目的卷所在存储上预留空间进行快照合并，最多支持同时备份 8 个卷。'],
          ['Backup and recovery cost storage performance: choose quiet hours.', '存储 IO 性能影响：备份和恢复期间会影响存储 IO 性能，建议在业务空闲时段进行备份恢复。'],
          ['No backup and recovery across kinds of storage (virtualised storage and FusionStorage).', '不支持跨存储类型备份恢复：无法跨不同存储类型（如虚拟化存储与 FusionStorage）进行备份恢复。'],
          ['A host has at most 8 socket connections for backup.', '单主机最大支持 8 个 Socket 链接：每个主机最多同时支持 8 个 Socket 备份连接。'],
        ],
      },
    ],
    fields: [
      {
        column: 'endpoint', label: ['Authentication address', '鉴权地址'], as: 'text', example: 'https://<FusionCompute/Host>:7443',
        hint: NAMES_HINT('FusionCompute'), link: NAMES, pattern: URL_RULE,
      },
      { column: 'username', label: ['User name', '用户名'], as: 'text', example: ['User name for FusionCompute', '连接 FusionCompute 主机的用户名'], hint: ['The user who connects to FusionCompute.', '用于连接 FusionCompute 的用户名。'] },
      { column: 'password', label: ['Password', '密码'], as: 'secret', example: ['Password for FusionCompute', '连接 FusionCompute 主机的密码'], hint: ['The password for FusionCompute.', '用于连接 FusionCompute 的密码。'] },
    ],
    ports: [
      { from: PROXY, to: ['FusionCompute management node', 'FusionCompute 管理节点'], port: '7443', why: ['Authentication and control', '认证通信端口'] },
      {
        from: PROXY, to: ['Each computing node', '虚拟化平台各计算节点'], port: '21064',
        why: [
          'Data: backup data is read here. The proxy must reach port 21064 of every computing node.',
          '数据通信端口：用于备份数据读取。请确保 Sync Proxy 能访问所有目标主机的 21064 端口。',
        ],
      },
    ],
    counted: ['hosts of the cluster', '集群主机数量'],
    done: ['Wait until the status is OK and the hosts of the cluster were counted; then go on with protecting them.', 'FusionCompute 生产平台配置完成，等待平台状态为正常，且已经获取到集群主机数量，即可进行后续其他步骤操作。'],
    again: ['Repeat these steps for more FusionCompute clusters; a single FusionCompute host can be added, too.', '重复以上步骤可以添加多个 FusionCompute 集群，你也可以单独添加某一个 FusionCompute 主机。'],
  },
  {
    kind: 'oracle',
    title: 'Oracle',
    steps: [
      {
        title: ['Make a cloud host', '创建云主机'],
        text: [
          'On the platform, make a new machine from the native Ubuntu 20.04 image, in the availability domain of the machines to protect.',
          '可以在平台上，使用原生 Ubuntu 20.04 操作系统镜像创建一台新的虚拟机用于部署同步代理（与被容灾主机同一可用域）。',
        ],
      },
      RUN,
    ],
    fields: [
      {
        column: 'tenancy', label: ['Tenancy OCID', '租户 OCID'], as: 'text', example: 'ocid1.tenancy.oc1..aaaaaaaaxxxx',
        pattern: { test: /^ocid1\.tenancy\./, say: ['Begins with ocid1.tenancy.', '以 ocid1.tenancy. 开头。'] },
        hint: [
          'Console > Profile at the top right > My profile > API keys > View configuration file of a key > tenancy.',
          '登录管理控制台 → 指向右上角【概要信息】→ 点击【我的概要信息】→ 选择【API 密钥】→ 在 API 密钥中选择一个密钥【查看配置文件】→ 对应配置中的【tenancy】。',
        ],
      },
      {
        column: 'username', label: ['User OCID', '用户 OCID'], as: 'text', example: 'ocid1.user.oc1..aaaaaaabbbbb',
        pattern: { test: /^ocid1\.user\./, say: ['Begins with ocid1.user.', '以 ocid1.user. 开头。'] },
        hint: ['From the same configuration file: user.', '连接 Oracle 主机的用户名。同上，【查看配置文件】→ 对应配置中的【user】。'],
      },
      {
        column: 'private_key', label: ['Key', '密钥'], as: 'file', example: 'oci_api_key.pem',
        hint: [
          'The private key file that was made or uploaded when the API key was added (API keys > Add API key).',
          '连接 Oracle 主机的私钥文件。登录管理控制台 → 【我的概要信息】→【API 密钥】→【添加 API 密钥】时创建或上传的密钥。',
        ],
      },
      {
        column: 'key_print', label: ['Key fingerprint', '密钥指纹'], as: 'text', example: '20:3b:97:13:55:1c:8c:xx:xx:xx:xx:xx:xx', optional: true,
        pattern: { test: /^([0-9a-fA-F]{2}:){15}[0-9a-fA-F]{2}$/, say: ['16 pairs of hexadecimal digits with colons between.', '16 组十六进制数，以冒号分隔。'] },
        hint: ['From the same configuration file: fingerprint. Left empty, it is taken from the key.', '同上，【查看配置文件】→ 对应配置中的【fingerprint】。不填写时由密钥计算。'],
      },
      {
        column: 'region', label: ['Region', '区域'], as: 'text', example: 'ap-singapore-1',
        pattern: { test: /^[a-z]{2}(-[a-z]+)+-\d$/, say: ['For example ap-singapore-1.', '例如 ap-singapore-1。'] },
        hint: ['From the same configuration file: region.', '同上，【查看配置文件】→ 对应配置中的【region】。'],
      },
    ],
    ports: [
      { from: PROXY, to: ['Oracle Cloud services', 'Oracle 云服务'], port: '443', why: ['Authentication and control', '认证通信端口'] },
      {
        from: PROXY, to: ['Oracle block volumes', 'Oracle 块存储卷'], port: '3260 (1522)',
        why: [
          'Data: backup data is read here over iSCSI (3260). The manual prints 1522; where that is asked for, open it as well.',
          '数据通信端口：用于备份数据读取（iSCSI，3260）。手册中所列端口为 1522，如环境要求请一并开通。',
        ],
      },
    ],
    rights: [
      'The user needs: manage volume-family, manage instance-family, use virtual-network-family, inspect compartments, inspect users; and manage volume-attachments in the compartment of the proxy.',
      '账号需要的权限：manage volume-family、manage instance-family、use virtual-network-family、inspect compartments、inspect users，以及同步代理所在区间的 manage volume-attachments。',
    ],
    counted: ['hosts', '主机数量'],
    done: ['Wait until the status is OK and the hosts were counted; then go on with protecting them.', 'Oracle 生产平台配置完成，等待平台状态为正常，且已经获取到主机数量，即可进行后续其他步骤操作。'],
    again: ['Repeat these steps for more Oracle regions.', '重复以上步骤可以添加多个 Oracle 区域。'],
  },
]

export const platformOf = (kind: string): Platform => {
  const p = PLATFORMS.find((x) => x.kind === kind)
  if (!p) throw new Error(`no platform ${kind}`)
  return p
}

/** One Ceph cluster behind an OpenStack platform; there may be many. */
export interface CephField {
  column: 'monitors' | 'cephx' | 'username' | 'keyring' | 'pool' | 'diff' | 'cluster' | 'volume_types'
  label: Two
  as: 'text' | 'secret' | 'yesno' | 'choice'
  required?: true
  def?: string
  example?: string
  hint?: Two
  choices?: ReadonlyArray<{ value: string; text: Two }>
}
export const CEPH_FIELDS: readonly CephField[] = [
  {
    column: 'monitors', label: ['Monitor addresses', '控制节点地址'], as: 'text', required: true, example: '10.0.0.201,10.0.0.202,10.0.0.203',
    hint: ['Addresses of the Ceph control nodes; both networks must reach each other. Several: with commas between.', 'Ceph 控制节点的地址（例如：10.0.0.201），需确认双方网络可互通。多个地址请使用英文逗号 , 分隔。'],
  },
  { column: 'cephx', label: ['Use CephX', '使用 CephX 鉴权'], as: 'yesno', def: 'true' },
  { column: 'username', label: ['User name', '用户名'], as: 'text', required: true, example: 'cinder', hint: ['The Ceph user (for example cinder or admin) who may read the pool.', 'Ceph 用户名（例如：cinder、admin），用于访问指定存储池。'] },
  { column: 'keyring', label: ['Key', '密钥环'], as: 'secret', required: true, example: 'AQBBY9hfBc0+AxAAzyym+6l+MeTpMlgNTbye/A==', hint: ['On a Ceph control node: cat /etc/ceph/ceph.client.cinder.keyring', 'Ceph 密钥，可通过运行 cat /etc/ceph/ceph.client.cinder.keyring 在 Ceph 控制节点上查看。'] },
  { column: 'pool', label: ['Pool', '存储池'], as: 'text', required: true, example: 'volumes', hint: ['The pool where the data of the hosts to protect is! On a Ceph node: ceph osd ls pools', 'Ceph 节点的存储池名称。务必选择“被容灾主机数据所在”的存储池！可通过命令 ceph osd ls pools 在 Ceph 管理节点上查看。'] },
  {
    column: 'diff', label: ['How changes are found', '增量获取类型'], as: 'choice', def: 'rbd_diff',
    hint: ['rbd diff: slower, exact. rbd du: faster, coarser.', 'rbd diff：速度较慢但数据精确；rbd du：速度较快但精度较低'],
    choices: [{ value: 'rbd_diff', text: ['rbd diff', 'rbd diff'] }, { value: 'rbd_du', text: ['rbd du', 'rbd du'] }],
  },
  { column: 'cluster', label: ['Cluster', '集群'], as: 'text', required: true, def: 'ceph', example: 'ceph', hint: ['Name of the Ceph cluster. On a control node: cat /usr/lib/systemd/system/ceph-mon@.service', 'Ceph 集群名称，默认为 ceph。可通过运行 cat /usr/lib/systemd/system/ceph-mon@.service 在 Ceph 控制节点查看。'] },
  { column: 'volume_types', label: ['OpenStack volume types', 'OpenStack 卷类型'], as: 'text', example: 'DEFAULT_VOLUME_TYPE, ssd, sata', hint: ['Those whose volumes are in this pool. On an OpenStack control node: openstack volume type list', '可选的 OpenStack 卷类型列表。可通过命令 openstack volume type list 在 OpenStack 控制节点查看。'] },
]
