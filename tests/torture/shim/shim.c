// Preloaded into a process: records each operation that changes a file below $TORTURE_ROOT, with its data, and what
// leaves on sockets, in one total order; injects faults. The reader of the log is src/log.rs.
//
// $TORTURE_LOG          file that the records are appended to
// $TORTURE_KILL_AT      SIGKILL before this operation, counted from 0
// $TORTURE_KILL_TEXT    SIGKILL at the first write that has this text in its data: before the write or,
// $TORTURE_KILL_LATER   ... before the n-th operation after it, of
// $TORTURE_KILL_FILE    ... a file with this in its path, and once there is
// $TORTURE_KILL_ARMED   ... this file
// $TORTURE_FAIL_SYNC    this sync of a file fails with EIO, counted from 1; the next one succeeds
// $TORTURE_FAIL_WRITE   this write, and with $TORTURE_FAIL_STICKY every later one, fails with $TORTURE_FAIL_ERRNO
// $TORTURE_SLOW_MS      each sync of a file takes this much longer
// $TORTURE_CLOCK_S      CLOCK_REALTIME is ahead by this many seconds
// $TORTURE_CLOCK_AT     ... from this operation on
// $TORTURE_CLOCK_FILE   CLOCK_REALTIME is ahead by the seconds that this file says, as they are at each look at the clock
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CREATE = 1, TRUNCATE, WRITE, SYNC_BEGIN, SYNC_END, SYNC_FAILED, RENAME, UNLINK, MKDIR, RMDIR, SEND, WRITE_FAILED };
enum { FDS = 4096, PATH = 1024, PARTS = 64 };

struct head {
  uint32_t magic, op;
  uint64_t inode, at;
  uint32_t is_folder, path_len, target_len, data_len;
  int32_t fd;
} __attribute__((packed));

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static char root[PATH];
static size_t root_len;
static int log_fd = -1, clock_fd = -1;
static const char *kill_text, *kill_file, *kill_armed;
static long operations, syncs, writes;
static long kill_at = -1, kill_later, fail_sync, fail_write, fail_errno = EIO, sticky, slow_ms, clock_s, clock_at;
static struct { int open; uint64_t inode; char *path; } fds[FDS];

static long number(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text ? atol(text) : otherwise;
}

__attribute__((constructor)) static void start(void) {
  const char *folder = getenv("TORTURE_ROOT"), *log = getenv("TORTURE_LOG"), *ahead = getenv("TORTURE_CLOCK_FILE");
  kill_at = number("TORTURE_KILL_AT", -1);
  kill_text = getenv("TORTURE_KILL_TEXT");
  kill_file = getenv("TORTURE_KILL_FILE");
  kill_armed = getenv("TORTURE_KILL_ARMED");
  kill_later = number("TORTURE_KILL_LATER", 0);
  fail_sync = number("TORTURE_FAIL_SYNC", 0);
  fail_write = number("TORTURE_FAIL_WRITE", 0);
  fail_errno = number("TORTURE_FAIL_ERRNO", EIO);
  sticky = number("TORTURE_FAIL_STICKY", 0);
  slow_ms = number("TORTURE_SLOW_MS", 0);
  clock_s = number("TORTURE_CLOCK_S", 0);
  clock_at = number("TORTURE_CLOCK_AT", 0);
  if (log) log_fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (ahead) clock_fd = syscall(SYS_openat, AT_FDCWD, ahead, O_RDONLY | O_CLOEXEC);
  if (folder && strlen(folder) < sizeof root) {
    strcpy(root, folder);
    root_len = strlen(root);
  }
}

static int below_root(const char *path) {
  return root_len && !strncmp(path, root, root_len) && (path[root_len] == '/' || !path[root_len]);
}

static void absolute(int folder, const char *path, char *out) {
  char base[PATH / 2] = "", link[64];
  if (path[0] == '/') {
    snprintf(out, PATH, "%s", path);
    return;
  }
  if (folder == AT_FDCWD) {
    if (!getcwd(base, sizeof base)) base[0] = 0;
  } else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t len = readlink(link, base, sizeof base - 1);
    base[len < 0 ? 0 : len] = 0;
  }
  snprintf(out, PATH, "%s/%s", base, path);
}

