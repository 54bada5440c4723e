/* A connection's bytes, plain or through OpenSSL (built without it when its headers are missing). */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/ssl.h>

/* The certificate is not verified: the server is a process that this benchmark started on loopback. */
static SSL *tls_connect(int fd) {
    static SSL_CTX *context;
    if (!context) {
        context = SSL_CTX_new(TLS_client_method());
        /* As browsers do: AES-128 first, which is also what the benchmark's SSH speaks. */
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    SSL *tls = SSL_new(context);
    SSL_set_tlsext_host_name(tls, "localhost");
    SSL_set_fd(tls, fd);
    if (SSL_connect(tls) != 1) fail("the TLS handshake failed");
    return tls;
}

static size_t tls_moved(SSL *tls, int result) {
    if (result > 0) return (size_t)result;
    int reason = SSL_get_error(tls, result);
    if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) return 0;
    fail("the server closed the TLS connection (%d)", reason);
}
#endif

void stream_connect(struct connection *connection, int port, bool tls) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 20};
    int on = 1;
    setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address)) fail("connect: %s", strerror(errno));
#ifdef WITH_TLS
    if (tls) connection->tls = tls_connect(connection->fd);
#else
    if (tls) fail("built without OpenSSL's headers: no TLS");
#endif
}

void stream_unblock(struct connection *connection) {
    fcntl(connection->fd, F_SETFL, fcntl(connection->fd, F_GETFL) | O_NONBLOCK);
}

static size_t plain_moved(ssize_t result) {
    if (result > 0) return (size_t)result;
    if (result < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
    fail("the server closed the connection: %s", result ? strerror(errno) : "end of file");
}

size_t stream_read(struct connection *connection, uint8_t *data, size_t size) {
#ifdef WITH_TLS
    if (connection->tls) return tls_moved(connection->tls, SSL_read(connection->tls, data, (int)size));
#endif
    return plain_moved(recv(connection->fd, data, size, 0));
}

size_t stream_write(struct connection *connection, const uint8_t *data, size_t size) {
#ifdef WITH_TLS
    if (connection->tls) return tls_moved(connection->tls, SSL_write(connection->tls, data, (int)size));
#endif
    return plain_moved(send(connection->fd, data, size, MSG_NOSIGNAL));
}
