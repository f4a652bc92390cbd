/* SPDX-License-Identifier: Apache-2.0 */
/* accounts.c - the users of the console, as administrators see and change them. */
#include "api/people.h"
#include "auth/password.h"
#include "first_login.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { ROLE_ADMIN, ROLE_OPERATOR, ROLE_VIEWER };
static const struct bdr_choice roles[] = {
    {"admin", ROLE_ADMIN, "May do everything.", "管理员"},
    {"operator", ROLE_OPERATOR, "May protect and recover.", "操作员"},
    {"viewer", ROLE_VIEWER, "May look.", "只读用户"},
    {.name = NULL},
};
static const char *role_text(int role)
{
    return roles[role].name;
}

struct user {
    uint64_t id;
    const char *name, *title, *mail, *lang, *role, *password;
    bool must_change, totp, disabled, locked;
    int64_t login, created, locked_until;
    bool has_login, has_locked_until;
};
#define OUT BDR_F_READONLY
static const struct bdr_shape_field user_fields[] = {
    {BDR_FIELD(struct user, id), .type = BDR_T_U64, .flags = OUT, .help = "Its id.", .help_zh = "编号"},
    {BDR_FIELD(struct user, name), .type = BDR_T_TEXT, .flags = OUT, .help = "Name at login.", .help_zh = "用户名"},
    {BDR_FIELD(struct user, title), .type = BDR_T_TEXT, .flags = OUT, .help = "Full name.", .help_zh = "姓名"},
    {BDR_FIELD(struct user, mail), .type = BDR_T_TEXT, .flags = OUT, .help = "Mail address.", .help_zh = "邮箱"},
    {BDR_FIELD(struct user, lang), .type = BDR_T_TEXT, .flags = OUT, .help = "en or zh.", .help_zh = "语言"},
    {BDR_FIELD(struct user, role), .type = BDR_T_TEXT, .flags = OUT, .help = "admin, operator or viewer.",
     .help_zh = "角色"},
    {BDR_FIELD(struct user, must_change), .type = BDR_T_BOOL, .flags = OUT, .help = "Has to choose a password.",
     .help_zh = "须修改密码"},
    {BDR_FIELD(struct user, totp), .type = BDR_T_BOOL, .flags = OUT, .help = "Has a second step.",
     .help_zh = "两步验证"},
    {BDR_FIELD(struct user, disabled), .type = BDR_T_BOOL, .flags = OUT, .help = "May not log in.",
     .help_zh = "已停用"},
    {BDR_FIELD(struct user, locked), .type = BDR_T_BOOL, .flags = OUT, .help = "Too many wrong passwords.",
     .help_zh = "已锁定"},
    {BDR_FIELD_HAS(struct user, locked_until), .type = BDR_T_TIME, .flags = OUT, .help = "Until when.",
     .help_zh = "锁定至"},
    {BDR_FIELD_HAS(struct user, login), .type = BDR_T_TIME, .flags = OUT, .help = "Logged in last.",
     .help_zh = "上次登录"},
    {BDR_FIELD(struct user, created), .type = BDR_T_TIME, .flags = OUT, .help = "Made.", .help_zh = "创建时间"},
    {.name = NULL},
};
static const struct bdr_shape user_shape = {.name = "User", .size = sizeof(struct user), .fields = user_fields};

struct user_in {
    const char *name, *title, *mail, *password;
    int lang, role;
    bool disabled, has_role, has_disabled, has_lang;
};
static const struct bdr_choice langs[] = {
    {"auto", 0, "As the browser says.", "跟随浏览器"},
    {"en", 1, "English.", "英文"},
    {"zh", 2, "Chinese.", "中文"},
    {.name = NULL},
};
static const char *const lang_texts[] = {"", "en", "zh"};
#define TITLE                                                                                                           \
    {                                                                                                                   \
        BDR_FIELD(struct user_in, title), .type = BDR_T_TEXT, .len_max = 127, .help = "Full name.", .help_zh = "姓名" \
    }
#define MAIL                                                                                                           \
    {                                                                                                                  \
        BDR_FIELD(struct user_in, mail), .type = BDR_T_TEXT, .len_max = 254, .help = "Mail address.",                  \
                                         .help_zh = "邮箱"                                                           \
    }
