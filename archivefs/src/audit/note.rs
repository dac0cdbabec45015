//! Checkpoints: the size and the root of the log, signed, in the form of the C2SP specifications
//! `signed-note` and `tlog-checkpoint` with Ed25519 (RFC 8032), which other programs read too. Made by
//! the catalogue's writer with every commit; checked by verification. Keys as values; files of keys
//! are elsewhere.

use super::{Chain, Hash};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;

/// The signature type of Ed25519 (C2SP signed-note, "Signature types").
const ED25519: u8 = 0x01;
/// What a signature line begins with: an em dash and a space (C2SP signed-note, "Format").
const DASH: &str = "— ";
/// Signatures of a note that are looked at: as many as a verifier must accept (C2SP signed-note,
/// "Format").
const MOST_SIGNATURES: usize = 16;

/// Why a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoteError {
    /// It has not the form of a checkpoint.
    #[error("it is no checkpoint: {0}")]
    Malformed(&'static str),
    /// None of its signatures is by a key that is known here.
    #[error("it is not signed by a key that is known")]
    UnknownKey,
    /// A signature that claims to be by a known key is not.
    #[error("its signature is wrong")]
    BadSignature,
    /// A text that should be a verifier key is none.
    #[error("'{0}' is no verifier key, which looks like name+0123abcd+base64")]
    BadKey(String),
    /// A name that a key cannot have.
    #[error("'{0}' cannot name a log: a name has no white space and no '+', and is not empty")]
    BadName(String),
}

/// What tells keys apart: the first four bytes of the SHA-256 of name, newline, signature type and
/// public key (C2SP signed-note, "Signatures").
fn key_id(name: &str, public: &[u8; 32]) -> [u8; 4] {
    let hash = Sha256::new_with_prefix(name)
        .chain_update([b'\n', ED25519])
        .chain_update(public)
        .finalize();
    [hash[0], hash[1], hash[2], hash[3]]
}

fn check_name(name: &str) -> Result<(), NoteError> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    if name.is_empty() || name.contains(bad) {
        return Err(NoteError::BadName(name.to_owned()));
    }
    Ok(())
}

/// The public half of a key that signs checkpoints, with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: [u8; 4],
    key: ed25519_dalek::VerifyingKey,
}

impl VerifyingKey {
    fn new(name: &str, key: ed25519_dalek::VerifyingKey) -> Self {
        Self {
            name: name.to_owned(),
            id: key_id(name, key.as_bytes()),
            key,
        }
    }

    /// The key written as `<name>+<key id, 8 hexadecimal digits>+<base64 of 0x01 and the public key>`,
    /// the form of Go's `golang.org/x/mod/sumdb/note` and of the tools of transparency logs.
    pub fn parse(vkey: &str) -> Result<Self, NoteError> {
        let bad = || NoteError::BadKey(vkey.to_owned());
        let mut parts = vkey.trim().splitn(3, '+');
        let mut part = || parts.next().ok_or_else(bad);
        let (name, id, public) = (part()?, part()?, part()?);
        check_name(name).map_err(|_| bad())?;
        let public = BASE64.decode(public).map_err(|_| bad())?;
        let [ED25519, public @ ..] = public.as_slice() else {
            return Err(bad());
        };
        let public = public.try_into().map_err(|_| bad())?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(public).map_err(|_| bad())?;
        let key = Self::new(name, key);
        (super::hex(&key.id) == id).then_some(key).ok_or_else(bad)
    }

    /// Its name, which is also the origin of what it signs.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let public = [[ED25519].as_slice(), self.key.as_bytes()].concat();
        let (id, public) = (super::hex(&self.id), BASE64.encode(public));
        write!(f, "{}+{id}+{public}", self.name)
    }
}

/// A key that signs checkpoints; wiped from memory when dropped, and never printed.
pub struct Signer {
    name: String,
    key: SigningKey,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.name)
    }
}

