/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform_kinds.c - the kinds of platforms with all that a form needs: fields, ports, sizes and steps, in both languages.
 *
 * Which fields there are, their defaults and examples come from schema/platforms.def; the words are the operator's manual's.
 */
#include "api/platforms.h"
#include "rules/platform.h"
#include <string.h>

struct kind_field {
    const char *name, *label, *label_zh, *hint, *hint_zh, *def, *example, *type;
    bool required;
    const char *const *suggestions;
    BDR_ARRAY(const char *) choices;
};
struct kind_port {
    const char *from, *to, *to_zh, *ports, *note, *note_zh;
};
struct kind_size {
    const char *name, *name_zh, *value;
};
struct kind_step {
    const char *text, *text_zh;
};
struct kind {
    const char *kind, *title, *title_zh, *note, *note_zh;
    uint32_t port;
    bool repeat_ceph;
    BDR_ARRAY(struct kind_field) fields;
    BDR_ARRAY(struct kind_field) ceph_fields;
    BDR_ARRAY(struct kind_port) ports;
    BDR_ARRAY(struct kind_size) proxy_size;
    BDR_ARRAY(struct kind_step) steps;
};

static const struct bdr_shape_field field_fields[] = {
    OBJ_OUT(struct kind_field, name, TEXT, "The member of a Platform.", "字段"),
    OBJ_OUT(struct kind_field, label, TEXT, "Its label.", "英文标签"),
    OBJ_OUT(struct kind_field, label_zh, TEXT, "Its label in Chinese.", "中文标签"),
    OBJ_OUT(struct kind_field, hint, TEXT, "What it is.", "英文说明"),
    OBJ_OUT(struct kind_field, hint_zh, TEXT, "What it is, in Chinese.", "中文说明"),
    {.name = "default", .offset = offsetof(struct kind_field, def), .size = sizeof(const char *), .type = BDR_T_TEXT,
     .flags = BDR_F_READONLY, .help = "What it is unless set.", .help_zh = "默认值"},
    OBJ_OUT(struct kind_field, example, TEXT, "An example.", "示例"),
    OBJ_OUT(struct kind_field, type, TEXT, "text, url, secret, file, choice, bool or list.", "类型"),
    OBJ_OUT(struct kind_field, required, BOOL, "It is needed.", "必填"),
    {BDR_FIELD(struct kind_field, choices), .type = BDR_T_ARRAY, .of = BDR_T_TEXT, .flags = BDR_F_READONLY,
     .help = "Values to choose from; of a text, suggestions.", .help_zh = "可选值"},
    OBJ_END,
};
static const struct bdr_shape field_shape = OBJ_SHAPE(struct kind_field, "PlatformField", field_fields);
static const struct bdr_shape_field port_fields[] = {
    OBJ_OUT(struct kind_port, from, TEXT, "From.", "源端"),
    OBJ_OUT(struct kind_port, to, TEXT, "To.", "目标（英文）"),
    OBJ_OUT(struct kind_port, to_zh, TEXT, "To, in Chinese.", "目标"),
    OBJ_OUT(struct kind_port, ports, TEXT, "Ports.", "访问端口"),
    OBJ_OUT(struct kind_port, note, TEXT, "What for.", "说明（英文）"),
    OBJ_OUT(struct kind_port, note_zh, TEXT, "What for, in Chinese.", "说明"),
    OBJ_END,
};
static const struct bdr_shape port_shape = OBJ_SHAPE(struct kind_port, "PlatformPort", port_fields);
static const struct bdr_shape_field size_fields[] = {
    OBJ_OUT(struct kind_size, name, TEXT, "What.", "参数（英文）"),
    OBJ_OUT(struct kind_size, name_zh, TEXT, "What, in Chinese.", "参数"),
    OBJ_OUT(struct kind_size, value, TEXT, "How much.", "规格"),
    OBJ_END,
};
static const struct bdr_shape size_shape = OBJ_SHAPE(struct kind_size, "PlatformProxySize", size_fields);
static const struct bdr_shape_field step_fields[] = {
    OBJ_OUT(struct kind_step, text, TEXT, "What to do.", "步骤（英文）"),
    OBJ_OUT(struct kind_step, text_zh, TEXT, "What to do, in Chinese.", "步骤"),
    OBJ_END,
};
static const struct bdr_shape step_shape = OBJ_SHAPE(struct kind_step, "PlatformStep", step_fields);

