# shellcheck shell=bash
# Ports, processes and start order: what all three servers have in common. Each server brings
# NAME_prepare (makes its data, once), NAME_launch, NAME_ready and NAME_address.

say() { echo "services: $*" >&2; }

die() {
    say "$*"
    exit 1
}

have() { command -v "$1" >/dev/null; }

# parse_options ALLOWED... -- ARGUMENTS: sets dir, chosen (servers) and append_only.
parse_options() {
    local allowed=" "
    while [ "$1" != -- ]; do
        allowed+="$1 "
        shift
    done
    shift
    dir=$project/var/services
    append_only=no
    chosen=()
    while [ $# -gt 0 ]; do
        [[ $1 != -* || $allowed = *" $1 "* ]] || die "unknown option '$1'; see scripts/services --help"
        case $1 in
            --dir)
                [ -n "${2:-}" ] || die "--dir needs a folder"
                dir=$2
                shift
                ;;
            --appendonly) append_only=yes ;;
            mysql | redis | kafka) chosen+=("$1") ;;
            *) die "unknown server '$1': mysql, redis or kafka" ;;
        esac
        shift
    done
    [ ${#chosen[@]} -gt 0 ] || chosen=("${servers[@]}")
}

# Sets mode (native, docker, external, none) and the reason for it.
choose_mode() {
    local given=0 name
    for name in TEST_MYSQL_URL TEST_REDIS_URL TEST_KAFKA_BROKERS; do
        [ -z "${!name:-}" ] || given=$((given + 1))
    done
    reason="as TEST_SERVICES says"
    case ${TEST_SERVICES:-} in
        native | docker | external) mode=$TEST_SERVICES ;;
        "") guess_mode "$given" ;;
        *) die "TEST_SERVICES is '$TEST_SERVICES'; allowed are native, docker and external" ;;
    esac
    [ "$mode" != external ] || [ "$given" = 3 ] ||
        die "external servers need all of TEST_MYSQL_URL, TEST_REDIS_URL and TEST_KAFKA_BROKERS"
    [ "$mode" != native ] || require_native
}

guess_mode() {
    if [ "$1" -gt 0 ]; then
        mode=external reason="TEST_MYSQL_URL, TEST_REDIS_URL or TEST_KAFKA_BROKERS is set"
    elif native_possible; then
        mode=native reason="this machine can run them by itself"
    elif have docker && docker info >/dev/null 2>&1; then
        mode=docker reason="a Docker engine answers, and $no_native"
    else
        mode=none reason=$no_native
    fi
}

require_native() { native_possible || die "$no_native"; }

# --- ports -------------------------------------------------------------------------------------

port_answers() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# claim_port FILE: sets port to the one in FILE if it is still free, else to a random one below the
# range that the kernel gives to outgoing connections, and keeps it in FILE. The lock on the port
# is inherited by the server that is launched next and ends with it, so that no two runs ever pick
# the same port, not even before they listen.
claim_port() {
    local file=$1 saved="" lock
    [ ! -s "$file" ] || saved=$(<"$file")
    mkdir -p "$cache/ports"
    for _ in {1..200}; do
        port=${saved:-$((20000 + SRANDOM % 12000))}
        saved=
        exec {lock}>"$cache/ports/$port"
        if flock -n "$lock" && ! port_answers "$port"; then
            port_locks+=("$lock")
            echo "$port" >"$file"
            return
        fi
        exec {lock}>&-
    done
    die "found no free port between 20000 and 31999"
}

release_port_locks() {
    local lock
    for lock in "${port_locks[@]}"; do
        exec {lock}>&-
    done
    port_locks=()
}

# --- processes ---------------------------------------------------------------------------------

lifetime=own      # `run` sets it to ours: servers then end with this script, even if it is killed
port_locks=()
preparing=()

# launch NAME PROGRAM...: a session of its own keeps a terminal's Ctrl-C from the server.
launch() {
    local name=$1 guard=(setsid)
    shift
    [ "$lifetime" = own ] || guard+=(setpriv --pdeathsig KILL)
    "${guard[@]}" "$@" </dev/null >>"$dir/$name/log" 2>&1 9>&- &
    echo $! >"$dir/$name/pid"
    disown # or the shell would announce its end
    release_port_locks
}

# Preparation never outlives its shell, so that nothing writes into a folder that is being removed.
during_preparation() { setpriv --pdeathsig KILL "$@"; }

