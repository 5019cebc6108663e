/* Runs a program, sees each of its system calls that changes a file below a folder or sends on a stream socket, numbers them
 * by kind, writes them down in the order in which they happen, and fails one of them or kills the program at it.
 *
 *   calls --root FOLDER --log FILE [--fail KIND:NUMBER:FAULT] [--room GATE] [--hold GATE:WORD] [--image WHICH:FOLDER]
 *         -- PROGRAM ARGUMENT...
 *
 * KIND    write, sync, rename, unlink, truncate, create, send
 * FAULT   kill (before the call), after (behind it: write, sync, send), eio, enospc, short (half of it is written), torn
 *         (half of it is written, then kill), full (from here on nothing grows as long as GATE exists)
 * --hold  syncs of paths that hold WORD wait as long as GATE exists
 * --image when the program has ended, FOLDER is made what a power cut would have left (durable.h): lost, names or bytes
 *
 * The filter (seccomp_unotify(2)) sees what the kernel is asked for, whichever library asks. The program keeps this process
 * and its number; a child of it that nobody waits for looks on. Writes and syncs are done by that child on a copy of the
 * descriptor, one at a time: so their order is known. sync_file_range is not looked at: it makes nothing durable. */
#define _GNU_SOURCE
#include "durable.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE, SYNC, RENAME, UNLINK, TRUNCATE, CREATE, SEND, KINDS };
static const char *const kind_names[KINDS] = { "write", "sync", "rename", "unlink", "truncate", "create", "send" };

/* Where a call's object stands. */
enum object { FILE_0, PATH_0, PATH_1, AT_0, AT_1, AT_2 };

static const struct call {
    int number;
    const char *name;
    enum kind kind;
    enum object object;
} calls[] = {
    { SYS_write, "write", WRITE, FILE_0 },
    { SYS_pwrite64, "pwrite64", WRITE, FILE_0 },
    { SYS_writev, "writev", WRITE, FILE_0 },
    { SYS_pwritev, "pwritev", WRITE, FILE_0 },
    { SYS_pwritev2, "pwritev2", WRITE, FILE_0 },
    { SYS_copy_file_range, "copy_file_range", WRITE, AT_2 },
    { SYS_sendfile, "sendfile", WRITE, FILE_0 },
    { SYS_sendto, "sendto", SEND, FILE_0 },
    { SYS_sendmsg, "sendmsg", SEND, FILE_0 },
    { SYS_sendmmsg, "sendmmsg", SEND, FILE_0 },
    { SYS_fsync, "fsync", SYNC, FILE_0 },
    { SYS_fdatasync, "fdatasync", SYNC, FILE_0 },
    { SYS_syncfs, "syncfs", SYNC, FILE_0 },
    { SYS_ftruncate, "ftruncate", TRUNCATE, FILE_0 },
    { SYS_fallocate, "fallocate", TRUNCATE, FILE_0 },
    { SYS_truncate, "truncate", TRUNCATE, PATH_0 },
    { SYS_renameat, "renameat", RENAME, AT_0 },
    { SYS_renameat2, "renameat2", RENAME, AT_0 },
    { SYS_unlinkat, "unlinkat", UNLINK, AT_0 },
    { SYS_openat, "openat", CREATE, AT_0 },
    { SYS_mkdirat, "mkdirat", CREATE, AT_0 },
    { SYS_linkat, "linkat", CREATE, AT_2 },
    { SYS_symlinkat, "symlinkat", CREATE, AT_1 },
    { SYS_openat2, "openat2", CREATE, AT_0 },
#ifdef SYS_rename
    { SYS_rename, "rename", RENAME, PATH_0 },
    { SYS_unlink, "unlink", UNLINK, PATH_0 },
    { SYS_rmdir, "rmdir", UNLINK, PATH_0 },
    { SYS_open, "open", CREATE, PATH_0 },
    { SYS_creat, "creat", CREATE, PATH_0 },
    { SYS_mkdir, "mkdir", CREATE, PATH_0 },
    { SYS_link, "link", CREATE, PATH_1 },
    { SYS_symlink, "symlink", CREATE, PATH_1 },
#endif
};
#define CALLS (sizeof calls / sizeof calls[0])

static const char *root, *log_path, *room_gate, *hold_gate, *hold_word, *image_folder;
static size_t root_length;
static enum image image;
static enum kind fail_kind = KINDS;
static unsigned long fail_number;
static const char *fail_fault = "";
static bool is_full;