#define KIND_ARRAY(m, s, en, zh)                                                                                       \
    {                                                                                                                  \
        BDR_FIELD(struct kind, m), .type = BDR_T_ARRAY, .of = BDR_T_OBJECT, .shape = &(s), .flags = BDR_F_READONLY,    \
                                   .help = (en), .help_zh = (zh)                                                       \
    }
static const struct bdr_shape_field kind_fields[] = {
    OBJ_OUT(struct kind, kind, TEXT, "The kind.", "平台类型"),
    OBJ_OUT(struct kind, title, TEXT, "Its name.", "英文名称"),
    OBJ_OUT(struct kind, title_zh, TEXT, "Its name in Chinese.", "中文名称"),
    OBJ_OUT(struct kind, note, TEXT, "What to know of it.", "说明（英文）"),
    OBJ_OUT(struct kind, note_zh, TEXT, "What to know of it, in Chinese.", "说明"),
    OBJ_OUT(struct kind, port, U32, "Port of its endpoint.", "默认端口"),
    OBJ_OUT(struct kind, repeat_ceph, BOOL, "It has Ceph clusters, as many as there are.", "可添加多个Ceph集群"),
    KIND_ARRAY(fields, field_shape, "Fields of its form, in order.", "表单字段"),
    KIND_ARRAY(ceph_fields, field_shape, "Fields of each Ceph cluster.", "Ceph表单字段"),
    KIND_ARRAY(ports, port_shape, "What has to be open.", "网络策略要求"),
    KIND_ARRAY(proxy_size, size_shape, "What a Sync Proxy needs.", "Sync Proxy的资源规格"),
    KIND_ARRAY(steps, step_shape, "How a Sync Proxy is deployed.", "部署同步代理步骤"),
    OBJ_END,
};
static const struct bdr_shape kind_shape = OBJ_SHAPE(struct kind, "PlatformKind", kind_fields);

/* ---- words ---- */

#define RESOLVE_ZH "如果源端使用了域名进行管理，则需提前获取域名与 IP 地址的对应关系，并将记录添加到平台以支持解析。"
#define RESOLVE    "When names are used at the production site, add their name records so that they resolve."
#define CONSOLE_ZH "登录管理控制台 → 指向右上角【概要信息】→ 点击【我的概要信息】→ 选择【API 密钥】→ 在 API 密钥中选择一个密钥【查看配置文件】→ 对应配置中的"
#define CONSOLE    "Console > Profile > My profile > API keys > view the configuration file > "