#define LANG                                                                                                           \
    {                                                                                                                  \
        BDR_FIELD_HAS(struct user_in, lang), .type = BDR_T_ENUM, .choices = langs, .def = "auto", .help = "Language.", \
                                             .help_zh = "语言"                                                       \
    }
static const struct bdr_shape_field new_fields[] = {
    {BDR_FIELD(struct user_in, name), .type = BDR_T_TEXT, .flags = BDR_F_REQUIRED, .len_min = 1, .len_max = 63,
     .pattern = "^[a-z0-9][a-z0-9._@-]{0,62}$", .help = "Name at login, lower case.", .help_zh = "用户名(小写)"},
    {BDR_FIELD_HAS(struct user_in, role), .type = BDR_T_ENUM, .flags = BDR_F_REQUIRED, .choices = roles,
     .help = "What it may.", .help_zh = "角色"},
    {BDR_FIELD(struct user_in, password), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 1024,
     .help = "The first password; to be changed at the first login.", .help_zh = "初始密码"},
    TITLE,
    MAIL,
    LANG,
    {.name = NULL},
};
static const struct bdr_shape new_shape = {.name = "UserNew", .size = sizeof(struct user_in), .fields = new_fields};
static const struct bdr_shape_field change_fields[] = {
    {BDR_FIELD_HAS(struct user_in, role), .type = BDR_T_ENUM, .choices = roles, .help = "What it may.",
     .help_zh = "角色"},
    {BDR_FIELD_HAS(struct user_in, disabled), .type = BDR_T_BOOL, .help = "May not log in.", .help_zh = "停用"},
    TITLE,
    MAIL,
    LANG,
    {.name = NULL},
};
static const struct bdr_shape change_shape = {
    .name = "UserChange", .size = sizeof(struct user_in), .fields = change_fields};
static const struct bdr_shape_field password_fields[] = {
    {BDR_FIELD(struct user_in, password), .type = BDR_T_SECRET, .flags = BDR_F_REQUIRED, .len_max = 1024,
     .help = "A password for the next login, to be changed then.", .help_zh = "临时密码"},
    {.name = NULL},
};
static const struct bdr_shape password_shape = {
    .name = "UserPassword", .size = sizeof(struct user_in), .fields = password_fields};

struct user_filter {
    const char *search;
    int role;
    bool has_role;
};
static const struct bdr_shape_field filter_fields[] = {
    {BDR_FIELD(struct user_filter, search), .type = BDR_T_TEXT, .len_max = 100, .help = "In name, full name or mail.",
     .help_zh = "搜索"},
    {BDR_FIELD_HAS(struct user_filter, role), .type = BDR_T_ENUM, .choices = roles, .help = "Of this role.",
     .help_zh = "角色"},
    {.name = NULL},
};
static const struct bdr_shape filter_shape = {
    .name = "UserFilter", .size = sizeof(struct user_filter), .fields = filter_fields};

static void user_of(const struct bdr_row_account *a, int64_t now_ms, struct user *out)
{
    *out = (struct user){.id = (uint64_t)a->id,
                         .name = a->name,
                         .title = *a->title ? a->title : NULL,
                         .mail = *a->mail ? a->mail : NULL,
                         .lang = *a->lang ? a->lang : NULL,
                         .role = a->role,
                         .must_change = a->must_change,
                         .totp = a->totp,
                         .disabled = a->disabled,
                         .locked = a->locked_until_ms > now_ms,
                         .login = a->login_ms,
                         .has_login = a->login_ms > 0,
                         .created = a->created_ms,
                         .locked_until = a->locked_until_ms,
                         .has_locked_until = a->locked_until_ms > now_ms};
}

/* ---- a change ---- */

struct change {
    struct bdr_req *req;
    const struct user_in *in;
    int64_t id, now_ms;
    const char *hash; /* of a new password */
    struct user before, after;
};

static struct bdr_err *account_find(struct bdr_tx *tx, struct bdr_req *req, int64_t id, struct bdr_row_account **out)
{
    BDR_TRY(bdr_q_account_get(tx, id, out));
    BDR_TRY(people_keep(req, *out));
    if (!*out)
        BDR_FAIL(BDR_NOTFOUND, 0, "there is no user %lld", (long long)id);
    return NULL;
}

