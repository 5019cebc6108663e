/* A disk that hangs: syncs of the program that loads this wait as long as the file named by NCP_TEST_HANG exists. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_at_the_gate(void)
{
    const char *gate = getenv("NCP_TEST_HANG");
    while (gate && access(gate, F_OK) == 0)
        usleep(1000);
}

int fdatasync(int file)
{
    wait_at_the_gate();
    return (int)syscall(SYS_fdatasync, file);
}

int fsync(int file)
{
    wait_at_the_gate();
    return (int)syscall(SYS_fsync, file);
}