/* What a form says of a field; kind NULL: of all kinds that have no row of their own before. */
static const struct word {
    const char *kind, *name, *type, *label, *label_zh, *hint, *hint_zh;
} words[] = {
    {"vmware", "endpoint", "url", "Endpoint", "鉴权地址", "vCenter or an ESXi host. " RESOLVE,
     "vCenter/ESXi 链接地址。" RESOLVE_ZH},
    {"vmware", "username", "text", "User name", "用户名", "A user of vCenter or ESXi.", "用于连接 vCenter 或 ESXi 的用户名。"},
    {"vmware", "password", "secret", "Password", "密码", "The user's password.", "用于连接 vCenter 或 ESXi 的密码。"},
    {"openstack", "endpoint", "url", "Endpoint", "鉴权地址", "The public endpoint of Keystone. " RESOLVE,
     "这里的鉴权地址一般为OpenStack Keystone public Endpoint URL地址。" RESOLVE_ZH},
    {"openstack", "user_domain", "text", "User domain ID", "用户Domain ID", "Domain of the user.",
     "连接OpenStack平台的用户Domain ID"},
    {"openstack", "username", "text", "User name", "用户名", "A user of OpenStack.", "连接OpenStack平台的用户名"},
    {"openstack", "password", "secret", "Password", "密码", "The user's password.", "连接OpenStack平台的密码"},
    {"openstack", "project_domain", "text", "Project domain ID", "项目Domain ID", "Domain of the project.",
     "连接OpenStack平台的项目Domain ID"},
    {"openstack", "project", "text", "Project name", "项目名称", "The user's project.",
     "连接OpenStack平台的项目名称，用户所在项目名称"},
    {"openstack", "region", "text", "Region", "域名", "Name of the region.", "连接OpenStack集群的Region Name"},
    {"aws", "username", "text", "Access Key ID", "Access Key ID",
     "Key of the AWS API. Console > user name > Security credentials > Users.",
     "访问 AWS API 的密钥，具有该账户的完全权限。登录管理控制台 → 指向右上角用户名 → 点击“安全凭证” → 选择“用户”"},
    {"aws", "secret_key", "secret", "Access Key Secret", "Access Key Secret", "The secret that belongs to the key.",
     "与 Access Key ID 配对的密钥，具有该账户的完全权限。获取方式同上"},
    {"aws", "region", "text", "Region", "区域", "Where the machines are. Choose one, or type it.",
     "待同步机器所在的区域。默认为自动获取，点击刷新按钮可选择。也可手动填写，手动填写时请参考 AWS 服务端点文档。"},
    {"fusioncompute", "endpoint", "url", "Endpoint", "鉴权地址", "FusionCompute's management node. " RESOLVE,
     "FusionCompute 链接地址。" RESOLVE_ZH},
    {"fusioncompute", "username", "text", "User name", "用户名", "A user of FusionCompute.",
     "用于连接 FusionCompute 的用户名。"},
    {"fusioncompute", "password", "secret", "Password", "密码", "The user's password.", "用于连接 FusionCompute 的密码。"},
    {"oracle", "tenancy", "text", "Tenancy OCID", "租户 OCID", CONSOLE "tenancy.", CONSOLE_ZH "【tenancy】。"},
    {"oracle", "username", "text", "User OCID", "用户 OCID", CONSOLE "user.",
     "连接 Oracle 主机的用户名。" CONSOLE_ZH "【user】。"},
    {"oracle", "private_key", "file", "Key", "密钥", "The private key, made or uploaded with 'Add API key'.",
     "连接 Oracle 主机的私钥文件。登录管理控制台 → 指向右上角【概要信息】→ 点击【我的概要信息】→ 选择【API 密钥】→ 【添加 API 密钥】时创建或上传的密钥。"},
    {"oracle", "key_print", "text", "Key fingerprint", "密钥指纹", CONSOLE "fingerprint. Taken from the key when empty.",
     CONSOLE_ZH "【fingerprint】。不填写时由密钥计算。"},
    {"oracle", "region", "text", "Region", "区域", CONSOLE "region.", CONSOLE_ZH "【region】。"},
    {"mem", "region", "text", "Name", "名称", "Of the simulated site.", "模拟站点名称"},
    {"mem", "project", "text", "Content", "内容", "What there is to see.", "模拟的主机与磁盘"},
    {NULL, "proxies", "list", "Sync Proxy", "源端同步代理", "Choose those that were installed.",
     "安装完成后可在下拉菜单中选择，无需手动添加 IP。"},
    {NULL, "name", "text", "Name", "高级设置 + 名称", "Made from kind, place and time when it is empty.",
     "自定义的生产平台名称。可以手动设置，也可以保持默认，系统会根据区域、平台、时间等信息自动生成命名规则。"},
};