static pid_t program;
static int program_file, listener, log_file;
static unsigned long numbers[KINDS];

static struct held {
    struct seccomp_notif notice;
    const struct call *call;
    char path[PATH_MAX];
    unsigned long number;
} held[64];
static size_t helds;

static void note(const char *format, ...)
{
    char line[PATH_MAX + 256];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (write(log_file, line, (size_t)length) != length)
        _exit(71);
}

/* The descriptor of the program, here. */
static int taken(__u64 file)
{
    return (int)syscall(SYS_pidfd_getfd, program_file, (int)file, 0);
}

static bool fetch(void *to, __u64 from, size_t length)
{
    struct iovec here = { to, length }, there = { (void *)(uintptr_t)from, length };
    return process_vm_readv(program, &here, 1, &there, 1, 0) == (ssize_t)length;
}

static bool fetch_text(char *to, size_t room, __u64 from)
{
    /* Up to the end of a page at a time: what is behind it may not be there. */
    for (size_t length = 0; length < room;) {
        size_t part = 4096 - (from + length) % 4096;
        part = part < room - length ? part : room - length;
        if (!fetch(to + length, from + length, part))
            return false;
        if (memchr(to + length, 0, part))
            return true;
        length += part;
    }
    return false;
}

static bool link_target(char *to, size_t room, const char *format, ...)
{
    char link[64];
    va_list list;
    va_start(list, format);
    vsnprintf(link, sizeof link, format, list);
    va_end(list);
    ssize_t length = readlink(link, to, room - 1);
    if (length < 0)
        return false;
    to[length] = 0;
    return true;
}

/* What a call is about: a path below the root, made relative, or the name of a socket. False if it is neither. */
static bool object_of(const struct seccomp_notif *notice, const struct call *call, char *path)
{
    const __u64 *args = notice->data.args;
    static char full[2 * PATH_MAX], relative[PATH_MAX];
    int folder = AT_FDCWD;
    __u64 text = 0;
    switch (call->object) {
    case FILE_0:
        if (!link_target(full, PATH_MAX, "/proc/%d/fd/%d", program, (int)args[0]))
            return false;
        break;
    case PATH_0: text = args[0]; break;
    case PATH_1: text = args[1]; break;
    case AT_0: folder = (int)args[0], text = args[1]; break;
    case AT_1: folder = (int)args[1], text = args[2]; break;
    case AT_2:
        if (call->number == SYS_copy_file_range) {
            if (!link_target(full, PATH_MAX, "/proc/%d/fd/%d", program, (int)args[2]))
                return false;
            break;
        }
        folder = (int)args[2], text = args[3];
        break;
    }
    if (text) {
        if (!fetch_text(relative, sizeof relative, text))
            return false;
        bool whole = relative[0] == '/';
        if (!whole && folder == AT_FDCWD && !link_target(full, PATH_MAX, "/proc/%d/cwd", program))
            return false;
        if (!whole && folder != AT_FDCWD && !link_target(full, PATH_MAX, "/proc/%d/fd/%d", program, folder))
            return false;
        if (whole)
            full[0] = 0;
        else
            strcat(full, "/");
        strcat(full, relative);
    }
    if (!strncmp(full, root, root_length) && (full[root_length] == '/' || !full[root_length])) {
        snprintf(path, PATH_MAX, "%s", full[root_length] ? full + root_length + 1 : ".");
        for (char *blank = path; (blank = strchr(blank, ' '));)
            *blank = '_';
        return true;
    }
    if (strncmp(full, "socket:", 7) || !(call->kind == WRITE || call->kind == SEND))
        return false;
    int socket = taken(args[0]), type = 0, domain = 0;
    socklen_t length = sizeof type;
    getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &length);
    getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length);
    struct sockaddr_storage name;
    socklen_t named = sizeof name;
    /* A pair without names goes nowhere: a runtime wakes itself with it. */
    bool pair = getsockname(socket, (struct sockaddr *)&name, &named) != 0 || named <= sizeof(sa_family_t);
    close(socket);
    if (pair)
        return false;
    snprintf(path, PATH_MAX, "%s:%d", domain == AF_UNIX ? "api" : "link", (int)args[0]);
    return type == SOCK_STREAM;
}