# running_pid NAME: the pid in the pid file, if that process is still this folder's server.
running_pid() {
    local pid
    [ -s "$dir/$1/pid" ] || return 1
    pid=$(<"$dir/$1/pid")
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$dir/$1/" || return 1
    echo "$pid"
}

resident_mb() { awk '/^VmRSS/ { print int($2 / 1024) }' "/proc/$1/status"; }

# stop_server NAME SIGNAL: returns when the process is gone.
stop_server() {
    local name=$1 signal=$2 pid deadline=$((SECONDS + 30))
    if pid=$(running_pid "$name"); then
        kill "-$signal" "$pid" 2>/dev/null || true
        kill -CONT "$pid" 2>/dev/null || true # a test may have paused it
        while running_pid "$name" >/dev/null; do
            [ "$SECONDS" -lt "$deadline" ] || kill -KILL "$pid" 2>/dev/null || true
            sleep 0.05
        done
        [ "$lifetime" = ours ] || say "$name stopped"
    fi
    rm -f "$dir/$name/pid"
}

# end_group GROUP STATUS: passes on the signal that ended us, if one did, and lets nobody stay.
end_group() {
    local group=$1 deadline=$((SECONDS + 3))
    case $2 in
        129 | 130 | 143) kill "-$(($2 - 128))" -- "-$group" 2>/dev/null || true ;;
        *) deadline=$SECONDS ;;
    esac
    while kill -0 -- "-$group" 2>/dev/null; do
        [ "$SECONDS" -lt "$deadline" ] || kill -KILL -- "-$group" 2>/dev/null || true
        sleep 0.05
    done
}

end_preparation() {
    local pid
    for pid in "${preparing[@]}"; do
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

# --- start -------------------------------------------------------------------------------------

# One `up` or `down` at a time in a folder. Servers do not inherit the lock (see launch).
lock_dir() {
    exec 9>"$dir/.lock"
    flock 9
}

# bring_up SERVER...: starts those that do not run, side by side, and waits until each answers.
bring_up() {
    local name missing=() begin=$EPOCHREALTIME
    local -A preparation=()
    chmod 700 "$dir" # holds a password, and MySQL's root needs no other than reaching its socket
    lock_dir
    for name in "$@"; do
        running_pid "$name" >/dev/null || missing+=("$name")
    done
    for name in "${missing[@]}"; do
        mkdir -p "$dir/$name"
        : >"$dir/$name/log"
        "${name}_prepare" >>"$dir/$name/log" 2>&1 &
        preparation[$name]=$!
        preparing+=("$!")
    done
    # The reverse order starts Kafka, the slowest to answer, while MySQL still makes its data.
    for name in kafka redis mysql; do
        [ -n "${preparation[$name]:-}" ] || continue
        wait "${preparation[$name]}" || give_up "$name" "could not make its data"
        "${name}_launch"
    done
    preparing=()
    for name in "${missing[@]}"; do
        await_ready "$name"
    done
    exec 9>&-
    [ ${#missing[@]} = 0 ] || say "up after $(seconds_since "$begin") s: ${missing[*]}"
}

await_ready() {
    local name=$1 pid deadline=$((SECONDS + 60))
    pid=$(<"$dir/$name/pid")
    until "${name}_ready" >/dev/null 2>&1; do
        kill -0 "$pid" 2>/dev/null || give_up "$name" "ended instead of starting"
        [ "$SECONDS" -lt "$deadline" ] || give_up "$name" "did not answer within 60 s"
        sleep 0.1
    done
}

give_up() {
    say "the last lines of $dir/$1/log:"
    tail -n 20 "$dir/$1/log" >&2
    die "$1 $2"
}

seconds_since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; }

# The URLs of what runs, for a shell to source; the file is for the user's eyes only.
write_env() {
    local name variable
    (umask 077 && : >"$dir/env.new")
    for name in "${servers[@]}"; do
        running_pid "$name" >/dev/null || continue
        case $name in
            mysql) variable=DATABASE_URL ;;
            redis) variable=REDIS_URL ;;
            kafka) variable=KAFKA_BROKERS ;;
        esac
        echo "export $variable='$("${name}_address")'" >>"$dir/env.new"
    done
    mv "$dir/env.new" "$dir/env"
}

random_hex() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
