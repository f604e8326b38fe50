/* Disks on demand, for tests and benchmarks: LD_PRELOAD this before SQLite.
 *
 * DISK_FSYNC_US=n   every fsync takes n microseconds longer.
 * DISK_LOG=file     every write is noted as it is made and every fsync as it ends, so that a test can make the file as it
 *                   would be after a power cut: with what was synced, and of the rest whatever it likes. Records are
 *                   {kind, length, offset} and the data; kind 'w' a write, 's' a sync, 't' a truncation; the name of
 *                   the file follows. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -2;

struct record {
    int64_t kind, length, offset, name_length;
};

static int open_log(void) {
    if (log_fd == -2) {
        const char *path = getenv("DISK_LOG");
        log_fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    }
    return log_fd;
}

static void note(char kind, int fd, const void *data, int64_t length, int64_t offset) {
    static ssize_t (*write_)(int, const void *, size_t);
    char link[64], name[4096];
    if (!write_) write_ = dlsym(RTLD_NEXT, "write");
    if (open_log() < 0) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t named = readlink(link, name, sizeof name);
    if (named < 0) return;
    struct record record = {kind, length, offset, named};
    pthread_mutex_lock(&lock);
    write_(log_fd, &record, sizeof record);
    write_(log_fd, name, named);
    if (kind == 'w') write_(log_fd, data, length);
    pthread_mutex_unlock(&lock);
}

static void wait_for_disk(void) {
    const char *extra = getenv("DISK_FSYNC_US");
    if (extra) usleep(atoi(extra));
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    ssize_t written = real(fd, data, length, offset);
    if (written > 0) note('w', fd, data, written, offset);
    return written;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
    return pwrite64(fd, data, length, offset);
}

int ftruncate64(int fd, off64_t length) {
    static int (*real)(int, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "ftruncate64");
    int result = real(fd, length);
    if (!result) note('t', fd, 0, length, 0);
    return result;
}

int ftruncate(int fd, off_t length) {
    return ftruncate64(fd, length);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fsync");
    wait_for_disk();
    int result = real(fd);
    if (!result) note('s', fd, 0, 0, 0);
    return result;
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = dlsym(RTLD_NEXT, "fdatasync");
    wait_for_disk();
    int result = real(fd);
    if (!result) note('s', fd, 0, 0, 0);
    return result;
}
