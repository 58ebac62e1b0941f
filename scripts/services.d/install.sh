# shellcheck shell=bash
# Fetches the servers into one folder of the user's cache. MySQL and Redis are Debian packages of
# the sid suite, unpacked there with all they link to and started by that folder's own loader, so
# that the system's libraries neither change nor matter; Kafka's jars come by Maven.

mysql_version=9.7
redis_version=8.0
kafka_version=4.3.1
# The last part counts changes of the recipe below.
prefix=$cache/mysql-${mysql_version}_redis-${redis_version}_kafka-${kafka_version}_1

installed() { [ -f "$prefix/VERSIONS" ]; }

versions() { cat "$prefix/VERSIONS"; }

# Otherwise no_native says in one sentence what is missing.
native_possible() {
    local program
    for program in flock setsid setpriv; do
        have "$program" || { no_native="$program (util-linux) is missing"; return 1; }
    done
    ! installed || return 0
    { have apt-get && have dpkg-deb; } ||
        { no_native="native servers come as Debian packages, and this machine has no apt"; return 1; }
    [ -n "$(debian_mirror)" ] ||
        { no_native="native servers come from a Debian mirror, and apt here knows none"; return 1; }
}

# Where this machine's apt fetches Debian itself from. Before its first update apt does not know
# origins yet (the field comes back as written); then the usual ending of the address decides.
debian_mirror() {
    # shellcheck disable=SC2016 # the fields are for apt to fill in
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 2>/dev/null | awk '
        $2 != "main" || $3 ~ /security/ { next }
        $1 == "Debian" || ($1 ~ /^\$/ && $3 ~ /\/debian\/?$/) { print $3; exit }'
}

install_services() {
    if ! installed; then
        mkdir -p "$cache"
        (
            flock -n 8 || { say "another install is running, waiting for it" && flock 8; }
            installed || install_locked
        ) 8>"$cache/install.lock"
    fi
    find_loader "$prefix"
}

# find_loader PREFIX: sets loader, which starts a program of the prefix with the libraries there.
find_loader() {
    local libraries
    libraries=$(compgen -G "$1/usr/lib/*-linux-gnu")
    loader=("$(compgen -G "$libraries/ld-linux-*.so.*")" --library-path "$libraries")
}

# Everything happens in a folder that gets its name when it is whole.
install_locked() {
    local partial=$cache/partial begin=$SECONDS
    trap 'rm -rf "$cache/partial"' EXIT
    rm -rf "$partial"
    mkdir -p "$partial/prefix"
    say "installing MySQL $mysql_version, Redis $redis_version, Kafka $kafka_version into $prefix"
    install_java
    fetch_packages
    unpack_packages
    fetch_kafka
    write_versions
    mv "$partial/prefix" "$prefix"
    say "installed in $((SECONDS - begin)) s, $(du -sm "$prefix" | cut -f1) MB"
}

step() { say "[$1/5] $2"; }

# quietly WHAT COMMAND...: the output matters only if it fails.
quietly() {
    local what=$1
    shift
    "$@" >"$partial/log" 2>&1 8>&- || { tail -n 20 "$partial/log" >&2; die "$what failed"; }
}

install_java() {
    local root=() packages=()
    have java || packages+=(default-jre-headless)
    have mvn || packages+=(maven)
    if [ ${#packages[@]} = 0 ]; then
        step 1 "Java and Maven: already there"
    else
        step 1 "Java and Maven: installing the missing Debian packages ${packages[*]} into the system"
        if [ "$(id -u)" != 0 ]; then
            have sudo || die "this needs root once: apt-get install ${packages[*]}"
            root=(sudo)
        fi
        "${root[@]}" apt-get update >"$partial/log" 2>&1 || true # a broken extra source need not matter
        quietly "apt-get install ${packages[*]}" "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends "${packages[@]}"
    fi
    [ "$(java_major)" -ge 17 ] || die "Kafka $kafka_version needs Java 17 or later; 'java' is $(java_major)"
}

java_major() {
    java -XshowSettings:properties -version 2>&1 |
        awk '$1 == "java.specification.version" { sub(/^1\./, "", $3); print $3 }'
}

# apt with state of its own: an empty list of installed packages makes it fetch everything that the
# servers need. Proxies and credentials stay those of the machine; its sources, pins and hooks do not.
private_apt() { apt-get -c "$partial/apt/apt.conf" -y "$@"; }

fetch_packages() {
    local apt=$partial/apt keys=/usr/share/keyrings/debian-archive-keyring.gpg signed=""
    step 2 "MySQL and Redis: fetching packages"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/status"
    [ ! -f "$keys" ] || signed="signed-by=$keys"
    echo "deb [$signed target=Packages lang=none arch=$(dpkg --print-architecture)] $(debian_mirror) sid main" \
        >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::State::Lists "$apt/lists";
Dir::State::Status "$apt/status";
Dir::State::extended_states "$apt/extended_states";
Dir::Cache "$apt/cache";
Dir::Log "$apt";
Dir::Etc::SourceList "$apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Default-Release "";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
    quietly "reading the package lists of Debian sid" private_apt update
    quietly "fetching MySQL $mysql_version and Redis $redis_version from Debian sid" \
        private_apt install --download-only "mysql-server-core=$mysql_version*" \
        "mysql-client-core=$mysql_version*" "redis-server=5:$redis_version*"
}

unpack_packages() {
    local package unwanted
    step 3 "MySQL and Redis: unpacking $(find "$partial/apt/cache/archives" -name '*.deb' | wc -l) packages"
    for package in "$partial"/apt/cache/archives/*.deb; do
        quietly "unpacking $package" dpkg-deb -x "$package" "$partial/prefix"
    done
    # Only what the two servers and their clients read stays.
    for unwanted in doc man locale info perl perl5 lintian bash-completion; do
        rm -rf "$partial/prefix/usr/share/$unwanted"
    done
    rm -rf "$partial"/prefix/usr/lib/*-linux-gnu/{perl,perl-base,gconv} "$partial/prefix/usr/lib/systemd"
    find "$partial"/prefix/usr/{bin,sbin} ! -type d ! -name mysqld ! -name mysql \
        ! -name redis-server ! -name redis-cli ! -name redis-check-rdb -delete
}

fetch_kafka() {
    step 4 "Kafka: fetching jars with Maven"
    cp "$here/services.d/kafka-pom.xml" "$partial/pom.xml"
    quietly "fetching Kafka with Maven" mvn -B -q -C -f "$partial/pom.xml" "-Dkafka.version=$kafka_version" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$partial/prefix/kafka"
}

# Starts each program once on the way: what does not run here is not installed.
write_versions() {
    local prefix=$partial/prefix mysql redis
    step 5 "checking that they run"
    find_loader "$prefix"
    mysql=$("${loader[@]}" "$prefix/usr/sbin/mysqld" --no-defaults --version |
        sed -nE 's/.* Ver ([0-9.]+).*/\1/p')
    redis=$("${loader[@]}" "$prefix/usr/bin/redis-server" --version | sed -nE 's/.* v=([0-9.]+).*/\1/p')
    [ -n "$mysql" ] || die "MySQL does not start on this machine"
    [ -n "$redis" ] || die "Redis does not start on this machine"
    [ -f "$prefix/kafka/kafka_2.13-$kafka_version.jar" ] || die "Maven brought no Kafka"
    echo "MySQL $mysql, Redis $redis, Kafka $kafka_version" >"$prefix/VERSIONS"
}