static const struct kind_field ceph_rows[] = {
    {.name = "monitors", .label = "Monitors", .label_zh = "控制节点地址", .hint = "Addresses, with commas between.",
     .hint_zh = "Ceph 控制节点的地址（例如：10.0.0.201），需确认双方网络可互通。多个地址请使用英文逗号 , 分隔。",
     .example = "10.0.0.201,10.0.0.202,10.0.0.203", .type = "text", .required = true},
    {.name = "cephx", .label = "CephX", .label_zh = "使用 CephX 鉴权", .hint = "The cluster wants CephX.",
     .hint_zh = "是 / 否", .def = "true", .example = "true", .type = "bool"},
    {.name = "username", .label = "User name", .label_zh = "用户名", .hint = "A user who may read the pool.",
     .hint_zh = "Ceph 用户名（例如：cinder、admin），用于访问指定存储池。", .def = "cinder", .example = "cinder",
     .type = "text", .required = true},
    {.name = "keyring", .label = "Key", .label_zh = "密钥环", .hint = "cat /etc/ceph/ceph.client.cinder.keyring",
     .hint_zh = "Ceph 密钥，可通过运行 cat /etc/ceph/ceph.client.cinder.keyring 在 Ceph 控制节点上查看。",
     .example = "AQBBY9hfBc0+AxAAzyym+6l+MeTpMlgNTbye/A==", .type = "secret"},
    {.name = "pool", .label = "Pool", .label_zh = "存储池", .hint = "The pool of the disks to protect.",
     .hint_zh = "Ceph 节点的存储池名称。务必选择“被容灾主机数据所在”的存储池！可通过命令 ceph osd ls pools 在 Ceph 管理节点上查看。",
     .def = "volumes", .example = "volumes", .type = "text", .required = true},
    {.name = "diff", .label = "Changes by", .label_zh = "增量获取类型", .hint = "rbd diff: slower, exact; rbd du: faster, coarser.",
     .hint_zh = "增量数据获取方式：rbd diff：速度较慢但数据精确；rbd du：速度较快但精度较低", .def = "rbd_diff",
     .example = "rbd_diff", .type = "choice", .suggestions = (const char *const[]){"rbd_diff", "rbd_du", NULL}},
    {.name = "cluster", .label = "Cluster", .label_zh = "集群", .hint = "ceph unless it was named otherwise.",
     .hint_zh = "Ceph 集群名称，默认为 ceph。可通过运行 cat /usr/lib/systemd/system/ceph-mon@.service 在 Ceph 控制节点查看。",
     .def = "ceph", .example = "ceph", .type = "text"},
    {.name = "volume_types", .label = "Volume types", .label_zh = "OpenStack 卷类型",
     .hint = "With commas between; openstack volume type list.",
     .hint_zh = "可选的 OpenStack 卷类型列表。可通过命令 openstack volume type list 在 OpenStack 控制节点查看。",
     .def = "DEFAULT_VOLUME_TYPE", .example = "DEFAULT_VOLUME_TYPE,ssd,sata", .type = "text"},
};

/* https://docs.aws.amazon.com/general/latest/gr/rande.html; any other can be typed */
static const char *const aws_regions[] = {
    "ap-southeast-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2", "af-south-1", "ap-east-1", "ap-south-1",
    "ap-south-2", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-northeast-1", "ap-northeast-2",
    "ap-northeast-3", "ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2", "eu-west-1", "eu-west-2", "eu-west-3",
    "eu-south-1", "eu-south-2", "eu-north-1", "il-central-1", "me-south-1", "me-central-1", "sa-east-1", "cn-north-1",
    "cn-northwest-1", NULL};

static const struct port_row {
    const char *kind; /* NULL: all */
    struct kind_port port;
} port_rows[] = {
    {NULL, {"Sync Proxy", "Console", "控制台", "10443", "Authentication and messages.", "认证通信端口"}},
    {NULL, {"Sync Proxy", "Console", "控制台", "30080", "Download of packages.", "安装包下载访问端口"}},
    {"vmware", {"Sync Proxy", "vCenter/ESXi", "vCenter/ESXi", "443", "Authentication and messages.", "认证通信端口"}},
    {"vmware", {"Sync Proxy", "ESXi hosts", "ESXi Hosts", "902",
                "Data. Every ESXi host with machines to protect has to be reachable.",
                "数据通信端口。该端口用于调用 VMware API 接口以获取备份数据。若备份虚拟机运行在多个 ESXi 主机上，需确保 Sync Proxy 可以访问每台对应 ESXi 主机的 902 端口。"}},
    {"openstack", {"Sync Proxy", "OpenStack", "OpenStack", "5000, 35357, 9696, 8774, 8776, 9292",
                   "Keystone, Neutron, Nova, Cinder, Glance.", "与OpenStack服务认证通信端口"}},
    {"openstack", {"Sync Proxy", "Ceph monitors and OSDs", "OpenStack Ceph Monitor Node", "6789",
                   "Authentication and data; OSDs listen on 6800-7300.",
                   "认证端口，调用 Ceph API 接口认证，并从其他 Ceph 存储节点获取备份数据"}},
    {"aws", {"Sync Proxy", "AWS EC2, AWS EBS", "AWS EC2、AWS EBS", "443",
             "Over the internet with a public address, or through VPC endpoints and the internal DNS.",
             "与 AWS 服务认证通信端口。确保可以访问 AWS EC2 和 EBS 服务地址。如果通过公网访问，需 EC2 绑定公网 IP，并开通公网访问策略。如果通过内网访问，需确认 EC2 有内网 VPC Endpoint 服务，且能通过内部 DNS 解析访问 EC2 和 EBS 服务。"}},
    {"fusioncompute", {"Sync Proxy", "FusionCompute management node", "FusionCompute 管理节点", "7443",
                       "Authentication and messages.", "认证通信端口"}},
    {"fusioncompute", {"Sync Proxy", "Each computing node", "虚拟化平台各计算节点", "21064",
                       "Data. Every node with machines to protect has to be reachable.",
                       "数据通信端口。用于备份数据读取。请确保 Sync Proxy 能访问所有目标主机的 21064 端口。"}},
    {"oracle", {"Sync Proxy", "Oracle Cloud services", "Oracle Cloud 服务", "443", "Authentication and messages.",
                "认证通信端口"}},
    {"oracle", {"Sync Proxy", "Oracle Cloud hosts", "Oracle Cloud 主机", "1522", "Data.",
                "数据通信端口。用于备份数据读取。"}},
};

