/* Private to common/net: the tables behind net_zap, without its thread, lock and clock. */
#ifndef SEALIFT_NET_ALLOW_H
#define SEALIFT_NET_ALLOW_H

#include "common/net/net_zap.h"

struct net_allow;

struct net_allow *net_allow_new(void);
void net_allow_free(struct net_allow *allow);
DEFINE_AUTO(net_allow, struct net_allow *, net_allow_free)

void net_allow_set_domain(struct net_allow *allow, const char *name, enum net_unknown unknown);
/* the named domain must have been declared */
void net_allow_add(struct net_allow *allow, const char *name, const uint8_t *key);
void net_allow_remove(struct net_allow *allow, const char *name, const uint8_t *key);
void net_allow_replace_all(struct net_allow *allow, const char *name, const uint8_t (*keys)[NET_KEY_LEN],
                           size_t count);
enum net_standing net_allow_standing(const struct net_allow *allow, const char *name, const uint8_t *key);

enum net_admission { NET_ADMIT, NET_DENY_FINAL, NET_DENY_FOR_NOW };
/* One handshake at `now_s` (any clock that does not step back). Sets `reason` when it denies. */
enum net_admission net_allow_admit(struct net_allow *allow, const char *name, const uint8_t *key,
                                   uint64_t now_s, enum net_denial_reason *reason);

#endif
