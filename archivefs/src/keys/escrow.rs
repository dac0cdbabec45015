//! The master key in escrow: sealed to people who keep the means to open it, each of whom can do so
//! alone, in the format of age (<https://age-encryption.org/v1>), so that any program that knows it opens
//! it too. What is sealed is the line of text that the file of the master key holds.

use super::master::{master_text, parse_master};
use crate::crypto::Key;
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::x25519::{Identity, Recipient};
use age::{Decryptor, Encryptor};
use std::io::{self, Read, Write};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes that a sealed master key takes at most, with a hundred recipients.
pub const MOST_BYTES: u64 = 64 << 10;

/// Why a master key does not go into escrow, or come out.
#[derive(Debug, Error)]
pub enum EscrowError {
    /// Nobody could open it.
    #[error("there is no recipient: name those who shall keep it, with --recipient age1...")]
    NoRecipient,
    /// A word that names no recipient.
    #[error("'{0}' is no recipient: age1..., as age-keygen prints it")]
    Recipient(String),
    /// A file without an identity.
    #[error("there is no identity in it: AGE-SECRET-KEY-1..., in a file that age-keygen has made")]
    NoIdentity,
    /// It was sealed to others, or changed.
    #[error("it does not open: {0}")]
    DoesNotOpen(String),
    /// What was sealed is no master key.
    #[error("what was sealed in it is not a master key: {0}")]
    NotAMaster(&'static str),
    /// Memory cannot be written.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// `master` sealed to `recipients` (`age1…`), as armored text.
pub fn seal(master: &Key, recipients: &[String]) -> Result<String, EscrowError> {
    let parse = |word: &String| {
        let parsed: Result<Recipient, _> = word.trim().parse();
        parsed.map_err(|_| EscrowError::Recipient(word.escape_default().to_string()))
    };
    let recipients: Vec<Recipient> = recipients.iter().map(parse).collect::<Result<_, _>>()?;
    let to = recipients.iter().map(|one| one as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(to).map_err(|_| EscrowError::NoRecipient)?;
    let armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let mut out = encryptor.wrap_output(armored)?;
    out.write_all(master_text(master).as_bytes())?;
    let sealed = out.finish()?.finish()?;
    String::from_utf8(sealed).map_err(|error| EscrowError::Io(io::Error::other(error)))
}

/// The master key that is `sealed`, armored or not, opened by one of the `identities`: the text of a file
/// that age-keygen(1) has made.
pub fn open(sealed: &[u8], identities: &str) -> Result<Key, EscrowError> {
    let words = identities.lines().map(str::trim);
    let words = words.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let identities: Vec<Identity> = words.filter_map(|word| word.parse().ok()).collect();
    if identities.is_empty() {
        return Err(EscrowError::NoIdentity);
    }
    let does_not_open = |error: &dyn std::fmt::Display| EscrowError::DoesNotOpen(error.to_string());
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed))
        .map_err(|error| does_not_open(&error))?;
    let by = identities.iter().map(|one| one as &dyn age::Identity);
    let mut text = Zeroizing::new(String::new());
    decryptor
        .decrypt(by)
        .map_err(|error| does_not_open(&error))?
        .read_to_string(&mut text)
        .map_err(|error| does_not_open(&error))?;
    parse_master(&text).map_err(EscrowError::NotAMaster)
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::secrecy::ExposeSecret;

    fn person() -> (String, String) {
        let identity = Identity::generate();
        let secret = identity.to_string();
        let file = format!("# created: today\n\n{}\n", secret.expose_secret());
        (identity.to_public().to_string(), file)
    }

    #[test]
    fn each_recipient_opens_it_alone_and_nobody_else() {
        let master = Key::random().unwrap();
        let (first, second, stranger) = (person(), person(), person());
        let sealed = seal(&master, &[first.0, second.0]).unwrap();
        for identity in [&first.1, &second.1] {
            let opened = open(sealed.as_bytes(), identity).unwrap();
            assert_eq!(opened.expose(), master.expose());
        }
        let both = format!("{}{}", stranger.1, second.1);
        assert!(open(sealed.as_bytes(), &both).is_ok(), "one of many fits");
        let refused = open(sealed.as_bytes(), &stranger.1).unwrap_err();
        assert!(matches!(refused, EscrowError::DoesNotOpen(_)), "{refused}");
        assert!(!sealed.contains(&crate::crypto::hex(master.expose())));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let master = Key::random().unwrap();
        let (recipient, identity) = person();
        let none = seal(&master, &[]).unwrap_err();
        assert!(matches!(none, EscrowError::NoRecipient));
        let wrong = seal(&master, &[recipient.clone(), "age1x".into()]).unwrap_err();
        assert!(wrong.to_string().contains("'age1x'"), "{wrong}");
        let sealed = seal(&master, &[recipient]).unwrap();
        let no_identity = open(sealed.as_bytes(), "# nothing\n").unwrap_err();
        assert!(matches!(no_identity, EscrowError::NoIdentity));
        let mut changed = sealed.into_bytes();
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        assert!(open(&changed, &identity).is_err());
        let other = age::encrypt(
            &identity
                .lines()
                .last()
                .unwrap()
                .parse::<Identity>()
                .unwrap()
                .to_public(),
            b"hello",
        );
        let refused = open(&other.unwrap(), &identity).unwrap_err();
        assert!(matches!(refused, EscrowError::NotAMaster(_)), "{refused}");
    }
}
