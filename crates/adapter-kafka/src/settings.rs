use std::ops::RangeInclusive;

/// How many partitions a topic may be given.
const PARTITIONS: RangeInclusive<u32> = 1..=1_000;
/// Kafka's limit for a topic's name, less what may follow the prefix.
const MAX_PREFIX_LENGTH: usize = 200;

/// Why no event log can be opened with what was configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// Not a list of addresses.
    #[error("Kafka's brokers are '{0}'; allowed is host:port, or several separated by commas")]
    Brokers(String),
    /// Not the beginning of a topic's name.
    #[error(
        "the prefix of Kafka topics is '{0}'; allowed are 1 to {MAX_PREFIX_LENGTH} letters, \
         digits, dots, underscores and hyphens"
    )]
    Prefix(String),
    /// Not a number of partitions.
    #[error("Kafka topics of {0} partitions were asked for; allowed are {low} to {high}",
        low = PARTITIONS.start(), high = PARTITIONS.end())]
    PartitionCount(u32),
    /// The topic was made with another number of partitions.
    #[error("{0}")]
    Partitions(Mismatch),
}

/// A topic that was made with another number of partitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the Kafka topic {topic} has {found} partitions and this service spreads its keys over \
     {expected}; use another topic prefix, or the number that the topic was made with"
)]
pub struct Mismatch {
    /// The topic.
    pub topic: String,
    /// What it has.
    pub found: usize,
    /// What the service uses.
    pub expected: u32,
}

/// Where the cluster is and what the topics are like.
pub(crate) struct Settings {
    pub brokers: Vec<String>,
    pub partitions: u32,
    prefix: String,
}

impl Settings {
    pub fn new(brokers: &str, prefix: &str, partitions: u32) -> Result<Self, SetupError> {
        let addresses: Vec<String> = brokers.split(',').map(|b| b.trim().to_owned()).collect();
        if !addresses.iter().all(|address| is_address(address)) {
            return Err(SetupError::Brokers(brokers.to_owned()));
        }
        if !is_prefix(prefix) {
            return Err(SetupError::Prefix(prefix.to_owned()));
        }
        if !PARTITIONS.contains(&partitions) {
            return Err(SetupError::PartitionCount(partitions));
        }
        Ok(Self { brokers: addresses, partitions, prefix: prefix.to_owned() })
    }

    pub fn full_name(&self, topic: &str) -> String {
        format!("{}.{topic}", self.prefix)
    }

    pub fn check(&self, topic: &str, found: usize) -> Result<(), Mismatch> {
        let expected = self.partitions;
        if u32::try_from(found) == Ok(expected) {
            return Ok(());
        }
        Err(Mismatch { topic: topic.to_owned(), found, expected })
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse().is_ok_and(|port: u16| port > 0)
    })
}

fn is_prefix(text: &str) -> bool {
    (1..=MAX_PREFIX_LENGTH).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_are_refused_in_a_sentence() {
        for brokers in ["", "kafka", ":9092", "a:0", "a:99999", "a:9092,", "a:9092,b"] {
            let refused = Settings::new(brokers, "concert", 8).err();
            assert_eq!(refused, Some(SetupError::Brokers(brokers.to_owned())));
        }
        let refused = |prefix, partitions| Settings::new("a:1", prefix, partitions).err();
        assert_eq!(refused("a b", 8), Some(SetupError::Prefix("a b".to_owned())));
        assert_eq!(refused("", 8), Some(SetupError::Prefix(String::new())));
        let sentence = refused("concert", 0).unwrap().to_string();
        assert_eq!(sentence, "Kafka topics of 0 partitions were asked for; allowed are 1 to 1000");
    }

    #[test]
    fn several_brokers_and_a_topic_below_the_prefix() {
        let settings = Settings::new("a:9092, [::1]:9093", "concert", 8).unwrap();
        assert_eq!(settings.brokers, ["a:9092", "[::1]:9093"]);
        assert_eq!(settings.full_name("payment.v1"), "concert.payment.v1");
        assert_eq!(settings.check("t", 8), Ok(()));
        let sentence = settings.check("t", 4).unwrap_err().to_string();
        assert!(sentence.contains("topic t has 4 partitions"), "{sentence}");
    }
}