impl Signer {
    /// The key with this secret seed (RFC 8032, section 5.1.5), for the log called `name`, such as
    /// `tsuwaroku/01KASPWCPRTSWAR0KV00000001`: not empty, without white space, without `+`.
    pub fn new(name: &str, seed: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        let name = name.to_owned();
        let key = SigningKey::from_bytes(&seed);
        Ok(Self { name, key })
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::new(&self.name, self.key.verifying_key())
    }

    /// The public half as text, for the facts of a record and for those who verify; see
    /// [`VerifyingKey::parse`].
    pub fn vkey(&self) -> String {
        self.verifying_key().to_string()
    }

    /// The checkpoint of the log as it is: a note that ends in a newline.
    pub fn sign(&self, chain: &Chain) -> String {
        let text = format!(
            "{}\n{}\n{}\n",
            self.name,
            chain.size(),
            BASE64.encode(chain.root())
        );
        let signature = self.key.sign(text.as_bytes()).to_bytes();
        let signature = [self.verifying_key().id.as_slice(), &signature].concat();
        format!("{text}\n{DASH}{} {}\n", self.name, BASE64.encode(signature))
    }
}

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many records.
    pub size: u64,
    /// Root of the tree of that many.
    pub root: Hash,
}

impl Checkpoint {
    /// What the note `note` says, if one of `keys` signed it.
    pub fn open(note: &str, keys: &[VerifyingKey]) -> Result<Self, NoteError> {
        Note::parse(note)?.verify(keys).cloned()
    }

    /// From the lines of a note's text. Extension lines are passed over.
    fn parse(text: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        let mut lines = text.lines();
        let mut line = || lines.next().filter(|line| !line.is_empty());
        let origin = line().ok_or(malformed("it has no origin"))?.to_owned();
        let size = line()
            .and_then(decimal)
            .ok_or(malformed("it has no size"))?;
        let root = line().and_then(|line| BASE64.decode(line).ok()?.try_into().ok());
        let root = root.ok_or(malformed("it has no root"))?;
        if lines.any(str::is_empty) {
            return Err(malformed("it has an empty line"));
        }
        Ok(Self { origin, size, root })
    }
}

/// A number as ASCII digits without leading zeros (C2SP tlog-checkpoint, "Note text").
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

struct NoteSignature {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix(DASH)?.split_once(' ')?;
        check_name(name).ok()?;
        let bytes = BASE64.decode(signature).ok()?;
        let (id, signature) = bytes.split_first_chunk()?;
        Some(Self {
            name: name.to_owned(),
            id: *id,
            signature: signature.to_vec(),
        })
    }

    fn is_of(&self, key: &VerifyingKey) -> bool {
        self.name == key.name && self.id == key.id
    }
}

/// A checkpoint whose signatures were not checked yet.
pub struct Note {
    text: String,
    checkpoint: Checkpoint,
    signatures: Vec<NoteSignature>,
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Note").field(&self.checkpoint).finish()
    }
}

impl Note {
    /// Takes a note apart: text, empty line, signature lines.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(malformed("it has control characters"));
        }
        let (text, signatures) = note
            .rsplit_once("\n\n")
            .ok_or(malformed("it has no signatures"))?;
        let lines = signatures
            .strip_suffix('\n')
            .ok_or(malformed("its last line has no end"))?;
        let signatures: Option<Vec<_>> = lines
            .split('\n')
            .take(MOST_SIGNATURES)
            .map(NoteSignature::parse)
            .collect();
        let signatures = signatures.ok_or(malformed("a signature line is none"))?;
        let text = format!("{text}\n");
        Ok(Self {
            checkpoint: Checkpoint::parse(&text)?,
            text,
            signatures,
        })
    }

    /// What it says, whoever signed it.
    pub fn claim(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// What it says, if one of `keys` signed it, and if every signature that claims to be by one of
    /// them is.
    pub fn verify(&self, keys: &[VerifyingKey]) -> Result<&Checkpoint, NoteError> {
        let mut known = false;
        for signature in &self.signatures {
            for key in keys.iter().filter(|key| signature.is_of(key)) {
                self.check(signature, key)?;
                known |= key.name == self.checkpoint.origin;
            }
        }
        known
            .then_some(&self.checkpoint)
            .ok_or(NoteError::UnknownKey)
    }

    fn check(&self, signature: &NoteSignature, key: &VerifyingKey) -> Result<(), NoteError> {
        let bytes = Signature::from_slice(&signature.signature);
        let bytes = bytes.map_err(|_| NoteError::BadSignature)?;
        let verified = key.key.verify_strict(self.text.as_bytes(), &bytes);
        verified.map_err(|_| NoteError::BadSignature)
    }
}

