#!/bin/bash
# Start PostgreSQL in a container; on the first start make the database cluster from the environment:
#   POSTGRES_PASSWORD (needed, unless POSTGRES_HOST_AUTH_METHOD=trust), POSTGRES_USER, POSTGRES_DB, PGDATA,
#   POSTGRES_INITDB_ARGS, POSTGRES_INITDB_WALDIR, and each of the first three as NAME_FILE.
# *.sql, *.sql.gz and *.sh in /docker-entrypoint-initdb.d then run once. Other commands run as they are.
set -Eeo pipefail

from_file() {
    local name=$1 file_name="${1}_FILE"
    if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
        echo "error: both $name and $file_name are set; set one of them" >&2
        exit 1
    fi
    [ -z "${!file_name:-}" ] || export "$name"="$(< "${!file_name}")"
    unset "$file_name"
}

own_folders() {
    mkdir -p "$PGDATA" /run/postgresql
    chmod 0700 "$PGDATA" 2> /dev/null || true
    chmod 3777 /run/postgresql 2> /dev/null || true
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
        mkdir -p "$POSTGRES_INITDB_WALDIR"
        chmod 0700 "$POSTGRES_INITDB_WALDIR"
        find "$POSTGRES_INITDB_WALDIR" \! -user postgres -exec chown postgres '{}' +
    fi
    find "$PGDATA" \! -user postgres -exec chown postgres '{}' +
    chown postgres /run/postgresql
}

# An arbitrary user id (runAsUser) has no name, and initdb wants one.
name_user() {
    if ! id -un > /dev/null 2>&1 && [ -w /etc/passwd ]; then
        echo "postgres-$(id -u):x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >> /etc/passwd
    fi
}

run_sql() {
    psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password -h /run/postgresql --username "$POSTGRES_USER" "$@"
}

create_cluster() {
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        echo "error: the database is not initialized and no superuser password is given." >&2
        echo "       Set POSTGRES_PASSWORD to a value that is not empty, or POSTGRES_HOST_AUTH_METHOD=trust" >&2
        echo "       to let everybody in who can reach the port." >&2
        exit 1
    fi
    local wal=()
    [ -z "${POSTGRES_INITDB_WALDIR:-}" ] || wal=(--waldir "$POSTGRES_INITDB_WALDIR")
    eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\${POSTGRES_PASSWORD:-}\") \
        \"\${wal[@]}\" ${POSTGRES_INITDB_ARGS:-}"
    {
        echo
        echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
    } >> "$PGDATA/pg_hba.conf"
}

run_init_files() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh) echo "running $file"; if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
            *.sql) echo "running $file"; run_sql --dbname "$POSTGRES_DB" -f "$file" ;;
            *.sql.gz) echo "running $file"; gunzip -c "$file" | run_sql --dbname "$POSTGRES_DB" ;;
            *.sql.zst) echo "running $file"; zstd -dc "$file" | run_sql --dbname "$POSTGRES_DB" ;;
            '/docker-entrypoint-initdb.d/*') ;;
            *) echo "ignoring $file" ;;
        esac
    done
}

first_start() {
    create_cluster
    # Sockets only: nobody can connect from outside before the set-up is complete.
    PGPASSWORD="${PGPASSWORD:-${POSTGRES_PASSWORD:-}}" pg_ctl -D "$PGDATA" -w start \
        -o "-c listen_addresses='' -c unix_socket_directories=/run/postgresql -c jit=off -p 5432" > /dev/null
    export PGPASSWORD="${PGPASSWORD:-${POSTGRES_PASSWORD:-}}"
    if [ "$POSTGRES_DB" != postgres ]; then
        run_sql --dbname postgres --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";' > /dev/null
    fi
    run_init_files
    pg_ctl -D "$PGDATA" -m fast -w stop > /dev/null
    unset PGPASSWORD
    echo "PostgreSQL is initialized; ready to start."
}

main() {
    if [ "${1:0:1}" = - ]; then
        set -- postgres "$@"
    fi
    if [ "$1" = postgres ] && ! printf '%s\n' "$@" | grep -qxE -- '-\?|--help|--describe-config|-V|--version'; then
        from_file POSTGRES_PASSWORD
        from_file POSTGRES_USER
        from_file POSTGRES_DB
        from_file POSTGRES_INITDB_ARGS
        export POSTGRES_USER="${POSTGRES_USER:-postgres}"
        export POSTGRES_DB="${POSTGRES_DB:-$POSTGRES_USER}"
        if [ "$(id -u)" = 0 ]; then
            own_folders
            exec setpriv --reuid postgres --regid postgres --init-groups env HOME=/var/lib/postgresql "$0" "$@"
        fi
        name_user
        mkdir -p "$PGDATA"
        chmod 0700 "$PGDATA" 2> /dev/null || true
        if [ -s "$PGDATA/PG_VERSION" ]; then
            echo "PostgreSQL finds its data in $PGDATA."
        else
            first_start
        fi
        shift
        set -- postgres -c listen_addresses='*' -c jit=off -c unix_socket_directories=/run/postgresql "$@"
    fi
    exec "$@"
}

main "$@"
