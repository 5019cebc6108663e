/* A disk that is slow: each sync of the program that loads this takes as many milliseconds longer as NCP_TEST_SYNC_MS says. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void take_time(void)
{
    const char *milliseconds = getenv("NCP_TEST_SYNC_MS");
    if (milliseconds)
        usleep((useconds_t)atoi(milliseconds) * 1000);
}

int fdatasync(int file)
{
    take_time();
    return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file)
{
    take_time();
    return (int)syscall(SYS_fsync, file);
}
