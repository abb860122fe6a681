#include "transporter/source/mounts.h"

#include <stddef.h>
#include <sys/vfs.h>

/* linux/magic.h, and those that are not there */
static const long pseudo[] = {
    0x9fa0,           /* proc */
    0x62656572,       /* sysfs */
    0x27e0eb,         /* cgroup */
    0x63677270,       /* cgroup2 */
    0x1cd1,           /* devpts */
    0x64626720,       /* debugfs */
    0x74726163,       /* tracefs */
    0x73636673,       /* securityfs */
    0x6165676c,       /* pstore */
    (long)0xcafe4a11, /* bpf */
    0x62656570,       /* configfs */
    (long)0xde5e81e4, /* efivarfs */
    0x65735543,       /* fusectl */
    0x42494e4d,       /* binfmt_misc */
    (long)0x958458f6, /* hugetlbfs */
    0x19800202,       /* mqueue */
    0x6e736673,       /* nsfs */
    0x67596969,       /* rpc_pipefs */
    (long)0xf97cff8c, /* selinuxfs */
    0x43415d53,       /* smackfs */
    0x5a3c69f0,       /* apparmorfs */
    0x187,            /* autofs: what is mounted on it has its own number */
    0x7655821,        /* resctrl */
    0x6e667364,       /* nfsd */
    0x50494446,       /* pidfs */
};

bool mount_is_pseudo(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) return false;
    for (size_t i = 0; i < sizeof(pseudo) / sizeof(pseudo[0]); i++)
        if ((fs.f_type & 0xffffffff) == (pseudo[i] & 0xffffffff)) return true;
    return false;
}
