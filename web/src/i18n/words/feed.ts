/* SPDX-License-Identifier: Apache-2.0 */
/* The feed: what happened to a host. Alarms have the names that schema/alarms.def gives them. [English, Chinese] */
export const feed = {
  feed: { title: ['What happened', '动态'], more: ['Show more', '显示更多'], none: ['Nothing has happened yet.', '暂无动态。'] },
  feedKind: {
    job_done: ['{job} (task {id}) is done', '{job}（任务 {id}）已完成'], job_failed: ['{job} (task {id}) failed', '{job}（任务 {id}）失败'], job_cancelled: ['{job} (task {id}) was stopped', '{job}（任务 {id}）已取消'],
    alarm_raised: ['Alarm: {alarm}', '产生告警：{alarm}'], alarm_cleared: ['Cleared: {alarm}', '告警恢复：{alarm}'], alarm_acknowledged: ['Acknowledged: {alarm}', '告警已确认：{alarm}'],
    disk_added: ['Disk {disk} ({size}) was added', '新增磁盘 {disk}（{size}）'], disk_removed: ['Disk {disk} ({size}) was removed', '磁盘 {disk}（{size}）已移除'], disk_resized: ['Disk {disk} has {size} now, {was} before', '磁盘 {disk} 大小由 {was} 变为 {size}'],
  },
  alarmKind: {
    rpo_missed: ['RPO missed', 'RPO超期'], job_failed: ['Task failed', '任务失败'], job_waiting: ['Nobody takes the task', '任务无人执行'], machine_silent: ['Machine silent', '机器失联'], space_low: ['Repository is filling up', '存储库空间不足'], space_out: ['No room for new points', '存储库已无空间'], space_forecast: ['Repository will be full soon', '存储库即将写满'], tracker_miss: ['Change tracking missed a change', '变更跟踪遗漏'],
    change_unusual: ['Unusually much changed', '数据变化异常'], certificate_expiring: ['Certificate expires', '证书即将过期'], repository_error: ['Repository in trouble', '存储库异常'], point_inconsistent: ['Point less consistent than wanted', '恢复点一致性不足'], point_damaged: ['Recovery point damaged', '恢复点损坏'], clock_skew: ['Clock is wrong', '时钟偏差'], console_disk: ["Console's disk is filling up", '控制台磁盘空间不足'], channel_failed: ['Notifications do not arrive', '通知发送失败'],
  },
} as const
