//! The access list that lets an attempt to write reach the daemon.
//!
//! The modes say what is true: nobody may write (0440, 0550, 0555). Checked against them by the
//! kernel, an attempt would fail there, and nobody would hear of it. So each node also has a POSIX
//! access list that lets whoever may read it write as well, as far as the kernel is concerned: the
//! request comes to the daemon, which refuses it with EROFS and logs who tried. What may be read is
//! the same by list and by mode. The owner's entry has no such bit: the kernel checks an owner by the
//! mode, and a program that copies lists (`cp -a`) should not make a writable copy more than it must.
//!
//! The bytes are those of `system.posix_acl_access` (`linux/posix_acl_xattr.h`): a version, then a tag,
//! permission bits and an id for each entry, little-endian.

/// The name of the attribute.
pub(super) const NAME: &str = "system.posix_acl_access";

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const GROUP_OBJ: u16 = 0x04;
const OTHER: u16 = 0x20;
/// The id of entries that name nobody in particular (`ACL_UNDEFINED_ID`).
const UNDEFINED: u32 = u32::MAX;
const WRITE: u16 = 0o2;

/// The list of a node with permission bits `mode`.
pub(super) fn of_mode(mode: u16) -> Vec<u8> {
    let mut list = VERSION.to_le_bytes().to_vec();
    for (tag, shift) in [(USER_OBJ, 6), (GROUP_OBJ, 3), (OTHER, 0)] {
        let bits = mode >> shift & 0o7;
        let closed = bits == 0 || tag == USER_OBJ;
        let open = if closed { bits } else { bits | WRITE };
        list.extend_from_slice(&tag.to_le_bytes());
        list.extend_from_slice(&open.to_le_bytes());
        list.extend_from_slice(&UNDEFINED.to_le_bytes());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_read_reaches_the_daemon_and_nobody_else() {
        let bits = |mode| {
            let list = of_mode(mode);
            assert_eq!(list.len(), 4 + 3 * 8);
            [6, 14, 22].map(|at| list[at])
        };
        assert_eq!(bits(0o440), [0o4, 0o6, 0]);
        assert_eq!(bits(0o550), [0o5, 0o7, 0]);
        assert_eq!(bits(0o555), [0o5, 0o7, 0o7]);
    }
}