// From here on `order` is held wherever an operation is recorded.

static void record(int op, uint64_t inode, uint64_t at, int is_folder, const char *path, const char *target,
                   const struct iovec *data, int parts, size_t data_len, int fd) {
  operations++;
  if (log_fd < 0) return;
  struct head head = {0x54524f54, op, inode, at, is_folder, path ? strlen(path) : 0, target ? strlen(target) : 0, data_len, fd};
  struct iovec out[PARTS];
  int n = 0;
  out[n++] = (struct iovec){&head, sizeof head};
  if (path) out[n++] = (struct iovec){(void *)path, head.path_len};
  if (target) out[n++] = (struct iovec){(void *)target, head.target_len};
  for (int i = 0; i < parts && data_len && n < PARTS; i++) {
    size_t len = data[i].iov_len < data_len ? data[i].iov_len : data_len;
    out[n++] = (struct iovec){data[i].iov_base, len};
    data_len -= len;
  }
  if (data_len || syscall(SYS_writev, log_fd, out, n) < 0) abort();
}

static void gate(void) {
  if (kill_at >= 0 && operations >= kill_at) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
  }
}

// Sets the place of the kill when this write is the first that has the text.
static void look_for_text(const char *path, const struct iovec *parts, int n) {
  if (!kill_text || (kill_file && !strstr(path, kill_file))) return;
  for (int i = 0; i < n; i++)
    if (memmem(parts[i].iov_base, parts[i].iov_len, kill_text, strlen(kill_text))) {
      if (kill_armed && syscall(SYS_faccessat, AT_FDCWD, kill_armed, F_OK)) return;
      kill_at = operations + kill_later;
      kill_text = 0;
      return;
    }
}

// Whether this operation, which needs space, fails.
static int fails(void) {
  if (!fail_write) return 0;
  writes++;
  if (writes != fail_write && !(sticky && writes > fail_write)) return 0;
  errno = fail_errno;
  return 1;
}

static int tracked(int fd) { return fd >= 0 && fd < FDS && fds[fd].open; }

