/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's page: what to prepare, the steps, the nine prechecks of Windows, and how to remove it. */
import type { Two } from '@/i18n'

export const WHEN: readonly Two[] = [
  ['For physical machines, and single virtual machines of any kind (KVM, Xen, Hyper-V, ...).', '当源端（被容灾端）为物理机或者各种类型（如：KVM/Xen/Hyper-V 等）单个虚拟机时，需要进行相关配置。'],
  ['Such a machine is protected by an agent inside of it.', '该场景需要安装 Agent 方式容灾。'],
  ['Windows and Linux have different agents.', '不同操作系统（Windows、Linux）安装不同 Agent。'],
]

export const PREPARE: readonly Two[] = [
  ['The host to protect is there (x86 physical machine, KVM, Xen, Hyper-V, ...).', '存在待容灾的主机（x86 物理机/KVM/Xen/Hyper-V 等）'],
  ['You have its user name and password.', '已获取主机用户名/密码（备用）'],
  ['OpenBDR is installed, and you are logged in.', '已完成容灾工具 OpenBDR 的安装及登录'],
  ['The network lets the host reach OpenBDR and the Cloud Sync Gateway.', '已经开通了源主机连通到 OpenBDR 及云同步网关的网络策略'],
  ['On Windows with security software: put the Windows Agent on its list of trusted programs first, or stop it.', '运行了安全软件的 Windows 主机，请提前将 Windows Agent 程序加入白名单或停掉安全软件的运行'],
]

export const LINUX_STEPS: readonly Two[] = [
  ['Copy the install command.', '点击复制命令来获取 Linux Agent 的安装命令。'],
  ['Log in to the Linux host, paste the command into a terminal and run it.', '登录源端 Linux Host，在终端内粘贴执行命令运行即可。'],
  ['Wait until it says that the installation succeeded; the host then shows up under DR > Hosts.', '等待命令执行完毕，最终输出安装成功，可以登录平台侧查看注册主机。'],
]
export const LINUX_REMOVE = 'bash /var/lib/egisplus-agent/uninstall_agent.sh'
export const LINUX_REMOVE_STEPS: readonly Two[] = [
  ['Deregister the host here first.', '卸载 Agent 之前，需要确保 Linux 主机已经在平台完成解除注册。'],
  ['Log in to the Linux host and run the command.', '登录源端 Linux 操作系统，执行卸载指令。'],
  ['Wait until it says that the agent was removed.', '等待脚本执行完成，输出卸载成功，则表示源端 Linux Agent 卸载完成。'],
]

export const WINDOWS_FILE = 'windows-agent.zip'
export const WINDOWS_STEPS: readonly Two[] = [
  ['Download windows-agent.zip and bring it to the Windows host.', '点击“立即下载”按钮下载 Windows Agent 安装包 windows-agent.zip，上传到源端 Windows 主机。'],
  ['Unpack windows-agent.zip as an administrator.', '在管理员模式下解压 windows-agent.zip 文件。'],
  ['Right-click install.exe, choose "Run as administrator".', '选择 install.exe 程序，右击选择“以管理员身份运行(A)”。'],
  ['Press "Install >".', '在弹出的安装程序框中，选择“Install >”执行安装。'],
  ['Make sure that no security software is running, or that it trusts the Windows Agent: it could take it for a virus, remove it, and make the installation fail. Ask the vendor of that software how. Then press OK.', '在执行安装之前，确保系统中没有安全软件运行，如果有安全软件运行，可能阻止 Windows Agent 程序的安装运行，并将其识别为病毒或非法软件而删除，导致安装失败。请提前将 Windows Agent 程序加入安全软件白名单，具体方法请咨询相关安全厂商。确认后点击确定继续。'],
  ['When it says that it is installed, press Yes to open the Windows Agent.', '等待安装程序运行，提示已经安装完成，可以点击“是”来启动 Windows Agent 服务。'],
  ['Press "Precheck" at the bottom left. When all nine checks pass, press OK.', '先点击左下角“Precheck”进行服务启动前的预检查，检查全部通过，可点击“OK”。'],
  ['Press "Start Services"; confirm once more that security software trusts the agent.', '点击“Start Services”按钮启动 Windows Agent 服务，并再次确认安全软件已信任 Windows Agent 程序。'],
  ['The host then shows up under DR > Hosts.', '登录到控制台查看注册状态及后续其他步骤操作。'],
]
export const WINDOWS_REMOVE_STEPS: readonly Two[] = [
  ['Press the Windows sign at the bottom left, open Control Panel.', '点击左下角 Windows 图标，点击“控制面板”。'],
  ['Under Programs, choose "Uninstall a program".', '在弹出的页面中，找到程序点击“卸载程序”。'],
  ['Find Windows_Agent <version>, right-click it, choose "Uninstall/Change".', '找到 Windows_Agent <版本号>，选中右击选择“卸载/更改(U)”。'],
  ['Confirm with Yes.', '在弹出的卸载框点击“是”进行确认卸载。'],
  ['Wait until it is done, press OK.', '等待卸载程序执行完成，点击确定即完成 Windows Agent 程序的卸载。'],
]

