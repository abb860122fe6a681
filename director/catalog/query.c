#include "director/catalog/query.h"

#include <string.h>

const char catalog_schema[] =
    "CREATE TABLE claim (one INTEGER PRIMARY KEY CHECK (one = 1), code BLOB NOT NULL, tries INTEGER NOT "
    "NULL);"
    "CREATE TABLE roster (version INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE TABLE statement (serial INTEGER PRIMARY KEY, type INTEGER NOT NULL, id BLOB NOT NULL,"
    " bytes BLOB NOT NULL, UNIQUE (type, id));"
    "CREATE TABLE seen (type INTEGER NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, hash BLOB NOT "
    "NULL,"
    " PRIMARY KEY (type, id)) WITHOUT ROWID;"
    "CREATE TABLE executed (id BLOB PRIMARY KEY, run BLOB NOT NULL, hash BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE unlock (hash BLOB PRIMARY KEY, key BLOB NOT NULL, bytes BLOB NOT NULL);"
    "CREATE TABLE run (serial INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, subject BLOB NOT NULL,"
    " open INTEGER NOT NULL, record BLOB NOT NULL);"
    "CREATE INDEX run_open ON run (serial) WHERE open = 1;"
    "CREATE INDEX run_subject ON run (subject, serial);"
    "CREATE TABLE warning (run BLOB NOT NULL, side INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (run, "
    "side));"
    "CREATE TABLE point (repository BLOB NOT NULL, number INTEGER NOT NULL, point BLOB NOT NULL, run BLOB "
    "NOT NULL,"
    " job TEXT NOT NULL, time INTEGER NOT NULL, log_hash BLOB NOT NULL, file BLOB NOT NULL,"
    " PRIMARY KEY (repository, number));"
    "CREATE INDEX point_id ON point (point);"
    "CREATE TABLE head (repository BLOB PRIMARY KEY, number INTEGER NOT NULL, hash BLOB NOT NULL,"
    " read INTEGER NOT NULL, points INTEGER NOT NULL, pack_bytes INTEGER NOT NULL, free_bytes INTEGER NOT "
    "NULL,"
    " code INTEGER NOT NULL, text TEXT NOT NULL, alarm TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE pending (serial INTEGER PRIMARY KEY, curve BLOB NOT NULL UNIQUE, identity BLOB NOT NULL,"
    " seen INTEGER NOT NULL);"
    "CREATE TABLE host (sign BLOB PRIMARY KEY, seen INTEGER NOT NULL, version TEXT NOT NULL, own_key BLOB,"
    " own_domain BLOB) WITHOUT ROWID;";

const char catalog_schema_later[] =
    "CREATE TABLE IF NOT EXISTS agenda (kind INTEGER NOT NULL, repository BLOB NOT NULL, job BLOB NOT NULL,"
    " spec TEXT NOT NULL, since INTEGER NOT NULL, next INTEGER NOT NULL, good INTEGER NOT NULL,"
    " PRIMARY KEY (kind, repository, job)) WITHOUT ROWID;"
    /* points that are held or removed (by which log entry); the others have no row */
    "CREATE TABLE IF NOT EXISTS mark (repository BLOB NOT NULL, point BLOB NOT NULL, held INTEGER NOT NULL,"
    " removed INTEGER NOT NULL, PRIMARY KEY (repository, point)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS bundle_lock (one INTEGER PRIMARY KEY CHECK (one = 1), salt BLOB NOT NULL,"
    " passes INTEGER NOT NULL, memory INTEGER NOT NULL, pk BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS link (serial INTEGER PRIMARY KEY, source BLOB NOT NULL, target BLOB NOT NULL,"
    " connection INTEGER NOT NULL, proxy TEXT NOT NULL, UNIQUE (source, target));";

