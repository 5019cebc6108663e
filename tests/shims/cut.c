/* Cuts the power of the file system that holds argv[1]: what its log has not on the disk yet is gone (ext4.h,
 * EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH). Every later write to it fails until it is mounted again. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

int main(int count, char **words)
{
    uint32_t no_log_flush = 2;
    int folder = count == 2 ? open(words[1], O_RDONLY | O_DIRECTORY) : -1;
    if (folder < 0 || ioctl(folder, 0x8004587D, &no_log_flush) != 0) {
        perror("cut");
        return 1;
    }
    return 0;
}
