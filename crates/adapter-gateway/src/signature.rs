//! How a request proves that it comes from who has the shared secret.

use std::fmt::Write;

use ring::hmac;

/// The header with the time of signing, in seconds since 1970.
pub const TIMESTAMP: &str = "x-concert-timestamp";
/// The header with the signature.
pub const SIGNATURE: &str = "x-concert-signature";

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// In seconds since 1970, as the header has it.
    pub timestamp: &'a str,
    /// Such as `POST`.
    pub method: &'a str,
    /// From the first slash behind the host on.
    pub path: &'a str,
    /// Every byte of it.
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// `v1=` and the HMAC-SHA256 of the four, with line breaks between, in hexadecimal digits.
    pub fn sign(&self, secret: &[u8]) -> String {
        let tag = self.context(secret).sign();
        tag.as_ref().iter().fold("v1=".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").ok();
            text
        })
    }

    fn context(&self, secret: &[u8]) -> hmac::Context {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
        for part in [self.timestamp, self.method, self.path] {
            context.update(part.as_bytes());
            context.update(b"\n");
        }
        context.update(self.body);
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of `docs/GATEWAY.md`, made with `openssl dgst -sha256 -hmac`.
    #[test]
    fn the_example_of_the_documentation_is_signed_so() {
        let signed = Signed {
            timestamp: "1777629600",
            method: "POST",
            path: "/v1/charges",
            body: br#"{"key":"42","userId":7,"amount":50000,"currency":"KRW","method":"CARD","detail":"tok_visa"}"#,
        };
        let signature = signed.sign(b"an example of a secret for tests");
        assert_eq!(
            signature,
            "v1=50a8216f0ea4ab37bed7a187a8576b9012531eb3019b729b4f7499a5008224b0"
        );
    }

    #[test]
    fn every_part_is_signed() {
        let signed = Signed { timestamp: "1", method: "POST", path: "/a", body: b"x" };
        let signature = signed.sign(b"secret");
        for other in [
            Signed { timestamp: "2", ..signed },
            Signed { method: "GET", ..signed },
            Signed { path: "/b", ..signed },
            Signed { body: b"y", ..signed },
        ] {
            assert_ne!(other.sign(b"secret"), signature);
        }
        assert_ne!(signed.sign(b"Secret"), signature);
    }
}