static const char *const texts[QUERIES] = {
    [QUERY_BEGIN] = "BEGIN IMMEDIATE",
    [QUERY_COMMIT] = "COMMIT",
    [QUERY_ROLLBACK] = "ROLLBACK",
    [QUERY_CLAIM_PUT] = "INSERT OR REPLACE INTO claim VALUES (1, ?, ?)",
    [QUERY_CLAIM_GET] = "SELECT code, tries FROM claim",
    [QUERY_CLAIM_END] = "DELETE FROM claim",
    [QUERY_ROSTER_PUT] = "INSERT INTO roster VALUES (?, ?)",
    [QUERY_ROSTERS] = "SELECT bytes FROM roster WHERE version >= ? ORDER BY version",
    [QUERY_STATEMENT_PUT] = ("INSERT INTO statement (type, id, bytes) VALUES (?, ?, ?)"
                             " ON CONFLICT (type, id) DO UPDATE SET bytes = excluded.bytes"),
    [QUERY_STATEMENTS] = "SELECT bytes FROM statement WHERE type = ? ORDER BY serial",
    [QUERY_STATEMENT_GET] = "SELECT bytes FROM statement WHERE type = ? AND id = ?",
    [QUERY_STATEMENT_DROP] = "DELETE FROM statement WHERE type = ? AND id = ?",
    [QUERY_SEEN_PUT] = "INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)",
    [QUERY_SEEN] = "SELECT type, id, version, hash FROM seen",
    [QUERY_EXECUTED_PUT] = "INSERT INTO executed VALUES (?, ?, ?)",
    [QUERY_EXECUTED_GET] = "SELECT run, hash FROM executed WHERE id = ?",
    [QUERY_UNLOCK_PUT] = "INSERT OR IGNORE INTO unlock VALUES (?, ?, ?)",
    [QUERY_UNLOCK_GET] = "SELECT bytes FROM unlock WHERE hash = ?",
    [QUERY_UNLOCKS] = "SELECT hash, key FROM unlock",
    [QUERY_RUN_PUT] = ("INSERT INTO run (id, subject, open, record) VALUES (?, ?, ?, ?)"
                       " ON CONFLICT (id) DO UPDATE SET open = excluded.open, record = excluded.record"),
    [QUERY_RUN_GET] = "SELECT record FROM run WHERE id = ?",
    [QUERY_RUNS_OPEN] = "SELECT record FROM run WHERE open = 1 ORDER BY serial",
    [QUERY_RUNS] = "SELECT record FROM run ORDER BY serial DESC LIMIT ?",
    [QUERY_RUNS_OF] = "SELECT record FROM run WHERE subject = ? ORDER BY serial DESC LIMIT ?",
    [QUERY_RUNS_FORGET] = ("DELETE FROM run WHERE open = 0 AND serial <="
                           " (SELECT serial FROM run WHERE open = 0 ORDER BY serial DESC LIMIT 1 OFFSET ?)"),
    [QUERY_WARNINGS_FORGET] = "DELETE FROM warning WHERE run NOT IN (SELECT id FROM run)",
    [QUERY_WARNINGS_PUT] = "INSERT OR REPLACE INTO warning VALUES (?, ?, ?)",
    [QUERY_WARNINGS] = "SELECT bytes FROM warning WHERE run = ? ORDER BY side",
    [QUERY_POINT_PUT] = "INSERT INTO point VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [QUERY_POINT_AT] = "SELECT point, log_hash, file FROM point WHERE repository = ? AND number = ?",
    [QUERY_POINTS] =
        ("SELECT repository, number, point, run, job, time, log_hash, file, ifnull(held, 0) FROM point"
         " LEFT JOIN mark USING (repository, point)"
         " WHERE (?1 IS NULL OR repository = ?1) AND (?2 = '' OR job = ?2) AND (ifnull(removed, 0) > 0) = ?3"
         " ORDER BY repository, number"),
    [QUERY_POINT_GET] = ("SELECT file FROM point LEFT JOIN mark USING (repository, point)"
                         " WHERE point = ? AND ifnull(removed, 0) = 0 LIMIT 1"),
    /* of a point that is known: whoever owns a repository could fill the disk with others */
    [QUERY_POINT_MARK] = ("INSERT OR REPLACE INTO mark SELECT ?1, ?2, ?3, ?4"
                          " WHERE EXISTS (SELECT 1 FROM point WHERE repository = ?1 AND point = ?2)"),
    [QUERY_POINT_UNMARK] = "DELETE FROM mark WHERE repository = ? AND point = ?",
    [QUERY_POINTS_VOID] = ("DELETE FROM point WHERE repository = ?1 AND point IN (SELECT point FROM mark"
                           " WHERE repository = ?1 AND removed BETWEEN 1 AND ?2)"),
    [QUERY_MARKS_VOID] = "DELETE FROM mark WHERE repository = ? AND removed BETWEEN 1 AND ?",
    [QUERY_MARKS_DROP] = "DELETE FROM mark WHERE repository = ?",
    [QUERY_POINTS_DROP] = "DELETE FROM point WHERE repository = ?",
    [QUERY_HEAD_PUT] = "INSERT OR REPLACE INTO head VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [QUERY_HEAD_GET] =
        ("SELECT number, hash, read, points, pack_bytes, free_bytes, code, text, alarm FROM head"
         " WHERE repository = ?"),
    [QUERY_JOIN_PUT] =
        ("INSERT INTO pending (curve, identity, seen) VALUES (?, ?, ?)"
         " ON CONFLICT (curve) DO UPDATE SET identity = excluded.identity, seen = excluded.seen"),
    [QUERY_JOINS] = "SELECT identity FROM pending ORDER BY serial",
    [QUERY_JOIN_DROP] = "DELETE FROM pending WHERE curve = ?",
    [QUERY_JOINS_FORGET] = "DELETE FROM pending WHERE seen < ?",
    [QUERY_JOIN_COUNT] = "SELECT count(*) FROM pending WHERE curve <> ?",
    [QUERY_HOST_PUT] = "INSERT OR REPLACE INTO host VALUES (?, ?, ?, ?, ?)",
    [QUERY_HOST_GET] = "SELECT seen, version, own_key, own_domain FROM host WHERE sign = ?",
    [QUERY_AGENDA_PUT] = "INSERT OR REPLACE INTO agenda VALUES (?, ?, ?, ?, ?, ?, ?)",
    [QUERY_AGENDA] = "SELECT kind, repository, job, spec, since, next, good FROM agenda",
    [QUERY_AGENDA_DROP] = "DELETE FROM agenda",
    [QUERY_LOCK_PUT] = "INSERT OR REPLACE INTO bundle_lock VALUES (1, ?, ?, ?, ?)",
    [QUERY_LOCK_GET] = "SELECT salt, passes, memory, pk FROM bundle_lock",
    [QUERY_LINK_PUT] = ("INSERT INTO link (source, target, connection, proxy) VALUES (?, ?, ?, ?)"
                        " ON CONFLICT (source, target) DO UPDATE SET connection = excluded.connection,"
                        " proxy = excluded.proxy"),
    [QUERY_LINK_DROP] = "DELETE FROM link WHERE source = ? AND target = ?",
    [QUERY_LINKS] = "SELECT source, target, connection, proxy FROM link ORDER BY serial",
};

