//! The Merkle tree hash of RFC 6962, section 2.1, kept as the little that appending needs: the roots
//! of the complete subtrees that the leaves so far make. Used by `chain`, and by verification.

use super::Hash;
use sha2::{Digest, Sha256};

/// What is hashed before a leaf's entry (RFC 6962, section 2.1).
const LEAF: [u8; 1] = [0x00];
/// What is hashed before the two children of a node (RFC 6962, section 2.1).
const NODE: [u8; 1] = [0x01];

/// A tree of `size` leaves: the roots of its complete subtrees, the largest (leftmost) first. There
/// is one for each bit that is set in `size`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf whose entry is `entry`, after the others. Of order log n at worst, 1 on average.
    pub fn append(&mut self, entry: &[u8]) {
        let mut root = hash(LEAF, entry, &[]);
        for _ in 0..self.size.trailing_ones() {
            let left = self.roots.pop().expect("a root for each bit of the size");
            root = hash(NODE, &left, &root);
        }
        self.roots.push(root);
        self.size += 1;
    }

    /// The Merkle tree hash of all leaves; without leaves the SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let up = |right: Hash, left: &Hash| hash(NODE, left, &right);
        match self.roots.split_last() {
            Some((last, others)) => others.iter().rev().fold(*last, up),
            None => Sha256::digest([]).into(),
        }
    }

    /// The roots of the complete subtrees one after the other; the size is not in them.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.roots.concat()
    }

    /// The tree of `size` leaves with these roots; none if their number does not fit the size.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (roots, rest) = bytes.as_chunks::<32>();
        let fits = rest.is_empty() && roots.len() == size.count_ones() as usize;
        let roots = roots.to_vec();
        fits.then_some(Self { size, roots })
    }
}

fn hash(kind: [u8; 1], left: &[u8], right: &[u8]) -> Hash {
    let hash = Sha256::new_with_prefix(kind);
    hash.chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::hex;
    use proptest::prelude::*;

    /// Entries and the roots of their first 1 to 8, from the tests of the certificate-transparency
    /// project (`merkletree/merkle_tree_test.cc`), whose authors wrote RFC 6962.
    const ENTRIES: [&[u8]; 8] = [
        &[],
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[
            0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D,
            0x6E, 0x6F,
        ],
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    fn tree<T: AsRef<[u8]>>(entries: &[T]) -> Frontier {
        let mut tree = Frontier::new();
        for entry in entries {
            tree.append(entry.as_ref());
        }
        tree
    }

    /// The definition of RFC 6962, section 2.1, word by word.
    fn mth(entries: &[Vec<u8>]) -> Hash {
        match entries {
            [] => Sha256::digest([]).into(),
            [entry] => Sha256::digest([&[0], entry.as_slice()].concat()).into(),
            _ => {
                let half = entries.len().next_power_of_two() / 2;
                let (left, right) = (mth(&entries[..half]), mth(&entries[half..]));
                Sha256::digest([&[1], left.as_slice(), right.as_slice()].concat()).into()
            }
        }
    }

    #[test]
    fn roots_are_those_of_certificate_transparency() {
        for (size, root) in ROOTS.iter().enumerate() {
            assert_eq!(hex(&tree(&ENTRIES[..size]).root()), *root, "{size} leaves");
        }
    }

    proptest! {
        #[test]
        fn a_root_is_the_tree_hash_of_rfc_6962(
            entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..70),
        ) {
            prop_assert_eq!(tree(&entries).root(), mth(&entries));
        }

        #[test]
        fn a_tree_grows_on_from_its_bytes(size in 0..70_u64, more in 0..20_u64) {
            let entries: Vec<_> = (0..size + more).map(u64::to_le_bytes).collect();
            let before = tree(&entries[..size as usize]);
            let mut after = Frontier::from_bytes(size, &before.to_bytes()).unwrap();
            prop_assert_eq!(&after, &before);
            entries[size as usize..].iter().for_each(|entry| after.append(entry));
            prop_assert_eq!(after, tree(&entries));
        }
    }

    #[test]
    fn roots_that_do_not_fit_the_size_are_no_tree() {
        let bytes = tree(&ENTRIES[..7]).to_bytes();
        assert!(Frontier::from_bytes(7, &bytes).is_some());
        assert!(Frontier::from_bytes(8, &bytes).is_none());
        assert!(Frontier::from_bytes(7, &bytes[1..]).is_none());
        assert!(Frontier::from_bytes(0, &[]).is_some());
    }
}