/// The notes in a file to which notes were appended, one after the other, with or without empty lines
/// between them. What is no note comes out as text that does not parse.
pub fn notes(file: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut begin, mut at, mut signed) = (0, 0, false);
    for line in file.split_inclusive('\n') {
        let signature = line.starts_with(DASH);
        if signed && !signature {
            found.push(&file[begin..at]);
            begin = at;
        }
        at += line.len();
        if begin + line.len() == at && line == "\n" {
            begin = at;
        }
        signed = signature;
    }
    if begin < file.len() {
        found.push(&file[begin..]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Draft, Event, Outcome, hex};

    fn signer() -> Signer {
        Signer::new("example.org/log", [7; 32]).unwrap()
    }

    fn chain(records: i64) -> Chain {
        let mut chain = Chain::new();
        for at in 0..records {
            chain.append(&Draft::new(at, Event::Started, Outcome::Done), [0; 32]);
        }
        chain
    }

    /// The example of Go's package `golang.org/x/mod/sumdb/note`, which the format comes from. Its text
    /// is no checkpoint.
    #[test]
    fn a_signature_made_by_go_is_right() {
        let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key = VerifyingKey::parse(vkey).unwrap();
        assert_eq!(
            (key.to_string().as_str(), key.name()),
            (vkey, "PeterNeumann")
        );
        let line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg\
                    KvqfqdngotpRZb6KE6RyyBwJnAM=";
        let signature = NoteSignature::parse(line).unwrap();
        let note = |text: &str| Note {
            text: text.into(),
            checkpoint: Checkpoint {
                origin: "PeterNeumann".into(),
                size: 0,
                root: [0; 32],
            },
            signatures: vec![NoteSignature::parse(line).unwrap()],
        };
        assert!(signature.is_of(&key));
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        assert!(note(text).verify(std::slice::from_ref(&key)).is_ok());
        let other = note(&text.replace("don't ", ""))
            .verify(&[key])
            .unwrap_err();
        assert_eq!(other, NoteError::BadSignature);
    }

    /// RFC 8032, section 7.1, test 1.
    #[test]
    fn the_seed_makes_the_key_of_rfc_8032() {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let signer = Signer::new("log", crate::audit::hash_of_hex(seed).unwrap()).unwrap();
        assert_eq!(hex(signer.verifying_key().key.as_bytes()), public);
        assert_eq!(
            VerifyingKey::parse(&signer.vkey()),
            Ok(signer.verifying_key())
        );
        assert_eq!(
            format!("{signer:?}"),
            "Signer(log)",
            "the secret is not printed"
        );
    }

    #[test]
    fn a_checkpoint_says_size_and_root_of_the_log() {
        let (signer, chain) = (signer(), chain(11));
        let note = signer.sign(&chain);
        let root = BASE64.encode(chain.root());
        assert!(note.starts_with(&format!(
            "example.org/log\n11\n{root}\n\n— example.org/log "
        )));
        let opened = Checkpoint::open(&note, &[signer.verifying_key()]).unwrap();
        let expected = Checkpoint {
            origin: "example.org/log".into(),
            size: 11,
            root: chain.root(),
        };
        assert_eq!(opened, expected);
    }

    #[test]
    fn changed_in_any_byte_it_is_not_believed() {
        let key = [signer().verifying_key()];
        let note = signer().sign(&chain(3));
        for at in 0..note.len() {
            for bit in [1, 0x20] {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= bit;
                let changed = String::from_utf8_lossy(&bytes);
                assert!(
                    Checkpoint::open(&changed, &key).is_err(),
                    "byte {at}: {changed}"
                );
            }
        }
    }

    #[test]
    fn signatures_of_others_are_passed_over() {
        let (own, other) = (signer(), Signer::new("witness", [8; 32]).unwrap());
        let note = own.sign(&chain(3));
        let line = other
            .sign(&chain(3))
            .split_once("\n\n")
            .unwrap()
            .1
            .to_owned();
        let key = |signer: &Signer| signer.verifying_key();
        let both = format!("{note}{line}");
        assert!(Checkpoint::open(&both, &[key(&own)]).is_ok());
        assert_eq!(
            Checkpoint::open(&note, &[key(&other)]),
            Err(NoteError::UnknownKey)
        );
        assert_eq!(Checkpoint::open(&note, &[]), Err(NoteError::UnknownKey));
        // The witness signed another text than this one: who knows it refuses the whole note.
        let opened = Checkpoint::open(&both, &[key(&own), key(&other)]);
        assert_eq!(opened, Err(NoteError::BadSignature));
    }

    fn signed(text: &str) -> String {
        let signature = signer().key.sign(text.as_bytes()).to_bytes();
        let id = signer().verifying_key().id;
        let signature = BASE64.encode([id.as_slice(), &signature].concat());
        format!("{text}\n— example.org/log {signature}\n")
    }

    #[test]
    fn the_text_has_the_form_of_a_checkpoint() {
        let root = BASE64.encode([5; 32]);
        let opened = |text: &str| Checkpoint::open(&signed(text), &[signer().verifying_key()]);
        let good = format!("example.org/log\n12\n{root}\n");
        assert_eq!(opened(&good).unwrap().size, 12);
        assert!(opened(&format!("{good}an extension\n")).is_ok());
        for bad in [
            format!("example.org/log\n012\n{root}\n"),
            format!("example.org/log\n+12\n{root}\n"),
            format!("example.org/log\n12 \n{root}\n"),
            format!("example.org/log\n12\n{}\n", &root[4..]),
            format!("example.org/log\n12\n{root}\n\nan extension\n"),
            format!("\n12\n{root}\n"),
            "example.org/log\n12\n".into(),
        ] {
            let error = opened(&bad).unwrap_err();
            assert!(matches!(error, NoteError::Malformed(_)), "{bad}: {error}");
        }
        let elsewhere = format!("example.org/other\n12\n{root}\n");
        assert_eq!(
            opened(&elsewhere),
            Err(NoteError::UnknownKey),
            "another log"
        );
    }

    #[test]
    fn bad_names_and_keys_are_refused() {
        for name in ["", "a b", "a+b", "a\u{3000}b", "a\nb"] {
            assert!(Signer::new(name, [0; 32]).is_err(), "{name:?}");
        }
        let vkey = signer().vkey();
        assert!(VerifyingKey::parse(&vkey).is_ok());
        for at in 0..vkey.len() {
            let mut bytes = vkey.clone().into_bytes();
            bytes[at] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(VerifyingKey::parse(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn notes_in_one_file_are_told_apart() {
        let all: Vec<_> = (1..4).map(|size| signer().sign(&chain(size))).collect();
        assert_eq!(notes(&all.concat()), all);
        assert_eq!(notes(&all.join("\n\n")), all);
        assert_eq!(notes(""), Vec::<&str>::new());
        let torn = format!("{}{}", all[0], &all[1][..20]);
        assert_eq!(notes(&torn), [all[0].as_str(), &all[1][..20]]);
    }
}