/* Whether an open makes or empties a file. */
static bool creates(const struct seccomp_notif *notice, const struct call *call)
{
    __u64 flags = O_CREAT;
    if (call->number == SYS_openat)
        flags = notice->data.args[2];
    else if (call->number == SYS_openat2)
        fetch(&flags, notice->data.args[2], sizeof flags);
#ifdef SYS_open
    else if (call->number == SYS_open)
        flags = notice->data.args[1];
#endif
    return flags & (O_CREAT | O_TRUNC);
}

static void answer(const struct seccomp_notif *notice, long long value, bool go)
{
    struct seccomp_notif_resp response = { .id = notice->id };
    if (go)
        response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    else if (value < 0)
        response.error = (int)value;
    else
        response.val = value;
    /* The program may have been killed meanwhile. */
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void kill_program(void)
{
    kill(program, SIGKILL);
}

/* The number of the file that a sync is about. */
static unsigned long inode_of(const struct seccomp_notif *notice, const struct call *call)
{
    struct stat stat = { 0 };
    if (call->kind == SYNC) {
        int file = taken(notice->data.args[0]);
        if (fstat(file, &stat) != 0)
            stat.st_ino = 0;
        close(file);
    }
    return stat.st_ino;
}

/* The pieces of memory that a write is about, and how many bytes they are. */
static size_t pieces_of(const struct seccomp_notif *notice, const struct call *call, struct iovec pieces[IOV_MAX],
                        size_t *count)
{
    const __u64 *args = notice->data.args;
    *count = 1;
    if (call->number == SYS_writev || call->number == SYS_pwritev || call->number == SYS_pwritev2) {
        *count = args[2] < IOV_MAX ? args[2] : IOV_MAX;
        if (!fetch(pieces, args[1], *count * sizeof *pieces))
            *count = 0;
    } else
        pieces[0] = (struct iovec){ (void *)(uintptr_t)args[1], args[2] };
    size_t total = 0;
    for (size_t i = 0; i < *count; i++)
        total += pieces[i].iov_len;
    return total;
}

/* Does a write or sync in the program's place. Returns what the call returns; `part` writes half of it. */
static long long perform(const struct seccomp_notif *notice, const struct call *call, bool part, off_t *place)
{
    const __u64 *args = notice->data.args;
    int file = taken(args[0]);
    if (file < 0)
        return -EBADF;
    long long done = -ENOSYS;
    if (call->kind == SYNC) {
        done = call->number == SYS_fsync ? fsync(file) : call->number == SYS_fdatasync ? fdatasync(file) : 0;
        done = done < 0 ? -errno : done;
        if (done == 0 && (call->number == SYS_fsync || call->number == SYS_fdatasync) && image)
            durable_synced(file);
        close(file);
        return done;
    }
    struct iovec pieces[IOV_MAX];
    size_t count, filled = 0;
    size_t total = pieces_of(notice, call, pieces, &count);
    if (part)
        total = total > 1 ? total / 2 : total;
    char *bytes = malloc(total + 1);
    for (size_t i = 0; bytes && i < count && filled < total; i++) {
        size_t want = pieces[i].iov_len < total - filled ? pieces[i].iov_len : total - filled;
        if (!fetch(bytes + filled, (uintptr_t)pieces[i].iov_base, want))
            break;
        filled += want;
    }
    if (!bytes || filled < total)
        done = -EFAULT;
    else if (call->kind == SEND)
        done = send(file, bytes, total, MSG_NOSIGNAL | MSG_DONTWAIT);
    else if (call->number == SYS_write || call->number == SYS_writev) {
        done = write(file, bytes, total);
        *place = lseek(file, 0, SEEK_CUR) - (done > 0 ? done : 0);
    } else {
        *place = (off_t)args[3];
        done = pwrite(file, bytes, total, *place);
    }
    done = done == -1 ? -errno : done;
    if (done > 0 && image && call->kind == WRITE)
        durable_wrote(file, *place, (size_t)done);
    free(bytes);
    close(file);
    return done;
}

/* Whether a call asks for room that a full disk has not. */
static bool grows(const struct seccomp_notif *notice, const struct call *call)
{
    if (!is_full || !room_gate || access(room_gate, F_OK) != 0)
        return false;
    if (call->kind == CREATE || call->number == SYS_fallocate)
        return true;
    if (call->kind != WRITE)
        return false;
    const __u64 *args = notice->data.args;
    int file = taken(args[0]);
    struct stat stat;
    off_t end = call->number == SYS_pwrite64 ? (off_t)(args[3] + args[2]) : LLONG_MAX;
    bool grown = fstat(file, &stat) == 0 && end > stat.st_size;
    close(file);
    return grown;
}

static bool can_be_done_here(const struct seccomp_notif *notice, const struct call *call)
{
    if (call->kind == SYNC)
        return true;
    if (call->number == SYS_sendto)
        return notice->data.args[4] == 0;
    return call->number == SYS_write || call->number == SYS_pwrite64 || call->number == SYS_writev ||
           call->number == SYS_pwritev;
}

static void finish(const struct seccomp_notif *notice, const struct call *call, const char *path, unsigned long number,
                   bool hit)
{
    const char *kind = kind_names[call->kind == WRITE && strchr(path, ':') ? SEND : call->kind];
    bool half = hit && (!strcmp(fail_fault, "short") || !strcmp(fail_fault, "torn"));
    bool last = hit && (!strcmp(fail_fault, "torn") || !strcmp(fail_fault, "after"));
    bool sends = !strcmp(kind, "send");
    unsigned long inode = inode_of(notice, call);
    off_t place = -1;
    if (!can_be_done_here(notice, call) || (sends && !last)) {
        if (image && call->kind == TRUNCATE && call->object == FILE_0) {
            /* What is not durable yet is in doubt as a whole, whether or not the call succeeds. */
            int file = taken(notice->data.args[0]);
            durable_cut(file);
            close(file);
        }
        struct iovec pieces[IOV_MAX];
        size_t count;
        note("%s %lu %s %s 0 %zu go\n", kind, number, call->name, path, pieces_of(notice, call, pieces, &count));
        answer(notice, 0, true);
        return;
    }
    long long done;
    if (sends) {
        struct call as_send = *call;
        as_send.kind = SEND;
        done = perform(notice, &as_send, half, &place);
    } else
        done = perform(notice, call, half, &place);
    note("%s %lu %s %s %lu %lld %lld\n", kind, number, call->name, path, inode, (long long)place, done);
    if (last) {
        note("killed\n");
        kill_program();
    }
    answer(notice, done, false);
}

static void release(void)
{
    if (access(hold_gate, F_OK) == 0)
        return;
    for (size_t i = 0; i < helds; i++)
        finish(&held[i].notice, held[i].call, held[i].path, held[i].number, false);
    helds = 0;
}

static void look_at(struct seccomp_notif *notice)
{
    char path[PATH_MAX];
    const struct call *call = NULL;
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].number == notice->data.nr)
            call = &calls[i];
    if (!call || (call->kind == CREATE && !creates(notice, call)) || !object_of(notice, call, path)) {
        answer(notice, 0, true);
        return;
    }
    enum kind kind = call->kind == WRITE && strchr(path, ':') ? SEND : call->kind;
    unsigned long number = ++numbers[kind];
    bool hit = kind == fail_kind && number == fail_number;
    if (hit && !strcmp(fail_fault, "full"))
        is_full = true;
    long long error = 0;
    if (hit && !strcmp(fail_fault, "eio"))
        error = -EIO;
    if ((hit && !strcmp(fail_fault, "enospc")) || (kind != SEND && grows(notice, call)))
        error = -ENOSPC;
    if (hit && !strcmp(fail_fault, "kill")) {
        note("%s %lu %s %s 0 -1 killed\nkilled\n", kind_names[kind], number, call->name, path);
        kill_program();
        answer(notice, -EIO, false);
    } else if (error) {
        note("%s %lu %s %s %lu -1 %lld\n", kind_names[kind], number, call->name, path, inode_of(notice, call), error);
        answer(notice, error, false);
    } else if (kind == SYNC && hold_gate && strstr(path, hold_word) && access(hold_gate, F_OK) == 0 &&
               helds < sizeof held / sizeof held[0]) {
        note("%s %lu %s %s 0 -1 held\n", kind_names[kind], number, call->name, path);
        held[helds].notice = *notice;
        held[helds].call = call;
        held[helds].number = number;
        strcpy(held[helds++].path, path);
    } else
        finish(notice, call, path, number, hit);
}

