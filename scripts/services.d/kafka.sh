# shellcheck shell=bash
# Kafka: one node that is broker and controller (KRaft).

# kafka_config PORT CONTROLLER_PORT
kafka_config() {
    # The cleaner's buffer is 128 MB by default, half of the heap below.
    cat >"$dir/kafka/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$2
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$1,CONTROLLER://127.0.0.1:$2
advertised.listeners=PLAINTEXT://127.0.0.1:$1
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/kafka/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
log.cleaner.dedupe.buffer.size=4194304
CONF
}

kafka_java() {
    java=(java -Xmx256m -XX:+UseSerialGC -cp "$prefix/kafka/*"
        -Dorg.slf4j.simpleLogger.showDateTime=true
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX")
}

kafka_prepare() {
    local id java
    [ ! -f "$dir/kafka/data/meta.properties" ] || return 0
    rm -rf "$dir/kafka/data"
    # Its ports are not known yet, and the format does not depend on them.
    kafka_config 1 2
    kafka_java
    id=$(during_preparation "${java[@]}" kafka.tools.StorageTool random-uuid) || return 1
    during_preparation "${java[@]}" kafka.tools.StorageTool format --cluster-id "${id##*$'\n'}" \
        --config "$dir/kafka/server.properties"
}

kafka_launch() {
    local home=$dir/kafka broker java
    claim_port "$home/port"
    broker=$port
    claim_port "$home/controller-port"
    kafka_config "$broker" "$port"
    kafka_java
    launch kafka "${java[@]}" kafka.Kafka "$home/server.properties"
}

# Asks for the metadata (version 1, of no topic) in the wire's own words, which is quicker than a
# second JVM: the broker is ready when its answer lists a broker, itself.
kafka_ready() {
    local broker answer
    exec {broker}<>"/dev/tcp/127.0.0.1/$(<"$dir/kafka/port")" || return 1
    printf '\0\0\0\016\0\003\0\001\0\0\0\001\377\377\0\0\0\0' >&"$broker"
    answer=$(timeout 2 head -c 12 <&"$broker" | od -An -v -tx1 | tr -d ' \n') || answer=
    exec {broker}>&-
    # Length, correlation, number of brokers: four bytes each.
    [ "${answer:8}" = 0000000100000001 ]
}

kafka_address() { echo "127.0.0.1:$(<"$dir/kafka/port")"; }
