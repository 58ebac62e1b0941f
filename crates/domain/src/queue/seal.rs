use std::fmt;
use std::str::FromStr;

use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use sha2::{Digest, Sha256};

use super::{NotHex, QueueToken, SealKeys, TokenSource, read_hex, write_hex};
use crate::Result;

/// A queue token as a client holds it, written as 32 hexadecimal digits: what the store keeps the
/// place under, encrypted. It is the secret that proves a place, so its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SealedToken([u8; 16]);

impl fmt::Display for SealedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for SealedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedToken(hidden)")
    }
}

impl FromStr for SealedToken {
    type Err = NotHex;

    fn from_str(text: &str) -> std::result::Result<Self, NotHex> {
        read_hex(text).map(Self)
    }
}

/// The secret that turns what a store keeps into what a client holds.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; 16]);

impl SealKey {
    /// From the bytes that [`SealKey::as_bytes`] gave, or random ones.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// From a secret of any length. It must not be guessable: nothing here slows down who tries.
    pub fn from_secret(secret: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let mut key = [0; 16];
        key.copy_from_slice(&hash[..16]);
        Self(key)
    }

    /// The key, for a store.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(hidden)")
    }
}

/// Seals and opens queue tokens: one block of AES, a permutation of all 128-bit values. So every
/// text of the right form opens to something, nobody without the key can tell to what, and nothing
/// is compared here whose time could tell anything.
#[derive(Clone)]
pub struct Seal(Aes128);

impl Seal {
    /// With a key.
    pub fn new(key: &SealKey) -> Self {
        Self(Aes128::new(&key.0.into()))
    }

    /// With the key that all instances share.
    pub async fn shared(keys: &dyn SealKeys, tokens: &dyn TokenSource) -> Result<Self> {
        let fresh = SealKey(*tokens.fresh().as_bytes());
        Ok(Self::new(&keys.seal_key(fresh).await?))
    }

    /// What a client is given.
    pub fn seal(&self, token: &QueueToken) -> SealedToken {
        let mut block = (*token.as_bytes()).into();
        self.0.encrypt_block(&mut block);
        SealedToken(block.into())
    }

    /// What a store is asked for.
    pub fn open(&self, sealed: &SealedToken) -> QueueToken {
        let mut block = sealed.0.into();
        self.0.decrypt_block(&mut block);
        QueueToken::from_bytes(block.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_holds_is_aes_of_what_a_store_keeps() {
        // FIPS 197, appendix B.
        let key = SealKey::from_bytes(
            *b"\x2b\x7e\x15\x16\x28\xae\xd2\xa6\xab\xf7\x15\x88\x09\xcf\x4f\x3c",
        );
        let kept = *b"\x32\x43\xf6\xa8\x88\x5a\x30\x8d\x31\x31\x98\xa2\xe0\x37\x07\x34";
        let (seal, kept) = (Seal::new(&key), QueueToken::from_bytes(kept));
        let sealed = seal.seal(&kept);
        assert_eq!(sealed.to_string(), "3925841d02dc09fbdc118597196a0b32");
        assert_eq!(seal.open(&sealed), kept);
    }

    #[test]
    fn no_debug_text_gives_a_secret_away() {
        let key = SealKey::from_secret(b"a secret");
        let sealed = Seal::new(&key).seal(&QueueToken::from_bytes([7; 16]));
        assert_eq!(format!("{sealed:?} {key:?}"), "SealedToken(hidden) SealKey(hidden)");
    }
}
