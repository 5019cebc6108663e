/* See durable.h. Each file and folder is known by its inode and held open, so that no number is given twice; the durable
 * content of a file lies in memory. Content reaches it range by range: the syncs of a journal are many and short. */
#define _GNU_SOURCE
#include "durable.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANGES 256

struct name {
    char *text;
    size_t node;
};

struct node {
    dev_t device;
    ino_t number;
    mode_t mode;
    int live;    /* the file or folder itself */
    int durable; /* a file: its durable content */
    bool dirty;  /* a file: all of it is in doubt */
    struct {
        off_t from, to;
    } range[RANGES];
    size_t ranges;
    struct name *name; /* a folder: its durable names */
    size_t names;
};

static struct node **nodes;
static size_t count;
static size_t top;

static void *room(void *old, size_t size)
{
    void *memory = realloc(old, size);
    if (!memory)
        err(70, "no memory");
    return memory;
}

/* Copies from one file to another without the holes. */
static void copy(int from, int to, off_t begin, off_t end)
{
    static char buffer[1 << 20];
    while (begin < end) {
        off_t data = lseek(from, begin, SEEK_DATA);
        if (data < 0 || data >= end)
            return;
        off_t hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0 || hole > end)
            hole = end;
        for (begin = data; begin < hole;) {
            size_t want = (size_t)(hole - begin) < sizeof buffer ? (size_t)(hole - begin) : sizeof buffer;
            ssize_t got = pread(from, buffer, want, begin);
            if (got <= 0)
                return;
            if (pwrite(to, buffer, (size_t)got, begin) != got)
                err(70, "a copy");
            begin += got;
        }
    }
}

/* The node of an open file or folder; none for what is neither. */
static struct node *find(int file, size_t *place)
{
    struct stat stat;
    if (fstat(file, &stat) != 0 || !(S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode)))
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (nodes[i]->device == stat.st_dev && nodes[i]->number == stat.st_ino) {
            if (place)
                *place = i;
            return nodes[i];
        }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct node *node = room(NULL, sizeof *node);
    memset(node, 0, sizeof *node);
    node->device = stat.st_dev;
    node->number = stat.st_ino;
    node->mode = stat.st_mode;
    node->live = open(path, O_RDONLY | O_CLOEXEC);
    node->durable = S_ISREG(stat.st_mode) ? memfd_create("durable", MFD_CLOEXEC) : -1;
    if (node->live < 0 || (S_ISREG(stat.st_mode) && node->durable < 0))
        err(70, "a file is followed");
    nodes = room(nodes, (count + 1) * sizeof *nodes);
    nodes[count] = node;
    if (place)
        *place = count;
    count++;
    return node;
}

static void settle(struct node *node)
{
    struct stat stat;
    if (fstat(node->live, &stat) != 0)
        return;
    if (node->dirty && ftruncate(node->durable, 0) != 0)
        err(70, "a copy");
    if (ftruncate(node->durable, stat.st_size) != 0)
        err(70, "a copy");
    if (node->dirty)
        copy(node->live, node->durable, 0, stat.st_size);
    for (size_t i = 0; i < node->ranges; i++) {
        off_t to = node->range[i].to < stat.st_size ? node->range[i].to : stat.st_size;
        copy(node->live, node->durable, node->range[i].from, to);
    }
    node->dirty = false;
    node->ranges = 0;
}

/* Takes the names of a folder as they are. */
static void list(struct node *node)
{
    for (size_t i = 0; i < node->names; i++)
        free(node->name[i].text);
    node->names = 0;
    DIR *folder = fdopendir(openat(node->live, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        int file = openat(node->live, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        size_t place;
        if (file >= 0 && find(file, &place)) {
            node->name = room(node->name, (node->names + 1) * sizeof *node->name);
            node->name[node->names].text = strdup(entry->d_name);
            node->name[node->names++].node = place;
        }
        if (file >= 0)
            close(file);
    }
    closedir(folder);
}

static void begin(size_t place)
{
    if (S_ISREG(nodes[place]->mode)) {
        nodes[place]->dirty = true;
        settle(nodes[place]);
        return;
    }
    list(nodes[place]);
    for (size_t i = 0; i < nodes[place]->names; i++)
        begin(nodes[place]->name[i].node);
}

void durable_begin(const char *root)
{
    int folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || !find(folder, &top))
        err(70, "%s", root);
    close(folder);
    begin(top);
}

void durable_wrote(int file, off_t offset, size_t length)
{
    struct node *node = find(file, NULL);
    if (!node || !S_ISREG(node->mode))
        return;
    size_t last = node->ranges - 1;
    if (node->ranges > 0 && node->range[last].to == offset)
        node->range[last].to = offset + (off_t)length;
    else if (node->ranges == RANGES)
        node->dirty = true;
    else {
        node->range[node->ranges].from = offset;
        node->range[node->ranges++].to = offset + (off_t)length;
    }
}

void durable_cut(int file)
{
    struct node *node = find(file, NULL);
    if (node)
        node->dirty = true;
}

void durable_synced(int file)
{
    struct node *node = find(file, NULL);
    if (node && S_ISREG(node->mode))
        settle(node);
    else if (node)
        list(node);
}

static void put_file(const struct node *node, enum image image, int folder, const char *name)
{
    int from = image == IMAGE_BYTES ? node->live : node->durable;
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, node->mode & 07777);
    struct stat stat;
    if (file < 0 || fstat(from, &stat) != 0 || ftruncate(file, stat.st_size) != 0)
        err(70, "the image of %s", name);
    copy(from, file, 0, stat.st_size);
    close(file);
}

static void put(size_t place, enum image image, int folder)
{
    if (image == IMAGE_NAMES)
        list(nodes[place]);
    for (size_t i = 0; i < nodes[place]->names; i++) {
        const char *name = nodes[place]->name[i].text;
        size_t child = nodes[place]->name[i].node;
        if (S_ISREG(nodes[child]->mode)) {
            put_file(nodes[child], image, folder, name);
            continue;
        }
        if (mkdirat(folder, name, nodes[child]->mode & 07777) != 0)
            err(70, "the image of %s", name);
        int below = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        put(child, image, below);
        close(below);
    }
}

void durable_image(enum image image, const char *target)
{
    umask(0);
    if (mkdir(target, nodes[top]->mode & 07777) != 0)
        err(70, "%s", target);
    int folder = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    put(top, image, folder);
    close(folder);
}
