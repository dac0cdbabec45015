//! CRC-32C: the CRC of RFC 3720 (iSCSI), section 12.1: polynomial 1EDC6F41h, bits reflected, all bits
//! inverted before and after.
//!
//! By tables, sixteen bytes at a time, and not by the processor's instruction for it: that is faster,
//! but both are nothing beside the work on a telephone line's few kilobytes, and an emulated processor
//! does the instruction bit by bit. `format` calls it.

use crc::{CRC_32_ISCSI, Crc, Table};

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// The CRC of what has the CRC `crc`, with `bytes` behind it. Of nothing it is 0.
pub(crate) fn append(crc: u32, bytes: &[u8]) -> u32 {
    // The crate takes a state as the catalogue of CRCs writes it: before the bits are reflected.
    let mut digest = CRC.digest_with_initial((!crc).reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of RFC 3720, section B.4, whose bytes are in the order of the wire.
    #[test]
    fn the_examples_of_the_rfc() {
        let up: Vec<u8> = (0..32).collect();
        let down: Vec<u8> = (0..32).rev().collect();
        for (bytes, crc) in [
            (vec![0; 32], [0xAA, 0x36, 0x91, 0x8A]),
            (vec![0xFF; 32], [0x43, 0xAB, 0xA8, 0x62]),
            (up, [0x4E, 0x79, 0xDD, 0x46]),
            (down, [0x5C, 0xDB, 0x3F, 0x11]),
        ] {
            assert_eq!(append(0, &bytes), u32::from_le_bytes(crc), "{bytes:?}");
        }
        assert_eq!(append(0, &[]), 0);
    }

    proptest! {
        #[test]
        fn it_is_what_others_compute(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            cut: prop::sample::Index,
        ) {
            let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
            let crc = append(append(0, head), tail);
            prop_assert_eq!(crc, crc32c::crc32c(&bytes));
        }
    }
}
