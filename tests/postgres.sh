#!/usr/bin/env bash
# A PostgreSQL for tests: ./postgres.sh [OPTION OF postgres]...
#
# Starts a server on a unix socket in a folder of its own, opens no port, and takes orders on stdin, a line for each:
#     create NAME     makes an empty place for tables and says its URL on stdout
#     restart         stops the server, with all its connections, starts it again and says so
# When stdin ends it stops the server and removes the folder: whoever starts this need only go away.
set -euo pipefail

die() {
    printf 'postgres.sh: %s\n' "$*" >&2
    exit 1
}

# Debian keeps the server's programs out of the path, in a folder for each version.
bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb || true)")
[ -x "$bin/initdb" ] || die "there is no PostgreSQL; install what Debian calls postgresql."

dir=$(mktemp -d)
as=()
if [ "$(id -u)" -eq 0 ]; then
    # The server refuses to run as root; the package brings a user for it.
    chown postgres "$dir"
    as=(setpriv --reuid=postgres "--regid=$(id -g postgres)" --clear-groups)
fi
cd "$dir"

server=
start() {
    "${as[@]}" "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=200 "$@" \
        >>"$dir/server.log" 2>&1 </dev/null &
    server=$!
    until "$bin/pg_isready" --quiet "--host=$dir" --username=capsule --dbname=postgres; do
        kill -0 "$server" 2>/dev/null || die "the server ended: $(cat "$dir/server.log")"
        sleep 0.05
    done
}

stop() {
    [ -n "$server" ] || return 0
    kill -INT "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

trap 'stop; rm -rf "$dir"' EXIT
trap exit INT TERM

"${as[@]}" "$bin/initdb" "--pgdata=$dir/data" --username=capsule --auth=trust --encoding=UTF8 --no-sync \
    >"$dir/initdb.log" 2>&1 || die "initdb failed: $(cat "$dir/initdb.log")"
start "$@"
while read -r order name; do
    case "$order" in
    create)
        # A schema is as empty as a database of its own, and made in a tenth of the time.
        "$bin/psql" --quiet "--host=$dir" --username=capsule --dbname=postgres "--command=CREATE SCHEMA $name"
        echo "postgres://capsule@localhost/postgres?host=$dir&options[search_path]=$name"
        ;;
    restart)
        stop
        start "$@"
        echo "restarted"
        ;;
    *) die "there is no order \`$order\`." ;;
    esac
done