static void look_on(void)
{
    struct seccomp_notif_sizes sizes;
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0)
        _exit(72);
    size_t room = sizes.seccomp_notif > sizeof(struct seccomp_notif) ? sizes.seccomp_notif : sizeof(struct seccomp_notif);
    struct seccomp_notif *notice = malloc(room);
    for (;;) {
        struct pollfd poll_file = { .fd = listener, .events = POLLIN };
        if (poll(&poll_file, 1, helds ? 2 : -1) < 0 && errno != EINTR)
            return;
        if (helds)
            release();
        if (poll_file.revents & POLLIN) {
            memset(notice, 0, room);
            if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, notice) == 0)
                look_at(notice);
        } else if (poll_file.revents)
            return;
    }
}

/* Installs the filter in the program's process and leaves its listener at `at`. */
static void install(int at)
{
    struct sock_filter filter[4 + 2 * CALLS + 1];
    size_t length = 0;
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALLS; i++) {
        filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].number, 0, 1);
        filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog prog = { (unsigned short)length, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        err(72, "no_new_privs");
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    int file = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | 1UL << 5 /* WAIT_KILLABLE_RECV */, &prog);
    if (file < 0)
        file = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
    if (file < 0 || dup3(file, at, O_CLOEXEC) < 0)
        err(72, "the filter");
    close(file);
}

