use crate::settings::Mismatch;

/// Why a call to Kafka came to nothing. Callers of the port learn only that the event log is not
/// available; this is for the operator's log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("no answer in time")]
    Late,
    #[error(transparent)]
    Client(#[from] rskafka::client::error::Error),
    #[error(transparent)]
    Partitions(#[from] Mismatch),
    #[error("topic {topic} has no partition {partition}")]
    NoPartition { topic: String, partition: u32 },
    #[error(
        "topic {topic}, partition {partition}: offset {offset} was asked for and the log ends at \
         {end}; the topic was emptied or made anew behind the consumer's back"
    )]
    BeyondEnd { topic: String, partition: u32, offset: i64, end: i64 },
}