static struct bdr_err *audited(struct bdr_tx *tx, struct change *c, const char *action)
{
    struct bdr_row_account *a = NULL;

    BDR_TRY(account_find(tx, c->req, c->id, &a));
    user_of(a, c->now_ms, &c->after);
    return api_audit(tx, c->req, action, "user", c->id, &user_shape, c->before.id ? &c->before : NULL, &c->after);
}

static struct bdr_err *before(struct bdr_tx *tx, struct change *c, struct bdr_row_account **out)
{
    BDR_TRY(account_find(tx, c->req, c->id, out));
    user_of(*out, c->now_ms, &c->before);
    return NULL;
}

/* Somebody must be left who can let others in. Within WRITE: two who remove each other at once can't both succeed. */
static struct bdr_err *last_admin(struct bdr_tx *tx, const struct bdr_row_account *was, bool stays)
{
    int64_t n = 0;

    if (stays || strcmp(was->role, "admin") != 0 || was->disabled)
        return NULL;
    BDR_TRY(bdr_q_account_admins(tx, &n));
    if (n <= 1)
        BDR_FAIL(BDR_CONFLICT, 0, "%s is the last administrator; make another one first", was->name);
    return NULL;
}

static struct bdr_err *add_do(struct bdr_tx *tx, void *ctx)
{
    struct change *c = ctx;
    const struct user_in *in = c->in;
    struct bdr_err *err = bdr_q_account_add(tx,
                                            &(struct bdr_in_account_add){.name = in->name,
                                                                         .title = in->title ? in->title : "",
                                                                         .mail = in->mail ? in->mail : "",
                                                                         .lang = lang_texts[in->lang],
                                                                         .role = role_text(in->role),
                                                                         .password = c->hash,
                                                                         .must_change = true,
                                                                         .now_ms = c->now_ms},
                                            &c->id);

    if (err && err->code == BDR_EXISTS) {
        bdr_err_drop(err, "told in words");
        BDR_FAIL(BDR_EXISTS, 0, "there is a user %s; choose another name", in->name);
    }
    BDR_TRY(err);
    return audited(tx, c, "user.add");
}

static struct bdr_err *change_do(struct bdr_tx *tx, void *ctx)
{
    struct change *c = ctx;
    const struct user_in *in = c->in;
    struct bdr_row_account *was = NULL;
    const char *role;
    int64_t changed;
    bool disabled;

    BDR_TRY(before(tx, c, &was));
    role = in->has_role ? role_text(in->role) : was->role;
    disabled = in->has_disabled ? in->disabled : was->disabled;
    BDR_TRY(last_admin(tx, was, !disabled && !strcmp(role, "admin")));
    BDR_TRY(
        bdr_q_account_update(tx,
                             &(struct bdr_in_account_update){.id = c->id,
                                                             .title = in->title ? in->title : was->title,
                                                             .mail = in->mail ? in->mail : was->mail,
                                                             .lang = in->has_lang ? lang_texts[in->lang] : was->lang,
                                                             .role = role,
                                                             .disabled = disabled,
                                                             .now_ms = c->now_ms},
                             &changed));
    if (disabled || strcmp(role, was->role) != 0)
        BDR_TRY(bdr_q_session_delete_all(tx, c->id, &changed));
    return audited(tx, c, "user.update");
}

static struct bdr_err *remove_do(struct bdr_tx *tx, void *ctx)
{
    struct change *c = ctx;
    struct bdr_row_account *was = NULL;
    int64_t changed;

    BDR_TRY(before(tx, c, &was));
    if (was->id == api_who(c->req)->person.account_id)
        BDR_FAIL(BDR_CONFLICT, 0, "nobody removes the account they use; another administrator can");
    BDR_TRY(last_admin(tx, was, false));
    BDR_TRY(bdr_q_sealed_delete(tx, "account", c->id, &changed));
    BDR_TRY(bdr_q_account_delete(tx, c->id, &changed));
    return api_audit(tx, c->req, "user.remove", "user", c->id, &user_shape, &c->before, NULL);
}

