/* SPDX-License-Identifier: Apache-2.0 */
/* Source: getrlimit(2); tcpi_bytes_acked since Linux 4.1, include/uapi/linux/tcp.h. */
#include "bdr/bytes.h"
#include "bdr/osserver.h"
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct bdr_err *bdr_os_files_allow(uint64_t want, uint64_t *out_may)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l))
        BDR_FAIL_ERRNO("asking how many files may be open");
    if (l.rlim_cur < want && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = BDR_MIN((rlim_t)want, l.rlim_max);
        if (setrlimit(RLIMIT_NOFILE, &l))
            BDR_FAIL_ERRNO("raising the limit of open files to %llu", (unsigned long long)l.rlim_cur);
    }
    *out_may = l.rlim_cur;
    return NULL;
}

struct bdr_err *bdr_os_socket_acked(int fd, uint64_t *out)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
        BDR_FAIL_ERRNO("asking how far a connection is");
    if (len < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
        BDR_FAIL(BDR_UNSUPPORTED, 0, "this kernel does not count what connections have sent");
    *out = info.tcpi_bytes_acked;
    return NULL;
}