static const struct kind_size size_rows[] = {
    {"OS version", "OS Version", "Ubuntu 20.04"},
    {"CPU", "CPU", "4C"},
    {"Memory", "Memory", "8GB"},
    {"System disk", "System Disk", "50GB"},
};

static const struct step_row {
    const char *kind;
    struct kind_step step;
} step_rows[] = {
    {"vmware", {"Download the Sync Proxy's OVA.", "下载源端同步代理OVA文件。"}},
    {"vmware", {"Deploy one or more machines from it, and give them addresses.",
                "用OVA文件，导入到VMware集群，部署一台或多台源端同步代理虚拟机，并配置IP地址。"}},
    {"vmware", {"Log in to the new machine.", "安装源端同步代理，登录新创建的同步代理虚拟机。"}},
    {"openstack", {"Make a machine with Ubuntu 20.04; the QCOW2 image takes its password from cloud-init.",
                   "创建云主机：可以自行进行Ubuntu 20.04操作系统的虚拟机创建，镜像没有默认登录密码，须通过cloud-init服务注入密码。"}},
    {"aws", {"Make an instance from Amazon's image of Ubuntu 20.04.",
             "创建云主机：可以在AWS平台，使用原生AWS EC2 Ubuntu 20.04操作系统镜像来创建一台新的云主机来部署同步代理。"}},
    {"fusioncompute", {"Download the Sync Proxy's OVA.", "下载源端同步代理OVA文件。"}},
    {"fusioncompute", {"Deploy a machine from it on FusionCompute 8.6.0, and give it an address.",
                       "用OVA文件在FusionCompute集群上，部署一台虚拟机，并配置IP地址。FusionCompute集群兼容的系统的版本：FusionCompute 8.6.0"}},
    {"fusioncompute", {"Log in to the new machine.", "安装源端同步代理，登录新创建的同步代理虚拟机。"}},
    {"oracle", {"Make a machine from the platform's image of Ubuntu 20.04.",
                "创建云主机：使用原生 Ubuntu 20.04 操作系统镜像创建一台新的虚拟机用于部署同步代理。"}},
    {NULL, {"Copy the install command and run it there.", "复制并执行安装同步代理指令。"}},
};

static const struct kind_title {
    const char *kind, *title, *note, *note_zh;
} titles[] = {
    {"vmware", "VMware", "A vCenter, or a single ESXi host. Changes are found by CBT.",
     "可以添加多个VMware集群，也可以单独添加某一个ESXi主机。利用VMware的CBT技术实现增量数据同步。"},
    {"openstack", "OpenStack", "With volumes on Ceph; as many clusters as there are.", "可以添加多个OpenStack集群。"},
    {"aws", "AWS", "One region; add each region of its own.", "可以添加多个AWS 区域。"},
    {"fusioncompute", "FusionCompute",
     "Tools must run in each machine; at most 32 snapshots, 8 volumes at once and 8 connections a host; no shared or "
     "independent disks.",
     "虚拟机需安装Tools并启动；最多支持32个快照；共享磁盘不支持快照；独立磁盘不支持备份；最多支持同时备份8个卷；单主机最大支持8个Socket链接。"},
    {"oracle", "Oracle", "One region; add each region of its own.", "可以添加多个Oracle 区域。"},
    {"mem", "Simulated", "For tests and demos: hosts and disks that are made up.", "模拟平台，仅用于测试和演示。"},
};
static const struct {
    const char *kind;
    uint32_t port;
} kind_ports[] = {
#define P(kind, port) {#kind, port},
#include "platforms.def"
#undef P
};