static struct bdr_err *password_do(struct bdr_tx *tx, void *ctx)
{
    struct change *c = ctx;
    struct bdr_row_account *was = NULL;
    int64_t changed;

    BDR_TRY(before(tx, c, &was));
    BDR_TRY(bdr_q_account_password(tx, &(struct bdr_in_account_password){c->id, c->hash, true, c->now_ms}, &changed));
    BDR_TRY(bdr_q_account_unlock(tx, c->id, &changed));
    BDR_TRY(bdr_q_session_delete_all(tx, c->id, &changed));
    return audited(tx, c, "user.password");
}

static struct bdr_err *unlock_do(struct bdr_tx *tx, void *ctx)
{
    struct change *c = ctx;
    struct bdr_row_account *was = NULL;
    int64_t changed;

    BDR_TRY(before(tx, c, &was));
    BDR_TRY(bdr_q_account_unlock(tx, c->id, &changed));
    return audited(tx, c, "user.unlock");
}

/* For a lost phone. */
static struct bdr_err *totp_do(struct bdr_tx *tx, void *ctx)
{
    struct change *c = ctx;
    struct bdr_row_account *was = NULL;

    BDR_TRY(before(tx, c, &was));
    BDR_TRY(bdr_totp_disable(tx, c->id));
    return audited(tx, c, "user.totp-off");
}

static struct bdr_err *run(struct bdr_req *req, const struct user_in *in, const char *hash,
                           struct bdr_err *(*fn)(struct bdr_tx *tx, void *ctx), const char *what, struct user *out)
{
    struct change c = {
        .req = req, .in = in, .id = (int64_t)bdr_req_param_u64(req, "id"), .now_ms = api_now(), .hash = hash};

    BDR_TRY(api_run(req, BDR_TX_WRITE, fn, &c));
    if (out)
        *out = c.after;
    people_tell(req, "user", c.id, what);
    return NULL;
}

/* Makes the hash outside of any transaction; it takes a tenth of a second. */
static struct bdr_err *hash_of(struct bdr_req *req, const char *name, const char *password,
                               char out[BDR_PASSWORD_CHARS])
{
    BDR_AUTO(secret) struct bdr_secret s = {0};
    struct bdr_err *err;

    BDR_TRY(bdr_secret_set(&s, password, strlen(password)));
    err = bdr_password_fits(name, &s);
    if (err && err->code == BDR_INVAL)
        bdr_req_fault(req, "/password", BDR_INVAL, "%s", err->msg);
    BDR_TRY(api_refusal(req, err));
    return bdr_password_hash(&s, out);
}

/* ---- handlers ---- */

static struct bdr_err *add(struct bdr_req *req, const void *body, void *out)
{
    const struct user_in *in = body;
    char hash[BDR_PASSWORD_CHARS];

    BDR_TRY(hash_of(req, in->name, in->password, hash));
    return run(req, in, hash, add_do, "added", out);
}

static struct bdr_err *change(struct bdr_req *req, const void *in, void *out)
{
    return run(req, in, NULL, change_do, "changed", out);
}

static struct bdr_err *remove_one(struct bdr_req *req, const void *in, void *out)
{
    (void)out;
    return run(req, in, NULL, remove_do, "removed", NULL);
}

static struct bdr_err *reset(struct bdr_req *req, const void *body, void *out)
{
    const struct user_in *in = body;
    BDR_AUTO(mem) struct bdr_row_account *a = NULL;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    char hash[BDR_PASSWORD_CHARS];

    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_account_get(tx, (int64_t)bdr_req_param_u64(req, "id"), &a));
    bdr_tx_abandon(BDR_STEAL(tx));
    if (a && a->id == api_who(req)->person.account_id)
        BDR_REFUSE(req, BDR_CONFLICT, "Change your own password at PUT /v1/session/password, with the old one.");
    BDR_TRY(hash_of(req, a ? a->name : "", in->password, hash));
    BDR_TRY(run(req, in, hash, password_do, "changed", out));
    bdr_first_login_over(api_console(req), a ? a->name : "");
    return NULL;
}

static struct bdr_err *unlock(struct bdr_req *req, const void *in, void *out)
{
    return run(req, in, NULL, unlock_do, "changed", out);
}