bool catalog_fail(struct catalog *catalog, int rc, struct err *err, const char *doing)
{
    const char *reason = catalog->db ? sqlite3_errmsg(catalog->db) : sqlite3_errstr(rc);
    enum err_code code = ERR_SYSTEM;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, ERR_BUSY, "'%s' is in use by another process", catalog->path);
    case SQLITE_FULL:
        code = ERR_NO_SPACE;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = ERR_DAMAGED;
        break;
    default:
        break;
    }
    return err_set(err, code, "cannot %s '%s': %s", doing, catalog->path, reason);
}

bool catalog_prepare(struct catalog *catalog, struct err *err)
{
    for (int i = 0; i < QUERIES; i++) {
        int rc = sqlite3_prepare_v3(catalog->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &catalog->queries[i], NULL);
        if (rc != SQLITE_OK) return catalog_fail(catalog, rc, err, "prepare");
    }
    return true;
}

struct query query_of(struct catalog *catalog, enum query_name name)
{
    return (struct query){.catalog = catalog, .statement = catalog->queries[name]};
}

void query_end(struct query *query)
{
    (void)sqlite3_reset(query->statement);
    (void)sqlite3_clear_bindings(query->statement);
}

/* ---- arguments */

static void note(struct query *query, int rc)
{
    if (query->rc == SQLITE_OK) query->rc = rc;
}

void query_u64(struct query *query, uint64_t value)
{
    note(query, sqlite3_bind_int64(query->statement, ++query->argument, (sqlite3_int64)value));
}

void query_blob(struct query *query, struct span bytes)
{
    /* a NULL pointer would bind SQL's NULL */
    const void *data = bytes.len > 0 ? (const void *)bytes.data : "";
    note(query, sqlite3_bind_blob64(query->statement, ++query->argument, data, bytes.len, SQLITE_STATIC));
}

void query_id(struct query *query, const struct id *id)
{
    query_blob(query, span_of(id->bytes, ID_LEN));
}

void query_text(struct query *query, const char *text)
{
    note(query, sqlite3_bind_text(query->statement, ++query->argument, text, -1, SQLITE_STATIC));
}

void query_null(struct query *query)
{
    note(query, sqlite3_bind_null(query->statement, ++query->argument));
}

/* ---- steps */

bool query_next(struct query *query)
{
    if (query->rc != SQLITE_OK && query->rc != SQLITE_ROW) return false;
    if (query->damaged) return false;
    query->column = 0;
    query->rc = sqlite3_step(query->statement);
    return query->rc == SQLITE_ROW;
}

bool query_finish(struct query *query, struct err *err)
{
    if (query->damaged)
        return err_set(err, ERR_DAMAGED, "'%s' is damaged: it holds what was never put there",
                       query->catalog->path);
    if (query->rc == SQLITE_DONE || query->rc == SQLITE_ROW) return true;
    return catalog_fail(query->catalog, query->rc, err, "use");
}

bool query_run(struct query *query, struct err *err)
{
    (void)query_next(query);
    return query_finish(query, err);
}

/* ---- columns */

uint64_t query_take_u64(struct query *query)
{
    int column = query->column++;
    if (sqlite3_column_type(query->statement, column) != SQLITE_INTEGER) query->damaged = true;
    return (uint64_t)sqlite3_column_int64(query->statement, column);
}

struct span query_take_blob(struct query *query)
{
    int column = query->column++;
    if (sqlite3_column_type(query->statement, column) != SQLITE_BLOB) query->damaged = true;
    const void *data = sqlite3_column_blob(query->statement, column);
    return span_of(data, (size_t)sqlite3_column_bytes(query->statement, column));
}

void query_take_fixed(struct query *query, void *out, size_t len)
{
    struct span bytes = query_take_blob(query);
    if (bytes.len == len)
        memcpy(out, bytes.data, len);
    else
        query->damaged = true;
}

const char *query_borrow_text(struct query *query)
{
    int column = query->column++;
    const char *text = (const char *)sqlite3_column_text(query->statement, column);
    if (text) return text;
    query->damaged = true;
    return "";
}

void query_take_text(struct query *query, char *out, size_t size)
{
    run_text_set(out, size, query_borrow_text(query));
}
