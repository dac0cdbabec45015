//! The calls that no crate offers as safe functions. Nothing here keeps a pointer or a mapping beyond
//! the call.
#![allow(unsafe_code)]

use nix::libc;
use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::CString;

/// The first byte of a mapping of `file`.
///
/// # Errors
/// It cannot be mapped so.
pub(super) fn map(file: impl AsFd, protection: ProtFlags, flags: MapFlags) -> Result<u8> {
    const LENGTH: usize = 4096;
    // SAFETY: the kernel chooses the place, so nothing of ours is mapped over. It is mapped readable,
    // the file is longer than the byte that is read, and nothing points there after munmap.
    unsafe {
        let at = mmap(std::ptr::null_mut(), LENGTH, protection, flags, file, 0)?;
        let first = at.cast::<u8>().read_volatile();
        munmap(at, LENGTH)?;
        Ok(first)
    }
}

/// `FS_IOC_FSSETXATTR` of linux/fs.h: sets nothing, as every field is 0.
///
/// # Errors
/// What the kernel answers.
pub(super) fn fssetxattr(file: impl AsFd) -> Result<()> {
    const FS_IOC_FSSETXATTR: libc::c_ulong = 0x401c_5820;
    let fsxattr = [0_u8; 28];
    // SAFETY: the kernel reads the 28 bytes of a struct fsxattr, which are there.
    checked(unsafe {
        libc::ioctl(
            file.as_fd().as_raw_fd(),
            FS_IOC_FSSETXATTR,
            fsxattr.as_ptr(),
        )
    })
    .map(drop)
}

/// The struct fsxattr that `FS_IOC_FSGETXATTR` of linux/fs.h gives.
///
/// # Errors
/// What the kernel answers.
pub(super) fn fsgetxattr(file: impl AsFd) -> Result<[u8; 28]> {
    const FS_IOC_FSGETXATTR: libc::c_ulong = 0x801c_581f;
    let mut fsxattr = [0xAA_u8; 28];
    let room = fsxattr.as_mut_ptr();
    // SAFETY: the kernel writes the 28 bytes of a struct fsxattr, for which there is room.
    checked(unsafe { libc::ioctl(file.as_fd().as_raw_fd(), FS_IOC_FSGETXATTR, room) })?;
    Ok(fsxattr)
}

/// Room for a struct `file_handle`: its head of two 32-bit numbers, and `MAX_HANDLE_SZ` bytes.
#[repr(C, align(8))]
struct Handle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    body: [u8; libc::MAX_HANDLE_SZ as usize],
}

/// The file `path`, opened for reading by its handle in the file system that `mount` is in.
///
/// # Errors
/// It has no handle, or cannot be opened by it.
pub(super) fn open_by_handle(mount: impl AsFd, path: &str) -> Result<OwnedFd> {
    let path = CString::new(path).map_err(|_| Errno::INVAL)?;
    let mut handle = Handle {
        bytes: libc::MAX_HANDLE_SZ as libc::c_uint,
        kind: 0,
        body: [0; libc::MAX_HANDLE_SZ as usize],
    };
    let at: *mut Handle = &raw mut handle;
    let mut mount_id = 0;
    // SAFETY: `handle` has the layout of a struct file_handle with room for as many bytes as it says,
    // and outlives both calls; the descriptor is new, and nobody else's.
    unsafe {
        checked(libc::name_to_handle_at(
            libc::AT_FDCWD,
            path.as_ptr(),
            at.cast(),
            &raw mut mount_id,
            0,
        ))?;
        let mount = mount.as_fd().as_raw_fd();
        let opened = checked(libc::open_by_handle_at(mount, at.cast(), libc::O_RDONLY))?;
        Ok(OwnedFd::from_raw_fd(opened))
    }
}

fn checked(answer: libc::c_int) -> Result<libc::c_int> {
    if answer < 0 {
        let error = nix::errno::Errno::last_raw();
        return Err(Errno::from_raw_os_error(error));
    }
    Ok(answer)
}
