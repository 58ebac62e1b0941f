use concert_domain::queue::{QueueToken, TokenSource};

/// Queue tokens from the operating system's random generator.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct OsTokens;

impl TokenSource for OsTokens {
    fn fresh(&self) -> QueueToken {
        QueueToken::from_bytes(random())
    }
}

/// A name that no other running process has, for leases and memberships.
pub fn instance_name() -> String {
    let bytes: [u8; 8] = random();
    format!("{}-{:016x}", std::process::id(), u64::from_be_bytes(bytes))
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without random numbers a token could be guessed: better no service than that.
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the operating system gives no random numbers: {error}");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_names_differ() {
        assert_ne!(OsTokens.fresh(), OsTokens.fresh());
        assert_ne!(instance_name(), instance_name());
    }
}
