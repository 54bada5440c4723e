/* The load generator: N requests in flight on each of M connections, every answer checked.
 *
 * Rules of these files: one thread, epoll, no allocation while measuring; a request is a template with a tag
 * patched in; all requests that one read makes room for leave in one write. Whatever is unexpected ends the
 * program with a text on stderr: a figure is printed only for a run in which every answer was right.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_HELLOS 4
#define MAX_TAG_PLACES 4
#define TAG_DIGITS 8

struct bytes {
    uint8_t *data;
    size_t size;
};

enum framing { FRAMING_LENGTH4, FRAMING_AMP, FRAMING_WEBSOCKET, FRAMING_HTTP1, FRAMING_HTTP2, FRAMING_RPYC };

/* How a request's tag is written into the template: four bytes, big endian, or eight decimal digits. */
enum tag_kind { TAG_NONE, TAG_BINARY, TAG_DECIMAL };

struct options {
    int port;
    int connections;
    int in_flight;
    double warmup;
    double seconds;
    double rate; /* requests a second over all connections; 0: as fast as the answers come */
    int pid;     /* of the server, for its CPU time */
    int cpu;     /* core to run on, or -1 */
    bool tls;
    enum framing framing;
    struct bytes upgrade; /* sent first; the reply ends with an empty line */
    struct bytes hellos[MAX_HELLOS];
    int hello_count;
    struct bytes request;
    enum tag_kind tag_kind;
    size_t tag_places[MAX_TAG_PLACES];
    int tag_place_count;
    uint32_t tag_first, tag_step;
    uint8_t tag_mask[TAG_DIGITS]; /* the websocket mask as it lies over the digits */
    struct bytes expect;          /* bytes that every answer must hold */
    struct bytes match;           /* only frames with these bytes at match_place are answers */
    size_t match_place;
};

struct frame {
    const uint8_t *body;
    size_t size;
    bool answer;  /* completes a request */
    bool payload; /* must hold the expected bytes */
    uint8_t reply[64]; /* control bytes that the other side waits for */
    size_t reply_size;
};

struct connection {
    int fd;
    void *tls;
    uint8_t *input;
    size_t input_start, input_end;
    uint8_t *output;
    size_t output_start, output_end;
    bool wants_write;
    uint64_t *sent_at; /* ring of send times, oldest first */
    int oldest, waiting;
    uint32_t tag;
    size_t expect_place; /* where the expected bytes were last time */
};

#define INPUT_SIZE (1024 * 1024)
#define OUTPUT_SIZE (1024 * 1024)

void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
struct options read_options(int count, char **words);

/* The next whole frame's size, 0 when more bytes are needed. */
size_t next_frame(const struct options *options, const uint8_t *data, size_t size, struct frame *frame);

void stream_connect(struct connection *connection, int port, bool tls);
void stream_unblock(struct connection *connection);
/* Bytes moved, 0 when it would block; a closed or broken stream ends the program. */
size_t stream_read(struct connection *connection, uint8_t *data, size_t size);
size_t stream_write(struct connection *connection, const uint8_t *data, size_t size);

#endif