static char **read_arguments(char **argv)
{
    for (argv++; *argv && strcmp(*argv, "--"); argv += 2) {
        char *value = argv[1], *colon = value ? strchr(value, ':') : NULL;
        if (!value)
            errx(64, "%s without a value", *argv);
        if (!strcmp(*argv, "--root"))
            root = value;
        else if (!strcmp(*argv, "--log"))
            log_path = value;
        else if (!strcmp(*argv, "--room"))
            room_gate = value;
        else if (!strcmp(*argv, "--hold") && colon)
            *colon = 0, hold_gate = value, hold_word = colon + 1;
        else if (!strcmp(*argv, "--image") && colon) {
            *colon = 0, image_folder = colon + 1;
            image = !strcmp(value, "lost") ? IMAGE_LOST : !strcmp(value, "names") ? IMAGE_NAMES : IMAGE_BYTES;
        } else if (!strcmp(*argv, "--fail") && colon) {
            *colon = 0;
            for (fail_kind = WRITE; fail_kind < KINDS && strcmp(kind_names[fail_kind], value); fail_kind++)
                ;
            fail_number = strtoul(colon + 1, (char **)&fail_fault, 10);
            fail_fault++;
        } else
            errx(64, "%s", *argv);
    }
    if (!root || !log_path || !*argv || !argv[1])
        errx(64, "--root, --log and a program are needed");
    root_length = strlen(root);
    return argv + 1;
}

int main(int argc, char **argv)
{
    (void)argc;
    char **command = read_arguments(argv);
    int begun[2], watched[2];
    program = getpid();
    if (pipe2(begun, O_CLOEXEC) != 0 || pipe2(watched, O_CLOEXEC) != 0)
        err(70, "a pipe");
    log_file = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    /* Held until the onlooker has ended: whoever locks the log then finds it and the image complete. */
    if (log_file < 0 || flock(log_file, LOCK_EX) != 0)
        err(70, "%s", log_path);
    enum { LISTENER = 200 };
    char byte;
    pid_t onlooker = fork();
    if (onlooker > 0) {
        prctl(PR_SET_PTRACER, onlooker, 0, 0, 0);
        install(LISTENER);
        close(log_file);
        close(watched[1]);
        close(begun[1]);
        if (read(watched[0], &byte, 1) != 1)
            errx(72, "nobody looks on");
        execv(command[0], command);
        err(127, "%s", command[0]);
    }
    if (onlooker < 0)
        err(70, "fork");
    setsid();
    close(begun[1]);
    struct rlimit files = { 1 << 16, 1 << 16 };
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    if (read(begun[0], &byte, 1) != 0)
        _exit(72);
    program_file = (int)syscall(SYS_pidfd_open, program, 0);
    listener = taken(LISTENER);
    if (program_file < 0 || listener < 0)
        err(72, "the listener");
    if (image)
        durable_begin(root);
    if (write(watched[1], "", 1) != 1)
        _exit(72);
    close(watched[1]);
    int nothing = open("/dev/null", O_RDWR);
    for (int file = 0; file < 3; file++)
        dup2(nothing, file);
    look_on();
    if (image)
        durable_image(image, image_folder);
    note("end\n");
    return 0;
}
