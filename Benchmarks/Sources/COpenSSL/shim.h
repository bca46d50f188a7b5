#pragma once
#include <openssl/err.h>
#include <openssl/ssl.h>

// A macro of OpenSSL's that Swift doesn't see.
static inline int postern_bench_set_minimum_version(SSL_CTX *context, int version) { return SSL_CTX_set_min_proto_version(context, version); }
