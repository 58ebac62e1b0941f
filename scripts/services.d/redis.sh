# shellcheck shell=bash
# Redis: in memory only, unless `up --appendonly` asks for more.

redis_prepare() { mkdir -p "$dir/redis/data"; }

redis_launch() {
    local home=$dir/redis
    claim_port "$home/port"
    # Without a title of its own the process keeps the command line that running_pid looks for.
    cat >"$home/redis.conf" <<CONF
bind 127.0.0.1
port $port
dir "$home/data"
save ""
appendonly ${append_only:-no}
daemonize no
set-proc-title no
CONF
    launch redis "${loader[@]}" "$prefix/usr/bin/redis-server" "$home/redis.conf"
}

redis_ready() {
    local answer
    answer=$(timeout 5 "${loader[@]}" "$prefix/usr/bin/redis-cli" -h 127.0.0.1 -p "$(<"$dir/redis/port")" PING)
    [ "$answer" = PONG ]
}

redis_address() { echo "redis://127.0.0.1:$(<"$dir/redis/port")"; }
