//! Keys as values, and sealing with them: AES-256-GCM (NIST SP 800-38D) for everything, HKDF-SHA256
//! (RFC 5869) where a key is made from another. Pure but for [`Key::random`]; files and tables of
//! keys are elsewhere.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes that sealing adds: the authentication tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of a nonce (SP 800-38D, section 5.2.1.1: the recommended length).
pub const NONCE_BYTES: usize = 12;
/// Bytes of a wrapped key: nonce, sealed key, tag.
pub const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// What was sealed does not open: another key, other circumstances, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it does not open with this key")]
pub struct DoesNotOpen;

/// A secret of 256 bits; wiped from memory when dropped, and never printed.
#[derive(Clone)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// A new one from the system's random source.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        fill_random(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// The key of these bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes of the key, for the one file that holds the master key.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The key for one purpose, `info`, that follows from this one and `salt`.
    pub fn derive(&self, salt: &[u8], info: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        Hkdf::<Sha256>::new(Some(salt), &*self.0)
            .expand(info, &mut *bytes)
            .expect("32 bytes are fewer than the 8160 that RFC 5869 allows");
        Self(bytes)
    }

    /// `other` sealed with this key; it opens only for the same `purpose`.
    pub fn wrap(&self, other: &Self, purpose: &[u8]) -> std::io::Result<[u8; WRAPPED_BYTES]> {
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        let mut sealed = Zeroizing::new(other.0.to_vec());
        Sealer::new(self).seal(nonce, purpose, &mut sealed);
        let mut wrapped = [0; WRAPPED_BYTES];
        wrapped[..NONCE_BYTES].copy_from_slice(&nonce);
        wrapped[NONCE_BYTES..].copy_from_slice(&sealed);
        Ok(wrapped)
    }

    /// The key that was wrapped with this one for `purpose`.
    pub fn unwrap(&self, wrapped: &[u8], purpose: &[u8]) -> Result<Self, DoesNotOpen> {
        let (nonce, sealed) = wrapped.split_first_chunk().ok_or(DoesNotOpen)?;
        let mut key = Zeroizing::new(sealed.to_vec());
        Sealer::new(self).open(*nonce, purpose, &mut key)?;
        Ok(Self::from_bytes(
            key.as_slice().try_into().map_err(|_| DoesNotOpen)?,
        ))
    }

    /// Sixteen hexadecimal digits by which people tell keys apart; they say nothing of the key.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new_with_prefix(b"tsuwaroku key fingerprint").chain_update(*self.0);
        hex(&digest.finalize()[..8])
    }
}

/// Fills `bytes` from the system's random source.
pub fn fill_random(bytes: &mut [u8]) -> std::io::Result<()> {
    getrandom::fill(bytes).map_err(|error| std::io::Error::other(error.to_string()))
}

/// `bytes` in hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Seals messages with one key. The caller sees to it that no nonce is used twice with one key.
pub struct Sealer(Aes256Gcm);

impl Sealer {
    /// A sealer with this key; its key schedule is wiped when dropped.
    pub fn new(key: &Key) -> Self {
        Self(Aes256Gcm::new(&(*key.0).into()))
    }

    /// Replaces `message` by its sealed form, [`TAG_BYTES`] longer. It opens only with the same
    /// `nonce` and `context`.
    pub fn seal(&self, nonce: [u8; NONCE_BYTES], context: &[u8], message: &mut Vec<u8>) {
        self.0
            .encrypt_in_place(&Nonce::from(nonce), context, message)
            .expect("a vector grows, and no message here reaches the 64 GiB of AES-GCM");
    }

    /// Replaces a sealed message by what was sealed.
    pub fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        context: &[u8],
        message: &mut Vec<u8>,
    ) -> Result<(), DoesNotOpen> {
        self.0
            .decrypt_in_place(&Nonce::from(nonce), context, message)
            .map_err(|_| DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// Test case 16 of "The Galois/Counter Mode of Operation", which GCM was proposed with.
    #[test]
    fn sealing_is_aes_256_gcm() {
        let key = unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let nonce = unhex("cafebabefacedbaddecaf888").try_into().unwrap();
        let context = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plain = unhex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let sealed = unhex(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662\
             76fc6ece0f4e1768cddf8853bb2d551b",
        );
        let cipher = Sealer::new(&Key::from_bytes(key.try_into().unwrap()));
        let mut message = plain.clone();
        cipher.seal(nonce, &context, &mut message);
        assert_eq!(message, sealed);
        cipher.open(nonce, &context, &mut message).unwrap();
        assert_eq!(message, plain);
    }

    /// The vectors of RFC 5869 have keys of other lengths: this one was computed with Python's `hmac`.
    #[test]
    fn deriving_is_hkdf_sha256() {
        let derived = Key::from_bytes([0x0B; 32]).derive(&[1, 2, 3], b"info");
        let expected = unhex("ef21511c6d9271532cf526295035b58552f2f97cd801193906361fc9bdc7be62");
        assert_eq!(derived.expose().as_slice(), expected);
    }

    #[test]
    fn a_wrapped_key_opens_only_for_its_purpose() {
        let (outer, inner) = (Key::random().unwrap(), Key::random().unwrap());
        let wrapped = outer.wrap(&inner, b"recording 1").unwrap();
        assert_eq!(
            outer.unwrap(&wrapped, b"recording 1").unwrap().expose(),
            inner.expose()
        );
        assert!(outer.unwrap(&wrapped, b"recording 2").is_err());
        assert!(inner.unwrap(&wrapped, b"recording 1").is_err());
        assert!(outer.unwrap(&wrapped[..40], b"recording 1").is_err());
        for at in 0..WRAPPED_BYTES {
            let mut changed = wrapped;
            changed[at] ^= 1;
            assert!(outer.unwrap(&changed, b"recording 1").is_err(), "byte {at}");
        }
        assert_ne!(
            wrapped,
            outer.wrap(&inner, b"recording 1").unwrap(),
            "nonces differ"
        );
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = Key::from_bytes([0xAB; 32]);
        assert_eq!(format!("{key:?}"), "Key");
        assert!(!key.fingerprint().contains("abab"));
    }
}