static int is_socket(int fd) {
  struct stat st;
  return root_len && fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

#define UNLOCK_RETURN(value) { int saved = errno; pthread_mutex_unlock(&order); errno = saved; return value; }

static int open_file(int folder, const char *name, int flags, mode_t mode) {
  char path[PATH];
  absolute(folder, name, path);
  if (!below_root(path)) return syscall(SYS_openat, folder, name, flags, mode);
  // Replay runs on a tmpfs, whose page cache is the disk: a reader past it would see what a real one would not.
  if (flags & O_DIRECT) { errno = EINVAL; return -1; }
  pthread_mutex_lock(&order);
  struct stat st;
  int existed = stat(path, &st) == 0, creates = (flags & O_CREAT) && !existed, empties = (flags & O_TRUNC) && existed;
  if (creates || empties) gate();
  if (creates && fails()) UNLOCK_RETURN(-1)
  int fd = syscall(SYS_openat, folder, name, flags, mode);
  if (fd >= 0 && fd < FDS) {
    fstat(fd, &st);
    free(fds[fd].path);
    fds[fd].open = 1;
    fds[fd].inode = st.st_ino;
    fds[fd].path = strdup(path);
    if (creates) record(CREATE, st.st_ino, 0, 0, path, 0, 0, 0, 0, fd);
    if (empties) record(TRUNCATE, st.st_ino, 0, 0, path, 0, 0, 0, 0, fd);
  }
  UNLOCK_RETURN(fd)
}

#define MODE(flags) va_list rest; va_start(rest, flags); mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; va_end(rest);
int open(const char *path, int flags, ...) { MODE(flags) return open_file(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_file(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_file(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_file(folder, path, flags, mode); }

int close(int fd) {
  if (tracked(fd)) {
    pthread_mutex_lock(&order);
    fds[fd].open = 0;
    pthread_mutex_unlock(&order);
  }
  return syscall(SYS_close, fd);
}

#define WRITTEN(call, position) \
  pthread_mutex_lock(&order); \
  look_for_text(fds[fd].path, parts, n); \
  gate(); \
  if (fails()) { int why = errno; record(WRITE_FAILED, fds[fd].inode, position, 0, fds[fd].path, 0, 0, 0, 0, fd); errno = why; UNLOCK_RETURN(-1) } \
  ssize_t done = call; \
  int why = errno; \
  if (done > 0) record(WRITE, fds[fd].inode, position, 0, fds[fd].path, 0, parts, n, done, fd); \
  errno = why; \
  UNLOCK_RETURN(done)

static ssize_t sent(long nr, int fd, const struct iovec *parts, int n, const struct msghdr *message, int flags) {
  pthread_mutex_lock(&order);
  gate();
  ssize_t done = message ? syscall(nr, fd, message, flags)
    : nr == SYS_writev ? syscall(nr, fd, parts, n)
    : nr == SYS_write ? syscall(nr, fd, parts->iov_base, parts->iov_len)
    : syscall(nr, fd, parts->iov_base, parts->iov_len, flags, 0, 0);
  int why = errno;
  if (done > 0) record(SEND, 0, 0, 0, 0, 0, parts, n, done, fd);
  errno = why;
  UNLOCK_RETURN(done)
}

ssize_t write(int fd, const void *bytes, size_t len) {
  struct iovec part = {(void *)bytes, len}, *parts = &part;
  int n = 1;
  if (tracked(fd)) { off_t at = lseek(fd, 0, SEEK_CUR); WRITTEN(syscall(SYS_write, fd, bytes, len), at) }
  return is_socket(fd) ? sent(SYS_write, fd, parts, n, 0, 0) : syscall(SYS_write, fd, bytes, len);
}
ssize_t writev(int fd, const struct iovec *parts, int n) {
  if (tracked(fd)) { off_t at = lseek(fd, 0, SEEK_CUR); WRITTEN(syscall(SYS_writev, fd, parts, n), at) }
  return is_socket(fd) ? sent(SYS_writev, fd, parts, n, 0, 0) : syscall(SYS_writev, fd, parts, n);
}
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
  struct iovec part = {(void *)bytes, len}, *parts = &part;
  int n = 1;
  if (!tracked(fd)) return syscall(SYS_pwrite64, fd, bytes, len, at);
  WRITTEN(syscall(SYS_pwrite64, fd, bytes, len, at), at)
}
ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) { return pwrite64(fd, bytes, len, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t at) {
  if (!tracked(fd)) return syscall(SYS_pwritev, fd, parts, n, at, 0);
  WRITTEN(syscall(SYS_pwritev, fd, parts, n, at, 0), at)
}
ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at) { return pwritev64(fd, parts, n, at); }
ssize_t send(int fd, const void *bytes, size_t len, int flags) {
  struct iovec part = {(void *)bytes, len};
  return root_len ? sent(SYS_sendto, fd, &part, 1, 0, flags) : syscall(SYS_sendto, fd, bytes, len, flags, 0, 0);
}
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  return root_len ? sent(SYS_sendmsg, fd, message->msg_iov, message->msg_iovlen, message, flags) : syscall(SYS_sendmsg, fd, message, flags);
}
// Copies inside the kernel would pass the recorder by; without them the C library's callers read and write.
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *there, size_t len, unsigned flags) { errno = EXDEV; return -1; }
ssize_t sendfile64(int to, int from, off64_t *at, size_t len) { errno = EINVAL; return -1; }
ssize_t sendfile(int to, int from, off_t *at, size_t len) { errno = EINVAL; return -1; }
int fallocate64(int fd, int mode, off64_t at, off64_t len) { errno = EOPNOTSUPP; return -1; }
int fallocate(int fd, int mode, off_t at, off_t len) { errno = EOPNOTSUPP; return -1; }

