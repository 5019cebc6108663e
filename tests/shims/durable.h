/* What of a folder would stand after a power cut: content that a sync has reached, names that a sync of their folder has
 * reached, and nothing else. One folder per process. */
#ifndef DURABLE_H
#define DURABLE_H

#include <sys/types.h>

/* What a power cut leaves of what was never synced. */
enum image {
    IMAGE_NONE,
    IMAGE_LOST,  /* nothing */
    IMAGE_NAMES, /* every name, no content */
    IMAGE_BYTES, /* every content, no name */
};

/* Takes the folder as it is for durable. */
void durable_begin(const char *root);
/* Bytes of an open file were written and are not durable. */
void durable_wrote(int file, off_t offset, size_t length);
/* The length of an open file may have changed. */
void durable_cut(int file);
/* A sync of an open file or folder has returned. */
void durable_synced(int file);
/* Makes the folder `target` what the power cut leaves. */
void durable_image(enum image image, const char *target);

#endif