export interface Precheck {
  check: string
  means: Two
  fix: Two
}
export const PRECHECKS: readonly Precheck[] = [
  {
    check: 'Check whether there is permission to start Windows services and query the status of Windows services.',
    means: ['May this user start Windows services and ask for their status?', '检查是否有权限启动 Windows 服务并查询 Windows 服务的状态。'],
    fix: ['Run it as an administrator.', '以管理员身份运行。'],
  },
  {
    check: 'Check whether the display language under the system user can support English.',
    means: ['Can the display language of the system user show English?', '检查系统用户下的显示语言是否支持英语。'],
    fix: ['Add English to the languages of Windows.', '在 Windows 语言设置中添加英语。'],
  },
  {
    check: 'Check whether there is any security software blocking the creation and deletion of vss shadows using the vssadmin command.',
    means: ['Does security software keep vssadmin from making and deleting VSS shadows?', '检查是否有安全软件使用 vssadmin 命令阻止 VSS 卷影的创建和删除。'],
    fix: ['Let the security software trust vssadmin and the agent.', '在安全软件中将 vssadmin 与 Agent 加入白名单。'],
  },
  {
    check: 'Check whether there is any security software blocking the installation and startup of Windows Agent.',
    means: ['Does security software keep the Windows Agent from being installed or started?', '检查是否有安全软件阻止 Windows Agent 的安装和启动。'],
    fix: ['Let the security software trust the agent, install again.', '将 Agent 加入安全软件白名单后重新安装。'],
  },
  {
    check: 'Check whether the volume file system and volume free space meet the synchronization requirements.',
    means: ['Do the volumes have a file system and free space that synchronisation can work with?', '检查卷文件系统和卷可用空间是否满足同步要求。'],
    fix: ['Use NTFS or ReFS; free some space on the named volume.', '使用 NTFS 或 ReFS 文件系统，并在所列卷上释放空间。'],
  },
  {
    check: 'Check whether there are unsupported volume types. (RAID-5, Mirror, Stripe and Spanned volume types are not supported)',
    means: ['Are there volumes of an unsupported type (RAID-5, mirror, striped, spanned)?', '检查是否存在不支持的卷类型。（不支持 RAID-5、镜像、条带和跨区卷类型。）'],
    fix: ['Leave that volume out, or move its data to a simple volume.', '不选择该卷，或将数据迁移到简单卷。'],
  },
  {
    check: 'Check whether the patch KB4474419 has been installed. (this patch must be installed if the operating system is Windows 2008 or Windows 2008 R2)',
    means: ['Is the patch KB4474419 installed (a must on Windows 2008 and 2008 R2)?', '检查补丁 KB4474419 是否已安装。（如果操作系统是 Windows 2008 或 Windows 2008 R2，则必须安装此补丁）'],
    fix: ['Install KB4474419 and restart.', '安装补丁 KB4474419 并重启。'],
  },
  {
    check: 'Check whether there are VSS shadows created by third-party software on the current host.(It is recommended to delete the created VSS snapshots and stop other software from using VSS to create and delete VSS shadows)',
    means: ['Are there VSS shadows made by other software? (Better delete them, and stop that software from using VSS.)', '检查当前主机上是否存在由第三方软件创建的 VSS 卷影。（建议删除创建的 VSS 快照，并阻止其他软件使用 VSS 创建和删除 VSS 卷影。）'],
    fix: ['vssadmin list shadows; delete those of other software.', '使用 vssadmin list shadows 查看并删除第三方卷影。'],
  },
  {
    check: 'Check whether there are Windows backup schedules. (the execution time of such a schedule may lead to synchronization failure. It is recommended to disable them)',
    means: ['Are there Windows backup schedules? (They may make synchronisation fail while they run; better disable them.)', '检查是否存在 Windows 备份计划。（此类计划的执行时间可能导致同步失败。建议禁用它们。）'],
    fix: ['Disable the schedule in Windows Server Backup.', '在 Windows Server Backup 中禁用备份计划。'],
  },
]
