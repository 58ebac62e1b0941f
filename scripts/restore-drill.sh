#!/usr/bin/env bash
# Tries a backup: copies a database while it is in use, restores the copy beside it, audits the
# books of the copy, and starts a service on it. The original is only read.
#
#   scripts/restore-drill.sh sqlite:var/concert.db
#   scripts/restore-drill.sh mysql://USER:PASSWORD@HOST:PORT/DATABASE    (makes DATABASE_drill, drops it)
#
# CONCERT names the binary (target/release/concert). For MySQL: mysql and mysqldump in PATH, or in
# MYSQL and MYSQLDUMP, and a user who may create databases. For SQLite: sqlite3.
set -euo pipefail
cd "$(dirname "$0")/.."

from=${1:?usage: $0 DATABASE_URL}
concert=$(realpath "${CONCERT:-target/release/concert}")
work=$(mktemp -d)
service=""
dropping=""
finish() {
    [ -z "$service" ] || { kill "$service" && wait "$service"; } 2>/dev/null || true
    [ -z "$dropping" ] || client --execute="DROP DATABASE $dropping" || true
    rm -rf "$work"
}
trap finish EXIT
say() { echo "restore-drill: $*"; }

case "$from" in
sqlite:*)
    say "copying ${from#sqlite:} while it may be in use"
    sqlite3 "${from#sqlite:}" "VACUUM INTO '$work/copy.db'"
    copy="sqlite:$work/copy.db"
    books() { sqlite3 "$work/copy.db" "$1"; }
    ;;
mysql://*)
    [[ "$from" =~ ^mysql://([^:]+):([^@]*)@([^:/]+):([0-9]+)/([A-Za-z0-9_]+)$ ]] || {
        say "FAILED: cannot read the URL" >&2
        exit 2
    }
    user=${BASH_REMATCH[1]} host=${BASH_REMATCH[3]} port=${BASH_REMATCH[4]} name=${BASH_REMATCH[5]}
    export MYSQL_PWD=${BASH_REMATCH[2]}
    place=(--user="$user" --host="$host" --port="$port" --protocol=TCP)
    client() { ${MYSQL:-mysql} "${place[@]}" --batch --skip-column-names "$@"; }
    say "dumping $name"
    # One snapshot; no lock is taken, so sales go on.
    ${MYSQLDUMP:-mysqldump} "${place[@]}" --single-transaction --quick --no-tablespaces \
        --set-gtid-purged=OFF "$name" >"$work/dump.sql"
    client --execute="CREATE DATABASE ${name}_drill"
    dropping=${name}_drill
    say "restoring $(du -h "$work/dump.sql" | cut -f1) into $dropping"
    client "$dropping" <"$work/dump.sql"
    copy="mysql://$user:$MYSQL_PWD@$host:$port/$dropping"
    books() { client "$dropping" --execute="$1"; }
    ;;
*)
    say "FAILED: $from is neither sqlite: nor mysql:" >&2
    exit 2
    ;;
esac

# none WHAT QUERY: fails if the query counts anything.
none() {
    local found
    found=$(books "$2")
    [ "$found" = 0 ] || {
        say "FAILED: $found $1" >&2
        exit 1
    }
    say "no $1"
}
none "balances that are not the sum of their ledger" "SELECT COUNT(*) FROM point_accounts a WHERE a.balance <>
    (SELECT COALESCE(SUM(l.amount), 0) FROM point_ledger l WHERE l.user_id = a.user_id)"
none "seats with two live owners" "SELECT COUNT(*) FROM (SELECT seat_id FROM reservations
    WHERE status IN ('PENDING', 'CONFIRMED') GROUP BY seat_id HAVING COUNT(*) > 1) twice"
none "sold seats that their reservation does not know" "SELECT COUNT(*) FROM seats s LEFT JOIN reservations r
    ON r.id = s.reservation_id AND r.status = 'CONFIRMED' AND r.seat_id = s.id
    WHERE s.status = 'RESERVED' AND r.id IS NULL"
none "confirmed reservations without a payment" "SELECT COUNT(*) FROM reservations r LEFT JOIN payments p
    ON p.reservation_id = r.id AND p.status = 'COMPLETED' WHERE r.status = 'CONFIRMED' AND p.id IS NULL"
none "payments without their line in the ledger" "SELECT COUNT(*) FROM payments p WHERE NOT EXISTS
    (SELECT 1 FROM point_ledger l WHERE l.payment_id = p.id AND l.kind = 'USE' AND l.amount = -p.amount)"

none "approved charges without their line in the ledger" "SELECT COUNT(*) FROM charge_intents c LEFT JOIN point_ledger l
    ON l.id = c.id AND l.kind = 'CHARGE' AND l.user_id = c.user_id AND l.amount = c.amount
    WHERE c.status = 'APPROVED' AND l.id IS NULL"
none "accounts whose room is not that of their open charges" "SELECT COUNT(*) FROM point_accounts a WHERE a.pending <>
    (SELECT COALESCE(SUM(c.amount), 0) FROM charge_intents c WHERE c.user_id = a.user_id AND c.status = 'PENDING')"

say "starting a service on the copy"
(
    cd "$work"
    # Names of its own: the old topic tells of payments that the copy may not have.
    # And no gateway: a copy must not settle what the original has open.
    exec env -u REDIS_URL -u KAFKA_BROKERS -u GATEWAY_URL -u GATEWAY_SECRET DATABASE_URL="$copy" EMBEDDED_PATH="$work/beside.db" \
        HTTP_ADDR=127.0.0.1:0 KAFKA_TOPIC_PREFIX=drill KAFKA_GROUP=drill SEED_DEMO=false \
        "$concert" serve
) >/dev/null 2>"$work/log" &
service=$!
address=""
for _ in $(seq 100); do
    address=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$work/log" | head -1 || true)
    [ -z "$address" ] || break
    kill -0 "$service" 2>/dev/null || break
    sleep 0.1
done
[ -n "$address" ] || {
    cat "$work/log" >&2
    say "FAILED: the service did not start on the copy" >&2
    exit 1
}
curl --fail --silent --show-error --output /dev/null "$address/readyz"
curl --fail --silent --show-error --output /dev/null "$address/api/v1/concerts"
count=$(books "SELECT COUNT(*) FROM payments")
say "the copy is whole and serves; $count payments in it"
