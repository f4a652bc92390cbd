/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of machine_api.h. */
#include "bdr/machine_api.h"

const struct bdr_choice bdr_machine_kinds[] = {
    {"agent", BDR_MACHINE_AGENT, "In a host.", "源端代理程序"},
    {"proxy", BDR_MACHINE_PROXY, "A Sync Proxy.", "源端同步代理"},
    {"gateway", BDR_MACHINE_GATEWAY, "A Cloud Sync Gateway.", "云同步网关"},
    {.name = NULL},
};
const struct bdr_choice bdr_job_wanteds[] = {
    {"go-on", BDR_JOB_GO_ON, "Go on.", "继续"},
    {"pause", BDR_JOB_PAUSE, "Stop and keep the place.", "暂停"},
    {"cancel", BDR_JOB_CANCEL, "Stop for good.", "取消"},
    {.name = NULL},
};
const struct bdr_choice bdr_job_hows[] = {
    {"finish", BDR_HOW_FINISH, "It is done.", "完成"},
    {"fail", BDR_HOW_FAIL, "Another try would not help.", "失败"},
    {"retry", BDR_HOW_RETRY, "Another try may help.", "重试"},
    {"stopped", BDR_HOW_STOPPED, "It was asked to stop, or shuts down.", "已停止"},
    {.name = NULL},
};

