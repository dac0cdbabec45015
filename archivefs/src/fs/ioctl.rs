//! Which ioctls there are on the mount: those that ask for a file's flags, of which none is ever set, and
//! those that would set them. Pure; the numbers are those of linux/fs.h.

/// What a program wants with an ioctl.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ioctl {
    /// To change a file's flags.
    Sets,
    /// To know them: so many bytes, all zero. The kernel asks for this before it lets anybody set any, so
    /// without an answer an attempt to set would not come here, and not be logged.
    Gets(usize),
    /// Something else.
    Other,
}

impl Ioctl {
    /// What `command` is.
    pub fn of(command: u32) -> Self {
        match command {
            // FS_IOC_SETFLAGS, the same of 32-bit programs, FS_IOC_FSSETXATTR.
            0x4008_6602 | 0x4004_6602 | 0x401c_5820 => Self::Sets,
            // FS_IOC_GETFLAGS, the same of 32-bit programs.
            0x8008_6601 | 0x8004_6601 => Self::Gets(4),
            // FS_IOC_FSGETXATTR: a struct fsxattr.
            0x801c_581f => Self::Gets(28),
            _ => Self::Other,
        }
    }
}
