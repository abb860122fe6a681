/* One line per event on stderr: `level=info program=sealift-director event=run_started run=4f… bytes=12`.
 * Only loops and mains log; libraries return errors. Never a secret; users' file names only at debug level.
 * Values with spaces, quotes or control bytes are quoted and escaped. Any thread. */
#ifndef SEALIFT_BASE_LOG_H
#define SEALIFT_BASE_LOG_H

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* lines below `level` are dropped; `program` is put into each line, and must stay valid. Call before threads
 * start. */
void log_init(const char *program, enum log_level level);
/* pairs: key, value, key, value, …, NULL (all `const char *`) */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

#endif