/* ---- putting them together ---- */

static const struct word *word_of(const char *kind, const char *name)
{
    for (size_t i = 0; i < BDR_COUNT(words); i++)
        if (!strcmp(words[i].name, name) && (!words[i].kind || !strcmp(words[i].kind, kind)))
            return &words[i];
    BDR_ASSERT(!"each field of platforms.def has its words");
    return NULL;
}

static struct bdr_err *suggest(struct bdr_req *req, struct kind_field *f)
{
    size_t n = 0;

    while (f->suggestions && f->suggestions[n])
        n++;
    f->choices.items = bdr_arena_alloc(bdr_req_arena(req), (n + 1) * sizeof(const char *));
    BDR_NOMEM_IF_NULL(f->choices.items);
    for (size_t i = 0; i < n; i++)
        f->choices.items[i] = f->suggestions[i];
    f->choices.n = n;
    return NULL;
}

static struct bdr_err *field_add(struct bdr_req *req, struct kind *k, const char *name,
                                 const struct bdr_platform_field *row)
{
    struct kind_field *f = &k->fields.items[k->fields.n++];
    const struct word *w = word_of(k->kind, name);

    *f = (struct kind_field){.name = name,
                             .label = w->label,
                             .label_zh = w->label_zh,
                             .hint = w->hint,
                             .hint_zh = w->hint_zh,
                             .type = w->type,
                             .def = row ? obj_text(row->by_default) : NULL,
                             .example = row ? obj_text(row->example) : NULL,
                             /* the print comes from the key when it is not given */
                             .required = row && row->need != BDR_FIELD_MAY && strcmp(name, "key_print") != 0};
    if (!strcmp(k->kind, "aws") && !strcmp(name, "region"))
        f->suggestions = aws_regions;
    return suggest(req, f);
}

static struct bdr_err *kind_forms(struct bdr_req *req, struct kind *k)
{
    k->fields.items = bdr_arena_alloc(bdr_req_arena(req), (bdr_platform_field_count + 2) * sizeof(k->fields.items[0]));
    k->ceph_fields.items = bdr_arena_alloc(bdr_req_arena(req), BDR_COUNT(ceph_rows) * sizeof(k->ceph_fields.items[0]));
    BDR_NOMEM_IF_NULL(k->fields.items);
    BDR_NOMEM_IF_NULL(k->ceph_fields.items);
    for (size_t i = 0; i < bdr_platform_field_count; i++)
        if (!strcmp(bdr_platform_fields[i].kind, k->kind))
            BDR_TRY(field_add(req, k, bdr_platform_fields[i].column, &bdr_platform_fields[i]));
    BDR_TRY(field_add(req, k, "proxies", NULL));
    BDR_TRY(field_add(req, k, "name", NULL));
    k->repeat_ceph = !strcmp(k->kind, "openstack");
    for (size_t i = 0; k->repeat_ceph && i < BDR_COUNT(ceph_rows); i++) {
        k->ceph_fields.items[i] = ceph_rows[i];
        BDR_TRY(suggest(req, &k->ceph_fields.items[i]));
        k->ceph_fields.n++;
    }
    return NULL;
}

static bool for_kind(const char *row_kind, const char *kind)
{
    return !row_kind || !strcmp(row_kind, kind);
}

