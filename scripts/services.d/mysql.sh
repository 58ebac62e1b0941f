# shellcheck shell=bash
# MySQL: durable as it comes; the user `concert` owns every database called concert...

mysqld_command() {
    local me=()
    # mysqld refuses to be root unless told so.
    [ "$(id -u)" != 0 ] || me=(--user=root)
    mysqld=("${loader[@]}" "$prefix/usr/sbin/mysqld" --no-defaults "${me[@]}"
        "--basedir=$prefix/usr" "--lc-messages-dir=$prefix/usr/share/mysql"
        "--character-sets-dir=$prefix/usr/share/mysql/charsets")
}

mysql_prepare() {
    local home=$dir/mysql mysqld
    [ -s "$home/password" ] || (umask 077 && random_hex >"$home/password")
    [ ! -d "$home/data" ] || return 0
    rm -rf "$home/data.new"
    mysqld_command
    during_preparation "${mysqld[@]}" --initialize-insecure "--datadir=$home/data.new" || return 1
    mv "$home/data.new" "$home/data"
}

mysql_launch() {
    local home=$dir/mysql mysqld
    mysqld_command
    claim_port "$home/port"
    # The socket's name is relative to the data folder: a path in full may be longer than allowed.
    # The performance schema is off because it costs 200 MB and nothing here reads it.
    launch mysql "${mysqld[@]}" "--datadir=$home/data" "--port=$port" --bind-address=127.0.0.1 \
        --socket=mysql.sock "--pid-file=$home/mysqld.pid" --mysqlx=OFF --secure-file-priv=NULL \
        --skip-name-resolve --character-set-server=utf8mb4 --default-time-zone=+00:00 \
        --event-scheduler=OFF --performance-schema=OFF --max-connections=400 \
        --innodb-buffer-pool-size=512M
}

mysql_client() {
    "${loader[@]}" "$prefix/usr/bin/mysql" --no-defaults --batch --connect-timeout=5 \
        "--character-sets-dir=$prefix/usr/share/mysql/charsets" "$@"
}

# Root may come through the socket only; over TCP there is only `concert`. PROCESS lets a test see
# whether a statement waits for a lock.
mysql_grants() {
    cat <<SQL
CREATE USER IF NOT EXISTS 'concert'@'127.0.0.1';
ALTER USER 'concert'@'127.0.0.1' IDENTIFIED BY '$(<"$dir/mysql/password")';
GRANT ALL ON \`concert%\`.* TO 'concert'@'127.0.0.1';
GRANT PROCESS ON *.* TO 'concert'@'127.0.0.1';
CREATE DATABASE IF NOT EXISTS concert;
SQL
}

mysql_ready() {
    mysql_grants | (cd "$dir/mysql/data" && mysql_client --user=root --socket=mysql.sock) || return 1
    MYSQL_PWD=$(<"$dir/mysql/password") mysql_client --user=concert --protocol=TCP \
        --host=127.0.0.1 "--port=$(<"$dir/mysql/port")" concert --execute='SELECT 1'
}

mysql_address() {
    echo "mysql://concert:$(<"$dir/mysql/password")@127.0.0.1:$(<"$dir/mysql/port")/concert"
}
