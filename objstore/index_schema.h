/*
 * The index's files and tables. -EBADMSG: damaged, foreign or older, to be set aside; -EPROTO:
 * newer than we are; -ENOENT: there is none; -EIO: trouble that is not the file's fault.
 */
#ifndef GGFS_OBJSTORE_INDEX_SCHEMA_H
#define GGFS_OBJSTORE_INDEX_SCHEMA_H

#include "objstore/index_db.h"

int index_schema_open(int dirfd, sqlite3 **out, struct error *err);
int index_schema_create(int dirfd, sqlite3 **out, struct error *err);
/* A plain connection: no checks, nothing set up. */
int index_schema_connect(int dirfd, int flags, sqlite3 **out, struct error *err);
int index_schema_prepare(sqlite3 *db, sqlite3_stmt **statements, struct error *err);
/* Renames the files to index.sqlite.broken. */
void index_schema_set_aside(int dirfd);
/* Whether this code of SQLite's means a damaged file. */
bool index_is_damage(int code);

#endif