static struct bdr_err *totp_off(struct bdr_req *req, const void *in, void *out)
{
    (void)out;
    return run(req, in, NULL, totp_do, "changed", NULL);
}

static struct bdr_err *show(struct bdr_req *req, const void *in, void *out)
{
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_account *a = NULL;

    (void)in;
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(api_refusal(req, account_find(tx, req, (int64_t)bdr_req_param_u64(req, "id"), &a)));
    user_of(a, api_now(), out);
    return NULL;
}

static struct bdr_err *list(struct bdr_req *req, const void *in, void *answer)
{
    const struct user_filter *f = bdr_req_filter(req);
    const char *like = people_like(req, f->search);
    size_t n = 0, limit = bdr_req_page(req)->limit;
    BDR_AUTO(tx) struct bdr_tx *tx = NULL;
    struct bdr_row_account *row = NULL;
    struct bdr_page *page = answer;
    struct user *item;

    (void)in;
    BDR_NOMEM_IF_NULL(like);
    BDR_TRY(bdr_tx_begin(api_console(req)->db, BDR_TX_READ, &tx));
    BDR_TRY(bdr_q_account_view(tx,
                               &(struct bdr_in_account_view){like, f->has_role ? role_text(f->role) : "",
                                                             api_cursor(req, 0), (int64_t)limit + 1},
                               &row, &n));
    BDR_TRY(people_keep(req, row));
    item = bdr_arena_alloc(bdr_req_arena(req), BDR_MAX(n, (size_t)1) * sizeof(*item));
    BDR_NOMEM_IF_NULL(item);
    for (size_t i = 0; i < n; i++)
        user_of(&row[i], api_now(), &item[i]);
    *page = (struct bdr_page){.items = item, .n = n};
    return api_page_end(req, page, n > limit ? row[limit - 1].id : 0);
}

static const struct bdr_route rows[] = {
    {.method = BDR_GET,
     .path = "/v1/users",
     .perm = "user:admin",
     .flags = BDR_R_LIST,
     .query = &filter_shape,
     .out = &user_shape,
     .run = list,
     .cli = "user list",
     .help = "The users of this console.",
     .help_zh = "用户列表"},
    {.method = BDR_POST,
     .path = "/v1/users",
     .perm = "user:admin",
     .in = &new_shape,
     .out = &user_shape,
     .status = 201,
     .run = add,
     .cli = "user add",
     .help = "One more user; chooses a password of their own at the first login.",
     .help_zh = "添加用户"},
    {.method = BDR_GET,
     .path = "/v1/users/{id:u64}",
     .perm = "user:admin",
     .out = &user_shape,
     .run = show,
     .cli = "user show",
     .help = "One user.",
     .help_zh = "用户详情"},
    {.method = BDR_PATCH,
     .path = "/v1/users/{id:u64}",
     .perm = "user:admin",
     .in = &change_shape,
     .out = &user_shape,
     .run = change,
     .cli = "user set",
     .help = "Change a user; a new role or being disabled ends their sessions.",
     .help_zh = "修改用户"},
    {.method = BDR_DELETE,
     .path = "/v1/users/{id:u64}",
     .perm = "user:admin",
     .run = remove_one,
     .cli = "user remove",
     .help = "Remove a user, with their sessions and tokens.",
     .help_zh = "删除用户"},
    {.method = BDR_POST,
     .path = "/v1/users/{id:u64}/password",
     .perm = "user:admin",
     .in = &password_shape,
     .out = &user_shape,
     .run = reset,
     .help = "A new password for somebody who forgot theirs; unlocks the account.",
     .help_zh = "重置密码"},
    {.method = BDR_POST,
     .path = "/v1/users/{id:u64}/unlock",
     .perm = "user:admin",
     .out = &user_shape,
     .run = unlock,
     .cli = "user unlock",
     .help = "Forget the wrong passwords.",
     .help_zh = "解锁用户"},
    {.method = BDR_DELETE,
     .path = "/v1/users/{id:u64}/totp",
     .perm = "user:admin",
     .run = totp_off,
     .help = "Turn the second step off, for a lost phone.",
     .help_zh = "关闭两步验证"},
};
const struct bdr_route_table api_accounts_table = BDR_ROUTES("user", rows);