static const struct bdr_shape_field enrol_in_fields[] = {
    {BDR_FIELD(struct bdr_enrol_in, token), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 65536,
     .help = "The one-time token of the install command.", .help_zh = "安装命令中的一次性令牌"},
    {BDR_FIELD(struct bdr_enrol_in, kind), .type = BDR_T_ENUM, .flags = BDR_F_REQUIRED, .choices = bdr_machine_kinds,
     .help = "What it is.", .help_zh = "类型"},
    {BDR_FIELD(struct bdr_enrol_in, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 255,
     .help = "Its host name.", .help_zh = "主机名"},
    {BDR_FIELD(struct bdr_enrol_in, csr), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED | BDR_F_LINES, .len_max = 65536,
     .help = "A certificate request, PEM.", .help_zh = "证书请求(PEM)"},
    {BDR_FIELD(struct bdr_enrol_in, os), .type = BDR_T_TEXT, .len_max = 256, .help = "Its operating system.",
     .help_zh = "操作系统"},
    {BDR_FIELD(struct bdr_enrol_in, version), .type = BDR_T_TEXT, .len_max = 64, .help = "The program's version.",
     .help_zh = "程序版本"},
    {BDR_FIELD(struct bdr_enrol_in, identity), .type = BDR_T_ID, .help = "Which machine it is, whatever its name.",
     .help_zh = "机器标识"},
    {BDR_FIELD(struct bdr_enrol_in, url), .type = BDR_T_URL, .help = "Gateways: where sources reach it.",
     .help_zh = "云同步网关地址"},
    {.name = NULL},
};
const struct bdr_shape bdr_enrol_in_shape = {.name = "Enrol",
                                             .size = sizeof(struct bdr_enrol_in),
                                             .fields = enrol_in_fields,
                                             .help = "A machine that wants to join.",
                                             .help_zh = "申请接入的机器"};

static const struct bdr_shape_field enrol_out_fields[] = {
    {BDR_FIELD(struct bdr_enrol_out, machine), .type = BDR_T_ID, .flags = BDR_F_REQUIRED,
     .help = "Its name in its certificate.", .help_zh = "机器编号"},
    {BDR_FIELD(struct bdr_enrol_out, certificate), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED | BDR_F_LINES,
     .len_max = 65536, .help = "Its certificate, PEM.", .help_zh = "证书(PEM)"},
    {BDR_FIELD(struct bdr_enrol_out, ca), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED | BDR_F_LINES, .len_max = 65536,
     .help = "Whom to trust from now on, PEM.", .help_zh = "根证书(PEM)"},
    {BDR_FIELD(struct bdr_enrol_out, expires), .type = BDR_T_TIME, .flags = BDR_F_REQUIRED,
     .help = "When the certificate ends.", .help_zh = "到期时间"},
    {BDR_FIELD(struct bdr_enrol_out, host), .type = BDR_T_U64, .help = "The host an agent speaks for.",
     .help_zh = "对应主机"},
    {.name = NULL},
};
const struct bdr_shape bdr_enrol_out_shape = {.name = "Enrolled",
                                              .size = sizeof(struct bdr_enrol_out),
                                              .fields = enrol_out_fields,
                                              .help = "A machine that joined.",
                                              .help_zh = "已接入的机器"};

static const struct bdr_shape_field renew_in_fields[] = {
    {BDR_FIELD(struct bdr_renew_in, csr), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED | BDR_F_LINES, .len_max = 65536,
     .help = "A certificate request, PEM.", .help_zh = "证书请求(PEM)"},
    {.name = NULL},
};
const struct bdr_shape bdr_renew_in_shape = {.name = "Renew",
                                             .size = sizeof(struct bdr_renew_in),
                                             .fields = renew_in_fields,
                                             .help = "A machine's next key.",
                                             .help_zh = "续期"};

static const struct bdr_shape_field renew_out_fields[] = {
    {BDR_FIELD(struct bdr_renew_out, certificate), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED | BDR_F_LINES,
     .len_max = 65536, .help = "Its certificate, PEM.", .help_zh = "证书(PEM)"},
    {BDR_FIELD(struct bdr_renew_out, ca), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED | BDR_F_LINES, .len_max = 65536,
     .help = "Whom to trust, PEM.", .help_zh = "根证书(PEM)"},
    {BDR_FIELD(struct bdr_renew_out, expires), .type = BDR_T_TIME, .flags = BDR_F_REQUIRED, .help = "When it ends.",
     .help_zh = "到期时间"},
    {.name = NULL},
};
const struct bdr_shape bdr_renew_out_shape = {.name = "Renewed",
                                              .size = sizeof(struct bdr_renew_out),
                                              .fields = renew_out_fields,
                                              .help = "Its next certificate.",
                                              .help_zh = "续期结果"};

static const struct bdr_shape_field beat_in_fields[] = {
    {BDR_FIELD(struct bdr_beat_in, version), .type = BDR_T_TEXT, .len_max = 64, .help = "The program's version.",
     .help_zh = "程序版本"},
    {BDR_FIELD(struct bdr_beat_in, os), .type = BDR_T_TEXT, .len_max = 256, .help = "Its operating system.",
     .help_zh = "操作系统"},
    {BDR_FIELD(struct bdr_beat_in, boot), .type = BDR_T_ID, .help = "Changes with each start of the machine.",
     .help_zh = "启动标识"},
    {BDR_FIELD(struct bdr_beat_in, inventory), .type = BDR_T_ID, .help = "SHA-256 of the inventory it would send.",
     .help_zh = "清单摘要"},
    {BDR_FIELD(struct bdr_beat_in, jobs), .type = BDR_T_U32, .help = "Jobs that run.", .help_zh = "运行中的任务"},
    {BDR_FIELD(struct bdr_beat_in, disks), .type = BDR_T_U32, .help = "Disks that are being copied.",
     .help_zh = "同步中的磁盘"},
    {BDR_FIELD(struct bdr_beat_in, cpu_pct), .type = BDR_T_U32, .help = "Of one core.", .help_zh = "CPU占用"},
    {BDR_FIELD(struct bdr_beat_in, memory_bytes), .type = BDR_T_SIZE, .help = "Of its processes.",
     .help_zh = "内存占用"},
    {.name = NULL},
};
const struct bdr_shape bdr_beat_in_shape = {.name = "Beat",
                                            .size = sizeof(struct bdr_beat_in),
                                            .fields = beat_in_fields,
                                            .help = "A machine lives.",
                                            .help_zh = "心跳"};

static const struct bdr_shape_field beat_out_fields[] = {
    {BDR_FIELD(struct bdr_beat_out, beat_s), .type = BDR_T_U32, .flags = BDR_F_REQUIRED, .help = "Come again after.",
     .help_zh = "心跳间隔(秒)"},
    {BDR_FIELD(struct bdr_beat_out, want_inventory), .type = BDR_T_BOOL, .help = "Send the inventory.",
     .help_zh = "需要上报清单"},
    {BDR_FIELD(struct bdr_beat_out, work), .type = BDR_T_BOOL, .help = "A job may be there.", .help_zh = "有任务"},
    {BDR_FIELD(struct bdr_beat_out, registered), .type = BDR_T_BOOL, .help = "False: its host was deregistered.",
     .help_zh = "主机是否已注册"},
    {BDR_FIELD(struct bdr_beat_out, http_timeout_s), .type = BDR_T_U32, .help = "Sync Proxies: HTTP timeout.",
     .help_zh = "HTTP超时(秒)"},
    {BDR_FIELD(struct bdr_beat_out, disks_max), .type = BDR_T_U32, .help = "Sync Proxies: disks at once.",
     .help_zh = "同时同步磁盘数"},
    {BDR_FIELD(struct bdr_beat_out, time), .type = BDR_T_TIME, .flags = BDR_F_REQUIRED, .help = "The console's clock.",
     .help_zh = "控制台时间"},
    {.name = NULL},
};
const struct bdr_shape bdr_beat_out_shape = {.name = "BeatAnswer",
                                             .size = sizeof(struct bdr_beat_out),
                                             .fields = beat_out_fields,
                                             .help = "What is wanted of a machine.",
                                             .help_zh = "心跳应答"};

static const struct bdr_shape_field inv_disk_fields[] = {
    {BDR_FIELD(struct bdr_inv_disk, ref), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 512,
     .help = "What reads it.", .help_zh = "磁盘引用"},
    {BDR_FIELD(struct bdr_inv_disk, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 255,
     .help = "Its name.", .help_zh = "名称"},
    {BDR_FIELD(struct bdr_inv_disk, model), .type = BDR_T_TEXT, .len_max = 255, .help = "Model.", .help_zh = "型号"},
    {BDR_FIELD(struct bdr_inv_disk, serial), .type = BDR_T_TEXT, .len_max = 255, .help = "Serial number.",
     .help_zh = "序列号"},
    {BDR_FIELD(struct bdr_inv_disk, bus), .type = BDR_T_TEXT, .len_max = 32, .help = "How it is connected.",
     .help_zh = "总线"},
    {BDR_FIELD(struct bdr_inv_disk, table), .type = BDR_T_TEXT, .len_max = 16, .help = "gpt, mbr or none.",
     .help_zh = "分区表"},
    {BDR_FIELD(struct bdr_inv_disk, use), .type = BDR_T_TEXT, .len_max = 1024, .help = "What lies on it.",
     .help_zh = "用途"},
    {BDR_FIELD(struct bdr_inv_disk, size_bytes), .type = BDR_T_SIZE, .flags = BDR_F_REQUIRED, .help = "Its size.",
     .help_zh = "大小"},
    {BDR_FIELD(struct bdr_inv_disk, sector_bytes), .type = BDR_T_U32, .help = "Its sectors.", .help_zh = "扇区大小"},
    {BDR_FIELD(struct bdr_inv_disk, removable), .type = BDR_T_BOOL, .help = "It can be taken out.",
     .help_zh = "可移动"},
    {BDR_FIELD(struct bdr_inv_disk, read_only), .type = BDR_T_BOOL, .help = "It cannot be written.", .help_zh = "只读"},
    {BDR_FIELD(struct bdr_inv_disk, reason), .type = BDR_T_TEXT, .len_max = 512, .help = "Why it can't be protected.",
     .help_zh = "不能保护的原因"},
    {.name = NULL},
};
static const struct bdr_shape bdr_inv_disk_shape = {.name = "InventoryDisk",
                                                    .size = sizeof(struct bdr_inv_disk),
                                                    .fields = inv_disk_fields,
                                                    .help = "A disk of a machine.",
                                                    .help_zh = "磁盘"};

static const struct bdr_shape_field inv_volume_fields[] = {
    {BDR_FIELD(struct bdr_inv_volume, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 255,
     .help = "Its name.", .help_zh = "名称"},
    {BDR_FIELD(struct bdr_inv_volume, kind), .type = BDR_T_TEXT, .len_max = 32,
     .help = "partition, lvm, md, luks, disk.", .help_zh = "类型"},
    {BDR_FIELD(struct bdr_inv_volume, disks), .type = BDR_T_TEXT, .len_max = 1024,
     .help = "Names of its disks, with commas.", .help_zh = "所在磁盘"},
    {BDR_FIELD(struct bdr_inv_volume, fs), .type = BDR_T_TEXT, .len_max = 64, .help = "File system.",
     .help_zh = "文件系统"},
    {BDR_FIELD(struct bdr_inv_volume, label), .type = BDR_T_TEXT, .len_max = 255, .help = "Label.", .help_zh = "卷标"},
    {BDR_FIELD(struct bdr_inv_volume, uuid), .type = BDR_T_TEXT, .len_max = 64, .help = "UUID.", .help_zh = "UUID"},
    {BDR_FIELD(struct bdr_inv_volume, mount), .type = BDR_T_TEXT, .len_max = 1024, .help = "Where it is mounted.",
     .help_zh = "挂载点"},
    {BDR_FIELD(struct bdr_inv_volume, size_bytes), .type = BDR_T_SIZE, .help = "Its size.", .help_zh = "大小"},
    {BDR_FIELD(struct bdr_inv_volume, used_bytes), .type = BDR_T_SIZE, .help = "What is used of it.",
     .help_zh = "已用"},
    {.name = NULL},
};
static const struct bdr_shape bdr_inv_volume_shape = {.name = "InventoryVolume",
                                                      .size = sizeof(struct bdr_inv_volume),
                                                      .fields = inv_volume_fields,
                                                      .help = "What is on the disks.",
                                                      .help_zh = "卷"};

static const struct bdr_shape_field inv_nic_fields[] = {
    {BDR_FIELD(struct bdr_inv_nic, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 64,
     .help = "Its name.", .help_zh = "名称"},
    {BDR_FIELD(struct bdr_inv_nic, mac), .type = BDR_T_TEXT, .len_max = 32, .help = "MAC address.",
     .help_zh = "MAC地址"},
    {BDR_FIELD(struct bdr_inv_nic, addresses), .type = BDR_T_TEXT, .len_max = 1024, .help = "Addresses, with commas.",
     .help_zh = "地址"},
    {.name = NULL},
};
static const struct bdr_shape bdr_inv_nic_shape = {.name = "InventoryNic",
                                                   .size = sizeof(struct bdr_inv_nic),
                                                   .fields = inv_nic_fields,
                                                   .help = "A network interface.",
                                                   .help_zh = "网卡"};

static const struct bdr_shape_field inventory_fields[] = {
    {BDR_FIELD(struct bdr_inventory, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 255,
     .help = "Its host name.", .help_zh = "主机名"},
    {BDR_FIELD(struct bdr_inventory, os), .type = BDR_T_TEXT, .len_max = 256, .help = "Operating system.",
     .help_zh = "操作系统"},
    {BDR_FIELD(struct bdr_inventory, kernel), .type = BDR_T_TEXT, .len_max = 128, .help = "Kernel.", .help_zh = "内核"},
    {BDR_FIELD(struct bdr_inventory, arch), .type = BDR_T_TEXT, .len_max = 32, .help = "Processor's kind.",
     .help_zh = "架构"},
    {BDR_FIELD(struct bdr_inventory, firmware), .type = BDR_T_TEXT, .len_max = 16, .help = "bios or uefi.",
     .help_zh = "固件"},
    {BDR_FIELD(struct bdr_inventory, cpu), .type = BDR_T_TEXT, .len_max = 255, .help = "Processor.",
     .help_zh = "处理器"},
    {BDR_FIELD(struct bdr_inventory, cpus), .type = BDR_T_U32, .help = "Processors.", .help_zh = "处理器数量"},
    {BDR_FIELD(struct bdr_inventory, memory_bytes), .type = BDR_T_SIZE, .help = "Memory.", .help_zh = "内存"},
    {BDR_FIELD(struct bdr_inventory, identity), .type = BDR_T_TEXT, .len_max = 64, .help = "Machine id.",
     .help_zh = "机器标识"},
    {BDR_FIELD(struct bdr_inventory, tracker), .type = BDR_T_TEXT, .len_max = 512,
     .help = "What live tracking can do here.", .help_zh = "变化块跟踪"},
    {BDR_FIELD(struct bdr_inventory, disks), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &bdr_inv_disk_shape,
     .n_max = 1000, .help = "Its disks.", .help_zh = "磁盘"},
    {BDR_FIELD(struct bdr_inventory, volumes), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &bdr_inv_volume_shape,
     .n_max = 1000, .help = "What is on them.", .help_zh = "卷"},
    {BDR_FIELD(struct bdr_inventory, nics), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &bdr_inv_nic_shape,
     .n_max = 256, .help = "Its network interfaces.", .help_zh = "网卡"},
    {.name = NULL},
};
const struct bdr_shape bdr_inventory_shape = {.name = "Inventory",
                                              .size = sizeof(struct bdr_inventory),
                                              .fields = inventory_fields,
                                              .help = "What a machine is made of.",
                                              .help_zh = "机器清单"};

static const struct bdr_shape_field claim_in_fields[] = {
    {BDR_FIELD(struct bdr_claim_in, disks_free), .type = BDR_T_U32, .help = "Disks it can take.",
     .help_zh = "可用磁盘数"},
    {BDR_FIELD(struct bdr_claim_in, kinds), .type = BDR_T_TEXT, .len_max = 256, .help = "Kinds it can do.",
     .help_zh = "任务类型"},
    {.name = NULL},
};
const struct bdr_shape bdr_claim_in_shape = {.name = "Claim",
                                             .size = sizeof(struct bdr_claim_in),
                                             .fields = claim_in_fields,
                                             .help = "A machine that can work.",
                                             .help_zh = "领取任务"};

static const struct bdr_shape_field job_disk_fields[] = {
    {BDR_FIELD(struct bdr_job_disk, id), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Its id.",
     .help_zh = "编号"},
    {BDR_FIELD(struct bdr_job_disk, ref), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 512,
     .help = "What reads it.", .help_zh = "磁盘引用"},
    {BDR_FIELD(struct bdr_job_disk, name), .type = BDR_T_TEXT, .len_max = 255, .help = "Its name.", .help_zh = "名称"},
    {BDR_FIELD(struct bdr_job_disk, size_bytes), .type = BDR_T_SIZE, .help = "Its size.", .help_zh = "大小"},
    {BDR_FIELD(struct bdr_job_disk, excluded), .type = BDR_T_BOOL, .help = "It is left out.", .help_zh = "不同步"},
    {.name = NULL},
};
static const struct bdr_shape bdr_job_disk_shape = {.name = "JobDisk",
                                                    .size = sizeof(struct bdr_job_disk),
                                                    .fields = job_disk_fields,
                                                    .help = "A disk of a job.",
                                                    .help_zh = "任务磁盘"};

static const struct bdr_shape_field job_store_fields[] = {
    {BDR_FIELD(struct bdr_job_store, repository), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Its id.",
     .help_zh = "编号"},
    {BDR_FIELD(struct bdr_job_store, gateway_url), .type = BDR_T_URL, .help = "Its gateway.", .help_zh = "云同步网关"},
    {BDR_FIELD(struct bdr_job_store, url), .type = BDR_T_TEXT, .len_max = 1024, .help = "Its place.",
     .help_zh = "位置"},
    {BDR_FIELD(struct bdr_job_store, passphrase), .type = BDR_T_TEXT, .len_max = 1024, .help = "Its passphrase.",
     .help_zh = "口令"},
    {BDR_FIELD(struct bdr_job_store, s3_key), .type = BDR_T_TEXT, .len_max = 256, .help = "Access key.",
     .help_zh = "访问密钥"},
    {BDR_FIELD(struct bdr_job_store, s3_secret), .type = BDR_T_TEXT, .len_max = 256, .help = "Secret key.",
     .help_zh = "私有密钥"},
    {BDR_FIELD(struct bdr_job_store, s3_endpoint), .type = BDR_T_TEXT, .len_max = 1024, .help = "Endpoint.",
     .help_zh = "端点"},
    {BDR_FIELD(struct bdr_job_store, s3_region), .type = BDR_T_TEXT, .len_max = 64, .help = "Region.", .help_zh = "区域"},
    {BDR_FIELD(struct bdr_job_store, s3_addressing), .type = BDR_T_TEXT, .len_max = 16, .help = "path or virtual.",
     .help_zh = "寻址方式"},
    {BDR_FIELD(struct bdr_job_store, s3_ca), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = BDR_MACHINE_PEM_MAX,
     .help = "CA of the endpoint's certificate, PEM.", .help_zh = "CA证书"},
    {BDR_FIELD(struct bdr_job_store, compress), .type = BDR_T_TEXT, .len_max = 32, .help = "How blocks are compressed.",
     .help_zh = "压缩"},
    {.name = NULL},
};
static const struct bdr_shape bdr_job_store_shape = {.name = "JobStore",
                                                     .size = sizeof(struct bdr_job_store),
                                                     .fields = job_store_fields,
                                                     .help = "Where points go. Holds secrets.",
                                                     .help_zh = "任务存储库"};

static const struct bdr_shape_field job_platform_fields[] = {
    {BDR_FIELD(struct bdr_job_platform, id), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Its id.",
     .help_zh = "编号"},
    {BDR_FIELD(struct bdr_job_platform, kind), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 32,
     .help = "Its kind.", .help_zh = "类型"},
    {BDR_FIELD(struct bdr_job_platform, name), .type = BDR_T_TEXT, .len_max = 1024, .help = "Its name.",
     .help_zh = "名称"},
    {BDR_FIELD(struct bdr_job_platform, endpoint), .type = BDR_T_TEXT, .len_max = 1024, .help = "Its address.",
     .help_zh = "地址"},
    {BDR_FIELD(struct bdr_job_platform, username), .type = BDR_T_TEXT, .len_max = 1024, .help = "User.",
     .help_zh = "用户名"},
    {BDR_FIELD(struct bdr_job_platform, user_domain), .type = BDR_T_TEXT, .len_max = 1024, .help = "User's domain.",
     .help_zh = "用户域"},
    {BDR_FIELD(struct bdr_job_platform, project), .type = BDR_T_TEXT, .len_max = 1024, .help = "Project.",
     .help_zh = "项目"},
    {BDR_FIELD(struct bdr_job_platform, project_domain), .type = BDR_T_TEXT, .len_max = 1024,
     .help = "Project's domain.", .help_zh = "项目域"},
    {BDR_FIELD(struct bdr_job_platform, region), .type = BDR_T_TEXT, .len_max = 1024, .help = "Region.",
     .help_zh = "区域"},
    {BDR_FIELD(struct bdr_job_platform, tenancy), .type = BDR_T_TEXT, .len_max = 1024, .help = "Tenancy.",
     .help_zh = "租户"},
    {BDR_FIELD(struct bdr_job_platform, key_print), .type = BDR_T_TEXT, .len_max = 1024, .help = "Key's fingerprint.",
     .help_zh = "密钥指纹"},
    {BDR_FIELD(struct bdr_job_platform, cert_print), .type = BDR_T_TEXT, .len_max = 1024,
     .help = "Accepted certificate.", .help_zh = "证书指纹"},
    {BDR_FIELD(struct bdr_job_platform, password), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = 65536,
     .help = "Password or key.", .help_zh = "密码"},
    {BDR_FIELD(struct bdr_job_platform, more), .type = BDR_T_JSON, .help = "Ceph clusters, name records.",
     .help_zh = "其他"},
    {.name = NULL},
};
static const struct bdr_shape bdr_job_platform_shape = {.name = "JobPlatform",
                                                        .size = sizeof(struct bdr_job_platform),
                                                        .fields = job_platform_fields,
                                                        .help = "Whom a Sync Proxy asks. Holds secrets.",
                                                        .help_zh = "任务平台"};

static const struct bdr_shape_field job_work_fields[] = {
    {BDR_FIELD(struct bdr_job_work, id), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Its id.",
     .help_zh = "编号"},
    {BDR_FIELD(struct bdr_job_work, fence), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Number of the lease.",
     .help_zh = "租约编号"},
    {BDR_FIELD(struct bdr_job_work, host), .type = BDR_T_U64, .help = "Its host.", .help_zh = "主机"},
    {BDR_FIELD(struct bdr_job_work, kind), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 32,
     .help = "Its kind.", .help_zh = "类型"},
    {BDR_FIELD(struct bdr_job_work, label), .type = BDR_T_TEXT, .len_max = 127,
     .help = "The host's name in the repository.", .help_zh = "存储库内主机名"},
    {BDR_FIELD(struct bdr_job_work, ref), .type = BDR_T_TEXT, .len_max = 512,
     .help = "The platform's name of the host.", .help_zh = "主机引用"},
    {BDR_FIELD(struct bdr_job_work, host_name), .type = BDR_T_TEXT, .len_max = 255, .help = "The host's name.",
     .help_zh = "主机名"},
    {BDR_FIELD(struct bdr_job_work, checkpoint), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = 65536,
     .help = "Where the last worker stopped.", .help_zh = "断点"},
    {BDR_FIELD(struct bdr_job_work, consistency), .type = BDR_T_TEXT, .len_max = 32, .help = "What is wanted.",
     .help_zh = "一致性"},
    {BDR_FIELD(struct bdr_job_work, retention), .type = BDR_T_TEXT, .len_max = 255, .help = "What is kept.",
     .help_zh = "保留策略"},
    {BDR_FIELD(struct bdr_job_work, origin), .type = BDR_T_TEXT, .len_max = 255, .help = "Who wants it.",
     .help_zh = "来源"},
    {BDR_FIELD(struct bdr_job_work, full), .type = BDR_T_BOOL, .help = "Read all of it.", .help_zh = "全量"},
    {BDR_FIELD(struct bdr_job_work, lease_s), .type = BDR_T_U32, .flags = BDR_F_REQUIRED,
     .help = "How long the lease is good.", .help_zh = "租约时长(秒)"},
    {BDR_FIELD(struct bdr_job_work, bandwidth_bps), .type = BDR_T_U64, .help = "Bytes a second; 0: any.",
     .help_zh = "带宽限制"},
    {BDR_FIELD_HAS(struct bdr_job_work, store), .type = BDR_T_OBJECT, .shape = &bdr_job_store_shape,
     .help = "Where points go.", .help_zh = "存储库"},
    {BDR_FIELD_HAS(struct bdr_job_work, platform), .type = BDR_T_OBJECT, .shape = &bdr_job_platform_shape,
     .help = "Whom to ask.", .help_zh = "平台"},
    {BDR_FIELD(struct bdr_job_work, params), .type = BDR_T_JSON, .help = "Of the kind.", .help_zh = "参数"},
    {BDR_FIELD(struct bdr_job_work, disks), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &bdr_job_disk_shape,
     .n_max = 1000, .help = "Its disks.", .help_zh = "磁盘"},
    {.name = NULL},
};
const struct bdr_shape bdr_job_work_shape = {.name = "JobWork",
                                             .size = sizeof(struct bdr_job_work),
                                             .fields = job_work_fields,
                                             .help = "A job to do. Holds secrets.",
                                             .help_zh = "任务内容"};

static const struct bdr_shape_field claim_out_fields[] = {
    {BDR_FIELD_HAS(struct bdr_claim_out, job), .type = BDR_T_OBJECT, .shape = &bdr_job_work_shape, .help = "The job.",
     .help_zh = "任务"},
    {.name = NULL},
};
const struct bdr_shape bdr_claim_out_shape = {.name = "ClaimAnswer",
                                              .size = sizeof(struct bdr_claim_out),
                                              .fields = claim_out_fields,
                                              .help = "A job, or none.",
                                              .help_zh = "领取结果"};

static const struct bdr_shape_field job_beat_in_fields[] = {
    {BDR_FIELD(struct bdr_job_beat_in, fence), .type = BDR_T_U64, .flags = BDR_F_REQUIRED,
     .help = "Number of the lease.", .help_zh = "租约编号"},
    {BDR_FIELD(struct bdr_job_beat_in, pass), .type = BDR_T_U32, .help = "Pass.", .help_zh = "遍数"},
    {BDR_FIELD(struct bdr_job_beat_in, done_bytes), .type = BDR_T_SIZE, .help = "Done.", .help_zh = "已完成"},
    {BDR_FIELD(struct bdr_job_beat_in, total_bytes), .type = BDR_T_SIZE, .help = "Of.", .help_zh = "总量"},
    {BDR_FIELD(struct bdr_job_beat_in, stored_bytes), .type = BDR_T_SIZE, .help = "Stored.", .help_zh = "已存储"},
    {BDR_FIELD(struct bdr_job_beat_in, checkpoint), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = 65536,
     .help = "Where the next worker would continue.", .help_zh = "断点"},
    {BDR_FIELD(struct bdr_job_beat_in, step), .type = BDR_T_TEXT, .len_max = 255, .help = "What it does now.",
     .help_zh = "当前步骤"},
    {.name = NULL},
};
const struct bdr_shape bdr_job_beat_in_shape = {.name = "JobBeat",
                                                .size = sizeof(struct bdr_job_beat_in),
                                                .fields = job_beat_in_fields,
                                                .help = "A job goes on.",
                                                .help_zh = "任务进度"};

static const struct bdr_shape_field job_beat_out_fields[] = {
    {BDR_FIELD(struct bdr_job_beat_out, wanted), .type = BDR_T_ENUM, .flags = BDR_F_REQUIRED,
     .choices = bdr_job_wanteds, .help = "Go on, or stop.", .help_zh = "要求"},
    {BDR_FIELD(struct bdr_job_beat_out, lease_s), .type = BDR_T_U32, .flags = BDR_F_REQUIRED,
     .help = "How long the lease is good.", .help_zh = "租约时长(秒)"},
    {BDR_FIELD(struct bdr_job_beat_out, bandwidth_bps), .type = BDR_T_U64, .help = "Bytes a second; 0: any.",
     .help_zh = "带宽限制"},
    {.name = NULL},
};
const struct bdr_shape bdr_job_beat_out_shape = {.name = "JobBeatAnswer",
                                                 .size = sizeof(struct bdr_job_beat_out),
                                                 .fields = job_beat_out_fields,
                                                 .help = "What is wanted of a job.",
                                                 .help_zh = "任务进度应答"};

static const struct bdr_shape_field job_end_in_fields[] = {
    {BDR_FIELD(struct bdr_job_end_in, fence), .type = BDR_T_U64, .flags = BDR_F_REQUIRED,
     .help = "Number of the lease.", .help_zh = "租约编号"},
    {BDR_FIELD(struct bdr_job_end_in, how), .type = BDR_T_ENUM, .flags = BDR_F_REQUIRED, .choices = bdr_job_hows,
     .help = "What came of it.", .help_zh = "结果"},
    {BDR_FIELD(struct bdr_job_end_in, error_code), .type = BDR_T_TEXT, .len_max = 32, .help = "Kind of the error.",
     .help_zh = "错误代码"},
    {BDR_FIELD(struct bdr_job_end_in, error_text), .type = BDR_T_TEXT, .len_max = 2048,
     .help = "The error, for people.", .help_zh = "错误说明"},
    {BDR_FIELD(struct bdr_job_end_in, done_bytes), .type = BDR_T_SIZE, .help = "Done.", .help_zh = "已完成"},
    {BDR_FIELD(struct bdr_job_end_in, total_bytes), .type = BDR_T_SIZE, .help = "Of.", .help_zh = "总量"},
    {BDR_FIELD(struct bdr_job_end_in, stored_bytes), .type = BDR_T_SIZE, .help = "Stored.", .help_zh = "已存储"},
    {BDR_FIELD(struct bdr_job_end_in, result), .type = BDR_T_JSON, .help = "Of the kind.", .help_zh = "结果数据"},
    {.name = NULL},
};
const struct bdr_shape bdr_job_end_in_shape = {.name = "JobEnd",
                                               .size = sizeof(struct bdr_job_end_in),
                                               .fields = job_end_in_fields,
                                               .help = "A job's end.",
                                               .help_zh = "任务结束"};

static const struct bdr_shape_field job_end_out_fields[] = {
    {BDR_FIELD(struct bdr_job_end_out, state), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 32,
     .help = "Its state now.", .help_zh = "状态"},
    {.name = NULL},
};
const struct bdr_shape bdr_job_end_out_shape = {.name = "JobEnded",
                                                .size = sizeof(struct bdr_job_end_out),
                                                .fields = job_end_out_fields,
                                                .help = "A job that ended.",
                                                .help_zh = "任务结束应答"};

static const struct bdr_shape_field seen_host_fields[] = {
    {BDR_FIELD(struct bdr_seen_host, ref), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 512,
     .help = "The platform's name of it.", .help_zh = "引用"},
    {BDR_FIELD(struct bdr_seen_host, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 255,
     .help = "Its name.", .help_zh = "名称"},
    {BDR_FIELD(struct bdr_seen_host, addr), .type = BDR_T_TEXT, .len_max = 255, .help = "Address.", .help_zh = "地址"},
    {BDR_FIELD(struct bdr_seen_host, os), .type = BDR_T_TEXT, .len_max = 256, .help = "Operating system.",
     .help_zh = "操作系统"},
    {BDR_FIELD(struct bdr_seen_host, power), .type = BDR_T_TEXT, .len_max = 32, .help = "on, off.", .help_zh = "电源"},
    {BDR_FIELD(struct bdr_seen_host, reason), .type = BDR_T_TEXT, .len_max = 512, .help = "Why it can't be protected.",
     .help_zh = "不能保护的原因"},
    {BDR_FIELD(struct bdr_seen_host, disks), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &bdr_inv_disk_shape,
     .n_max = 1000, .help = "Its disks.", .help_zh = "磁盘"},
    {.name = NULL},
};
static const struct bdr_shape bdr_seen_host_shape = {.name = "SeenHost",
                                                     .size = sizeof(struct bdr_seen_host),
                                                     .fields = seen_host_fields,
                                                     .help = "A host of a platform.",
                                                     .help_zh = "平台主机"};

static const struct bdr_shape_field seen_hosts_fields[] = {
    {BDR_FIELD(struct bdr_seen_hosts, fence), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "The scan's lease.",
     .help_zh = "租约编号"},
    {BDR_FIELD(struct bdr_seen_hosts, job), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "The scan.",
     .help_zh = "任务"},
    {BDR_FIELD(struct bdr_seen_hosts, complete), .type = BDR_T_BOOL, .help = "This is the last part.",
     .help_zh = "最后一部分"},
    {BDR_FIELD(struct bdr_seen_hosts, hosts), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &bdr_seen_host_shape,
     .n_max = 500, .help = "Hosts.", .help_zh = "主机"},
    {.name = NULL},
};
const struct bdr_shape bdr_seen_hosts_shape = {.name = "SeenHosts",
                                               .size = sizeof(struct bdr_seen_hosts),
                                               .fields = seen_hosts_fields,
                                               .help = "What a scan saw.",
                                               .help_zh = "扫描结果"};

static const struct bdr_shape_field authorise_in_fields[] = {
    {BDR_FIELD(struct bdr_authorise_in, machine), .type = BDR_T_ID, .flags = BDR_F_REQUIRED, .help = "The machine.",
     .help_zh = "机器"},
    {BDR_FIELD(struct bdr_authorise_in, serial), .type = BDR_T_ID, .flags = BDR_F_REQUIRED,
     .help = "Of its certificate.", .help_zh = "证书序列号"},
    {BDR_FIELD(struct bdr_authorise_in, host), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "The host.",
     .help_zh = "主机"},
    {BDR_FIELD(struct bdr_authorise_in, fence), .type = BDR_T_U64, .flags = BDR_F_REQUIRED,
     .help = "Number of the lease.", .help_zh = "租约编号"},
    {.name = NULL},
};
const struct bdr_shape bdr_authorise_in_shape = {.name = "Authorise",
                                                 .size = sizeof(struct bdr_authorise_in),
                                                 .fields = authorise_in_fields,
                                                 .help = "May that machine write?",
                                                 .help_zh = "授权请求"};

static const struct bdr_shape_field authorise_out_fields[] = {
    {BDR_FIELD(struct bdr_authorise_out, repository), .type = BDR_T_U64, .flags = BDR_F_REQUIRED,
     .help = "Into which repository.", .help_zh = "存储库"},
    {BDR_FIELD(struct bdr_authorise_out, label), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 127,
     .help = "The host's name there.", .help_zh = "存储库内主机名"},
    {BDR_FIELD(struct bdr_authorise_out, identity), .type = BDR_T_TEXT, .len_max = 64, .help = "Of the machine.",
     .help_zh = "机器标识"},
    {BDR_FIELD(struct bdr_authorise_out, bandwidth_bps), .type = BDR_T_U64, .help = "Bytes a second; 0: any.",
     .help_zh = "带宽限制"},
    {BDR_FIELD(struct bdr_authorise_out, valid_s), .type = BDR_T_U32, .flags = BDR_F_REQUIRED,
     .help = "Ask again after.", .help_zh = "有效期(秒)"},
    {.name = NULL},
};
const struct bdr_shape bdr_authorise_out_shape = {.name = "Authorised",
                                                  .size = sizeof(struct bdr_authorise_out),
                                                  .fields = authorise_out_fields,
                                                  .help = "It may.",
                                                  .help_zh = "授权结果"};

static const struct bdr_shape_field gateway_repo_fields[] = {
    {BDR_FIELD(struct bdr_gateway_repo, id), .type = BDR_T_U64, .flags = BDR_F_REQUIRED, .help = "Its id.",
     .help_zh = "编号"},
    {BDR_FIELD(struct bdr_gateway_repo, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 255,
     .help = "Its name.", .help_zh = "名称"},
    {BDR_FIELD(struct bdr_gateway_repo, url), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 1024,
     .help = "Its place.", .help_zh = "位置"},
    {BDR_FIELD(struct bdr_gateway_repo, passphrase), .type = BDR_T_TEXT, .len_max = 1024, .help = "Its passphrase.",
     .help_zh = "口令"},
    {BDR_FIELD(struct bdr_gateway_repo, s3_key), .type = BDR_T_TEXT, .len_max = 256, .help = "Access key.",
     .help_zh = "访问密钥"},
    {BDR_FIELD(struct bdr_gateway_repo, s3_secret), .type = BDR_T_TEXT, .len_max = 256, .help = "Secret key.",
     .help_zh = "私有密钥"},
    {BDR_FIELD(struct bdr_gateway_repo, s3_endpoint), .type = BDR_T_TEXT, .len_max = 1024, .help = "Endpoint.",
     .help_zh = "端点"},
    {BDR_FIELD(struct bdr_gateway_repo, s3_region), .type = BDR_T_TEXT, .len_max = 64, .help = "Region.", .help_zh = "区域"},
    {BDR_FIELD(struct bdr_gateway_repo, s3_addressing), .type = BDR_T_TEXT, .len_max = 16, .help = "path or virtual.",
     .help_zh = "寻址方式"},
    {BDR_FIELD(struct bdr_gateway_repo, s3_ca), .type = BDR_T_TEXT, .flags = BDR_F_LINES, .len_max = BDR_MACHINE_PEM_MAX,
     .help = "CA of the endpoint's certificate, PEM.", .help_zh = "CA证书"},
    {BDR_FIELD(struct bdr_gateway_repo, compress), .type = BDR_T_TEXT, .len_max = 32,
     .help = "How blocks are compressed.", .help_zh = "压缩"},
    {BDR_FIELD(struct bdr_gateway_repo, block_bytes), .type = BDR_T_SIZE, .help = "Size of its blocks.",
     .help_zh = "块大小"},
    {BDR_FIELD(struct bdr_gateway_repo, create),
     .type = BDR_T_BOOL,
     .help = "Nobody has seen it yet: make it.",
     .help_zh = "尚未创建"},
    {.name = NULL},
};
static const struct bdr_shape bdr_gateway_repo_shape = {.name = "GatewayRepository",
                                                        .size = sizeof(struct bdr_gateway_repo),
                                                        .fields = gateway_repo_fields,
                                                        .help = "A repository of a gateway. Holds secrets.",
                                                        .help_zh = "网关存储库"};

static const struct bdr_shape_field gateway_repos_fields[] = {
    {BDR_FIELD(struct bdr_gateway_repos, repositories), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT,
     .shape = &bdr_gateway_repo_shape, .n_max = 1000, .help = "Repositories.", .help_zh = "存储库"},
    {.name = NULL},
};
const struct bdr_shape bdr_gateway_repos_shape = {.name = "GatewayRepositories",
                                                  .size = sizeof(struct bdr_gateway_repos),
                                                  .fields = gateway_repos_fields,
                                                  .help = "What a gateway owns.",
                                                  .help_zh = "网关存储库列表"};

static const struct bdr_shape_field repo_state_fields[] = {
    {BDR_FIELD(struct bdr_repo_state, state), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 16,
     .help = "ok, error, full.", .help_zh = "状态"},
    {BDR_FIELD(struct bdr_repo_state, text), .type = BDR_T_TEXT, .len_max = 512, .help = "Why.", .help_zh = "说明"},
    {BDR_FIELD(struct bdr_repo_state, used_bytes), .type = BDR_T_SIZE, .help = "Used.", .help_zh = "已用"},
    {BDR_FIELD_HAS(struct bdr_repo_state, free_bytes), .type = BDR_T_SIZE, .help = "Free.", .help_zh = "可用"},
    {BDR_FIELD(struct bdr_repo_state, data_bytes), .type = BDR_T_SIZE, .help = "Of all points before deduplication.",
     .help_zh = "去重前数据量"},
    {.name = NULL},
};
const struct bdr_shape bdr_repo_state_shape = {.name = "RepositoryState",
                                               .size = sizeof(struct bdr_repo_state),
                                               .fields = repo_state_fields,
                                               .help = "How a repository is.",
                                               .help_zh = "存储库状态"};

static const struct bdr_shape_field removing_in_fields[] = {
    {BDR_FIELD(struct bdr_removing_in, ref), .type = BDR_T_ID, .flags = BDR_F_REQUIRED,
     .help = "Its id in the repository.", .help_zh = "编号"},
    {BDR_FIELD(struct bdr_removing_in, retention), .type = BDR_T_TEXT, .len_max = 512,
     .help = "The rule that does not keep it; left out when it was named.", .help_zh = "保留策略"},
    {.name = NULL},
};
const struct bdr_shape bdr_removing_in_shape = {.name = "Removing",
                                                .size = sizeof(struct bdr_removing_in),
                                                .fields = removing_in_fields,
                                                .help = "A point that a prune is about to remove.",
                                                .help_zh = "即将删除的恢复点"};
static const struct bdr_shape_field removing_out_fields[] = {
    {BDR_FIELD(struct bdr_removing_out, may), .type = BDR_T_BOOL, .flags = BDR_F_REQUIRED,
     .help = "Nobody holds it, and the rule is still that of its host.", .help_zh = "可以删除"},
    {.name = NULL},
};
const struct bdr_shape bdr_removing_out_shape = {.name = "RemovingAnswer",
                                                 .size = sizeof(struct bdr_removing_out),
                                                 .fields = removing_out_fields,
                                                 .help = "Whether it may.",
                                                 .help_zh = "是否可以删除"};

static const struct bdr_shape_field point_told_fields[] = {
    {BDR_FIELD(struct bdr_point_told, ref), .type = BDR_T_ID, .flags = BDR_F_REQUIRED,
     .help = "Its id in the repository.", .help_zh = "编号"},
    {BDR_FIELD(struct bdr_point_told, label), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_max = 127,
     .help = "The host's name there.", .help_zh = "存储库内主机名"},
    {BDR_FIELD(struct bdr_point_told, taken), .type = BDR_T_TIME, .flags = BDR_F_REQUIRED, .help = "Its moment.",
     .help_zh = "时间"},
    {BDR_FIELD(struct bdr_point_told, full), .type = BDR_T_BOOL, .help = "All of it was read.", .help_zh = "全量"},
    {BDR_FIELD(struct bdr_point_told, consistency), .type = BDR_T_TEXT, .len_max = 32, .help = "What it is worth.",
     .help_zh = "一致性"},
    {BDR_FIELD(struct bdr_point_told, disk_bytes), .type = BDR_T_SIZE, .help = "Of its disks.", .help_zh = "磁盘大小"},
    {BDR_FIELD(struct bdr_point_told, read_bytes), .type = BDR_T_SIZE, .help = "Read.", .help_zh = "读取"},
    {BDR_FIELD(struct bdr_point_told, stored_bytes), .type = BDR_T_SIZE, .help = "Stored.", .help_zh = "存储"},
    {BDR_FIELD(struct bdr_point_told, job), .type = BDR_T_U64, .help = "The job that made it.", .help_zh = "任务"},
    {.name = NULL},
};
static const struct bdr_shape bdr_point_told_shape = {.name = "PointTold",
                                                      .size = sizeof(struct bdr_point_told),
                                                      .fields = point_told_fields,
                                                      .help = "A point that is visible.",
                                                      .help_zh = "恢复点"};

static const struct bdr_shape_field points_told_fields[] = {
    {BDR_FIELD(struct bdr_points_told, complete), .type = BDR_T_BOOL, .help = "This is the last part of a whole list.",
     .help_zh = "最后一部分"},
    {BDR_FIELD(struct bdr_points_told, list), .type = BDR_T_ID, .help = "Names a whole list.", .help_zh = "列表标识"},
    {BDR_FIELD(struct bdr_points_told, points), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &bdr_point_told_shape,
     .n_max = 1000, .help = "Points.", .help_zh = "恢复点"},
    {.name = NULL},
};
const struct bdr_shape bdr_points_told_shape = {.name = "PointsTold",
                                                .size = sizeof(struct bdr_points_told),
                                                .fields = points_told_fields,
                                                .help = "Points of a repository.",
                                                .help_zh = "恢复点列表"};
