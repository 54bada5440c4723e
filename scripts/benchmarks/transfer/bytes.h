/* Numbers as every protocol here but HTTP has them: big endian. */
#ifndef BYTES_H
#define BYTES_H

#include <stdint.h>
#include <string.h>

static inline uint64_t get_number(const uint8_t *data, int size) {
    uint64_t value = 0;
    for (int i = 0; i < size; i++) value = value << 8 | data[i];
    return value;
}

static inline uint8_t *put_number(uint8_t *data, uint64_t value, int size) {
    for (int i = size; i--; value >>= 8) data[i] = (uint8_t)value;
    return data + size;
}

static inline uint8_t *put_bytes(uint8_t *data, const void *from, size_t size) {
    memcpy(data, from, size);
    return data + size;
}

#endif
