/*
 * This imitation of illumos's headers compiles the shim without them ("make cross"). It has
 * only what getpeerucred(3C) and ucred_get(3C) declare.
 */
#include <sys/types.h>

typedef struct ucred_s ucred_t;
int getpeerucred(int fd, ucred_t **ucred);
void ucred_free(ucred_t *ucred);
uid_t ucred_geteuid(const ucred_t *ucred);
gid_t ucred_getegid(const ucred_t *ucred);
pid_t ucred_getpid(const ucred_t *ucred);
int ucred_getgroups(const ucred_t *ucred, const gid_t **groups);
