/* Inside the catalog: prepared queries, one for each SQL text, and their use:
 *
 *     AUTO(query) struct query query = query_of(catalog, QUERY_ROSTER_PUT);
 *     query_u64(&query, version);
 *     query_blob(&query, bytes);
 *     return query_run(&query, err);
 *
 * Arguments are bound in order; whatever goes wrong on the way is reported by the call that steps. */
#ifndef SEALIFT_DIRECTOR_QUERY_H
#define SEALIFT_DIRECTOR_QUERY_H

#include "director/catalog/catalog.h"

#include <sqlite3.h>

/* catalog.c: an empty database file, nobody else's to read. ERR_EXISTS: there is a file. */
bool catalog_file_make(const char *path, struct err *err) MUST_CHECK;

enum query_name {
    QUERY_BEGIN,
    QUERY_COMMIT,
    QUERY_ROLLBACK,
    QUERY_CLAIM_PUT,
    QUERY_CLAIM_GET,
    QUERY_CLAIM_END,
    QUERY_ROSTER_PUT,
    QUERY_ROSTERS,
    QUERY_STATEMENT_PUT,
    QUERY_STATEMENTS,
    QUERY_STATEMENT_GET,
    QUERY_STATEMENT_DROP,
    QUERY_SEEN_PUT,
    QUERY_SEEN,
    QUERY_EXECUTED_PUT,
    QUERY_EXECUTED_GET,
    QUERY_UNLOCK_PUT,
    QUERY_UNLOCK_GET,
    QUERY_UNLOCKS,
    QUERY_RUN_PUT,
    QUERY_RUN_GET,
    QUERY_RUNS_OPEN,
    QUERY_RUNS,
    QUERY_RUNS_OF,
    QUERY_RUNS_FORGET,
    QUERY_WARNINGS_FORGET,
    QUERY_WARNINGS_PUT,
    QUERY_WARNINGS,
    QUERY_POINT_PUT,
    QUERY_POINT_AT,
    QUERY_POINTS,
    QUERY_POINT_GET,
    QUERY_POINT_MARK,
    QUERY_POINT_UNMARK,
    QUERY_POINTS_VOID,
    QUERY_MARKS_VOID,
    QUERY_MARKS_DROP,
    QUERY_POINTS_DROP,
    QUERY_HEAD_PUT,
    QUERY_HEAD_GET,
    QUERY_JOIN_PUT,
    QUERY_JOINS,
    QUERY_JOIN_DROP,
    QUERY_JOINS_FORGET,
    QUERY_JOIN_COUNT,
    QUERY_HOST_PUT,
    QUERY_HOST_GET,
    QUERY_AGENDA_PUT,
    QUERY_AGENDA,
    QUERY_AGENDA_DROP,
    QUERY_LOCK_PUT,
    QUERY_LOCK_GET,
    QUERY_LINK_PUT,
    QUERY_LINK_DROP,
    QUERY_LINKS,
    QUERIES,
};

struct catalog {
    sqlite3 *db;
    sqlite3_stmt *queries[QUERIES];
    char *path;
};

extern const char catalog_schema[];
/* What catalogs of before may lack; harmless where it is there. */
extern const char catalog_schema_later[];

bool catalog_prepare(struct catalog *catalog, struct err *err) MUST_CHECK;
/* The error that SQLite reports, as ours. Returns false. */
bool catalog_fail(struct catalog *catalog, int rc, struct err *err, const char *doing);

struct query {
    struct catalog *catalog;
    sqlite3_stmt *statement;
    int argument, column;
    int rc;
    bool damaged; /* a column that cannot be what was put */
};

struct query query_of(struct catalog *catalog, enum query_name name);
void query_end(struct query *query);
DEFINE_AUTO_IN_PLACE(query, struct query, query_end)

void query_u64(struct query *query, uint64_t value);
/* borrowed until the query's end */
void query_blob(struct query *query, struct span bytes);
void query_id(struct query *query, const struct id *id);
void query_text(struct query *query, const char *text);
void query_null(struct query *query);

/* For changes: to the end. */
bool query_run(struct query *query, struct err *err) MUST_CHECK;
/* The next row, from its first column: false at the end, and when something failed. */
bool query_next(struct query *query);
/* After the last row: true when nothing failed. */
bool query_finish(struct query *query, struct err *err) MUST_CHECK;

/* Columns in order, borrowed until the next row. */
uint64_t query_take_u64(struct query *query);
struct span query_take_blob(struct query *query);
/* exactly `len` bytes */
void query_take_fixed(struct query *query, void *out, size_t len);
/* cut to fit */
void query_take_text(struct query *query, char *out, size_t size);
const char *query_borrow_text(struct query *query);

#endif