static int sync_file(int fd, long nr) {
  if (!tracked(fd)) return syscall(nr, fd);
  pthread_mutex_lock(&order);
  gate();
  struct stat st;
  fstat(fd, &st);
  int is_folder = S_ISDIR(st.st_mode), broken = !is_folder && fail_sync && ++syncs == fail_sync;
  uint64_t begun = operations, inode = fds[fd].inode;
  char path[PATH];
  snprintf(path, sizeof path, "%s", fds[fd].path);
  record(SYNC_BEGIN, inode, begun, is_folder, path, 0, 0, 0, 0, fd);
  if (broken) record(SYNC_FAILED, inode, begun, is_folder, path, 0, 0, 0, 0, fd);
  pthread_mutex_unlock(&order);
  if (broken) { errno = EIO; return -1; }
  if (slow_ms && !is_folder) nanosleep(&(struct timespec){slow_ms / 1000, slow_ms % 1000 * 1000000}, 0);
  int done = syscall(nr, fd), why = errno;
  pthread_mutex_lock(&order);
  gate();
  if (done == 0) record(SYNC_END, inode, begun, is_folder, path, 0, 0, 0, 0, fd);
  errno = why;
  UNLOCK_RETURN(done)
}
int fsync(int fd) { return sync_file(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync); }
// Writes pages out, and promises nothing about the device's cache or the metadata.
int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags) { return 0; }

int ftruncate64(int fd, off64_t len) {
  if (!tracked(fd)) return syscall(SYS_ftruncate, fd, len);
  pthread_mutex_lock(&order);
  gate();
  int done = syscall(SYS_ftruncate, fd, len), why = errno;
  if (!done) record(TRUNCATE, fds[fd].inode, len, 0, fds[fd].path, 0, 0, 0, 0, fd);
  errno = why;
  UNLOCK_RETURN(done)
}
int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }

static int rename_file(int folder, const char *from, int target_folder, const char *to, unsigned flags) {
  char path[PATH], target[PATH];
  absolute(folder, from, path);
  absolute(target_folder, to, target);
  if (!below_root(path)) return syscall(SYS_renameat2, folder, from, target_folder, to, flags);
  pthread_mutex_lock(&order);
  gate();
  int done = syscall(SYS_renameat2, folder, from, target_folder, to, flags), why = errno;
  if (!done) record(RENAME, 0, 0, 0, path, target, 0, 0, 0, -1);
  errno = why;
  UNLOCK_RETURN(done)
}
int rename(const char *from, const char *to) { return rename_file(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return rename_file(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return rename_file(a, from, b, to, flags); }

static int unlink_file(int folder, const char *name, int flags) {
  char path[PATH];
  absolute(folder, name, path);
  if (!below_root(path)) return syscall(SYS_unlinkat, folder, name, flags);
  pthread_mutex_lock(&order);
  gate();
  int done = syscall(SYS_unlinkat, folder, name, flags), why = errno;
  if (!done) record(flags & AT_REMOVEDIR ? RMDIR : UNLINK, 0, 0, 0, path, 0, 0, 0, 0, -1);
  errno = why;
  UNLOCK_RETURN(done)
}
int unlink(const char *path) { return unlink_file(AT_FDCWD, path, 0); }
int unlinkat(int folder, const char *path, int flags) { return unlink_file(folder, path, flags); }
int rmdir(const char *path) { return unlink_file(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int folder, const char *name, mode_t mode) {
  char path[PATH];
  absolute(folder, name, path);
  if (!below_root(path)) return syscall(SYS_mkdirat, folder, name, mode);
  pthread_mutex_lock(&order);
  gate();
  if (access(path, F_OK) && fails()) UNLOCK_RETURN(-1)
  int done = syscall(SYS_mkdirat, folder, name, mode), why = errno;
  struct stat st;
  if (!done && !stat(path, &st)) record(MKDIR, st.st_ino, 0, 1, path, 0, 0, 0, 0, -1);
  errno = why;
  UNLOCK_RETURN(done)
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

// How far the wall clock is ahead, in seconds.
static long ahead(void) {
  char text[32];
  ssize_t len = clock_fd < 0 ? 0 : syscall(SYS_pread64, clock_fd, text, sizeof text - 1, 0L);
  text[len < 0 ? 0 : len] = 0;
  return atol(text) + (operations >= clock_at ? clock_s : 0);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int done = syscall(SYS_clock_gettime, clock, time);
  if (clock == CLOCK_REALTIME) time->tv_sec += ahead();
  return done;
}
int gettimeofday(struct timeval *time, void *zone) {
  int done = syscall(SYS_gettimeofday, time, zone);
  if (!done) time->tv_sec += ahead();
  return done;
}