static struct bdr_err *kind_guide(struct bdr_req *req, struct kind *k)
{
    k->ports.items = bdr_arena_alloc(bdr_req_arena(req), sizeof(port_rows));
    k->steps.items = bdr_arena_alloc(bdr_req_arena(req), sizeof(step_rows));
    k->proxy_size.items = bdr_arena_alloc(bdr_req_arena(req), sizeof(size_rows));
    BDR_NOMEM_IF_NULL(k->ports.items);
    BDR_NOMEM_IF_NULL(k->steps.items);
    BDR_NOMEM_IF_NULL(k->proxy_size.items);
    for (size_t i = 0; i < BDR_COUNT(port_rows); i++)
        if (for_kind(port_rows[i].kind, k->kind))
            k->ports.items[k->ports.n++] = port_rows[i].port;
    for (size_t i = 0; i < BDR_COUNT(step_rows); i++)
        if (for_kind(step_rows[i].kind, k->kind))
            k->steps.items[k->steps.n++] = step_rows[i].step;
    memcpy(k->proxy_size.items, size_rows, sizeof(size_rows));
    k->proxy_size.n = BDR_COUNT(size_rows);
    return NULL;
}

static struct bdr_err *kind_list(struct bdr_req *req, const void *in, void *out)
{
    struct kind *items = bdr_arena_alloc(bdr_req_arena(req), BDR_COUNT(titles) * sizeof(*items));
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_page *page = out;
    bool mem = false;

    (void)in;
    BDR_NOMEM_IF_NULL(items);
    BDR_TRY(obj_read(req, &tx));
    BDR_TRY(platform_mem_on(tx, &mem));
    page->items = items;
    for (size_t i = 0; i < BDR_COUNT(titles); i++) {
        struct kind *k = &items[page->n];

        if (!strcmp(titles[i].kind, "mem") && !mem)
            continue;
        *k = (struct kind){.kind = titles[i].kind,
                           .title = titles[i].title,
                           .title_zh = !strcmp(titles[i].kind, "mem") ? "模拟平台" : titles[i].title,
                           .note = titles[i].note,
                           .note_zh = titles[i].note_zh};
        for (size_t p = 0; p < BDR_COUNT(kind_ports); p++)
            if (!strcmp(kind_ports[p].kind, k->kind))
                k->port = kind_ports[p].port;
        BDR_TRY(kind_forms(req, k));
        BDR_TRY(kind_guide(req, k));
        page->n++;
    }
    return NULL;
}

/* ---- the switch of simulated platforms ---- */

struct mem_switch {
    bool enabled, has_enabled;
};
static const struct bdr_shape_field mem_fields[] = {
    {BDR_FIELD_HAS(struct mem_switch, enabled), .type = BDR_T_BOOL, .flags = BDR_F_REQUIRED,
     .help = "Simulated platforms can be added.", .help_zh = "启用模拟平台"},
    OBJ_END,
};
static const struct bdr_shape mem_shape = OBJ_SHAPE(struct mem_switch, "SimulatedPlatforms", mem_fields);

static struct bdr_err *mem_tx(struct bdr_tx *tx, void *ctx)
{
    struct obj_change *c = ctx;
    const struct mem_switch *in = c->in;
    struct mem_switch was = {.has_enabled = true};

    BDR_TRY(platform_mem_on(tx, &was.enabled));
    BDR_TRY(bdr_q_setting_put(tx, PLATFORM_MEM, in->enabled ? "1" : "0", api_now()));
    return api_audit(tx, c->req, "setting.update", "setting", 0, &mem_shape, &was, in);
}

static struct bdr_err *mem_set(struct bdr_req *req, const void *in, void *out)
{
    struct obj_change c = {.req = req, .in = in};

    *(struct mem_switch *)out = *(const struct mem_switch *)in;
    return api_run(req, BDR_TX_WRITE, mem_tx, &c);
}

static const struct bdr_route rows[] = {
    {BDR_GET, "/v1/platform-kinds", "platforms:read", BDR_R_LIST, .out = &kind_shape, .run = kind_list,
     .help = "Kinds of platforms with their forms, ports and steps, in both languages.", .help_zh = "生产平台类型"},
    {BDR_PUT, "/v1/platform-kinds/mem", "platforms:admin", 0, .in = &mem_shape, .out = &mem_shape, .run = mem_set,
     .cli = "platform simulate", .help = "Switch simulated platforms on or off; for tests and demos.",
     .help_zh = "启用或停用模拟平台"},
};
const struct bdr_route_table api_platform_kinds_table = BDR_ROUTES("platforms", rows);
