//! What the probe can call. Each function is one system call (or the two or three that it takes to
//! make it) on the paths in its arguments.

use super::raw;
use super::words::{access_of, flags_of, hexadecimal, mode_of, number};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    self, AtFlags, CWD, FallocateFlags, FileType, FlockOperation, IFlags, Mode, OFlags, RawDir,
    RenameFlags, SeekFrom, StatxFlags, Timespec, Timestamps, XattrFlags,
};
use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags};
use std::mem::MaybeUninit;

type Answer = Result<String>;
type Calling = fn(&[&str]) -> Answer;

/// The access list that a careless program might set: owner, group and others may write
/// (`linux/posix_acl_xattr.h`).
const OPEN_LIST: [u8; 28] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 4, 0, 6, 0, 255, 255, 255, 255, 32, 0, 6, 0, 255,
    255, 255, 255,
];

/// The function for the call `name`.
pub(super) fn named(name: &str) -> Option<Calling> {
    CALLS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|it| it.1)
}

/// Every call, with its arguments.
const CALLS: &[(&str, Calling)] = &[
    // PATH
    ("stat", |a| stat(a[0])),
    ("statx-born", |a| born(a[0])),
    // PATH, letters of r, w, x, or none for mere existence
    ("access", |a| done(fs::access(a[0], access_of(a[1])))),
    ("chdir", |a| {
        std::env::set_current_dir(a[0])
            .map(none)
            .map_err(|error| errno(&error))
    }),
    ("readlink", |a| done(fs::readlink(a[0], Vec::new()))),
    // PATH: the names, each behind a slash
    ("list", |a| list(a[0])),
    // PATH FLAGS: names with | between
    ("open", |a| done(open(a[0], a[1]))),
    // PATH OFFSET LENGTH: the bytes, hexadecimal
    ("read", |a| read(a[0], number(a[1]), number(a[2]) as usize)),
    ("read-path-only", |a| {
        done(pread(open(a[0], "O_PATH")?, 0, 4))
    }),
    // PATH hole|data|end OFFSET
    ("lseek", |a| lseek(a[0], a[1], number(a[2]))),
    ("mmap-private", |a| {
        map(a[0], "O_RDONLY", READ, MapFlags::PRIVATE)
    }),
    ("mmap-shared", |a| {
        map(a[0], "O_RDONLY", READ, MapFlags::SHARED)
    }),
    ("mmap-private-write", |a| {
        map(a[0], "O_RDONLY", READ_WRITE, MapFlags::PRIVATE)
    }),
    ("mmap-shared-write", |a| {
        map(a[0], "O_RDONLY", READ_WRITE, MapFlags::SHARED)
    }),
    ("mmap-exec", |a| {
        map(
            a[0],
            "O_RDONLY",
            READ.union(ProtFlags::EXEC),
            MapFlags::PRIVATE,
        )
    }),
    // PATH TARGET: how many bytes
    ("sendfile", |a| {
        copied(a, |from, to| fs::sendfile(to, from, None, MOST))
    }),
    ("copy-from", |a| {
        copied(a, |from, to| {
            fs::copy_file_range(from, None, to, None, MOST)
        })
    }),
    ("reflink-from", |a| {
        copied(a, |from, to| fs::ioctl_ficlone(to, from).map(|()| 0))
    }),
    ("splice", |a| splice(a[0])),
    // SOURCE PATH: copied into a descriptor of PATH, which is open for reading
    ("copy-to", |a| {
        let (from, to) = (open(a[0], "O_RDONLY")?, open(a[1], "O_RDONLY")?);
        done(fs::copy_file_range(&from, None, &to, None, MOST))
    }),
    ("write", |a| {
        done(rustix::io::write(open(a[0], "O_RDONLY")?, b"x"))
    }),
    ("truncate", |a| {
        let length = number(a[1]);
        nix::unistd::truncate(a[0], length as i64)
            .map(none)
            .map_err(of_nix)
    }),
    ("ftruncate", |a| {
        done(fs::ftruncate(open(a[0], "O_RDONLY")?, 0))
    }),
    ("fallocate", |a| {
        done(fs::fallocate(
            open(a[0], "O_RDONLY")?,
            FallocateFlags::empty(),
            0,
            1 << 20,
        ))
    }),
    // PATH, and for the last ones TARGET
    ("mkdir", |a| done(fs::mkdir(a[0], Mode::RWXU))),
    ("rmdir", |a| done(fs::rmdir(a[0]))),
    ("unlink", |a| done(fs::unlink(a[0]))),
    ("mknod-fifo", |a| {
        done(fs::mknodat(CWD, a[0], FileType::Fifo, Mode::RWXU, 0))
    }),
    ("mknod-file", |a| {
        done(fs::mknodat(CWD, a[0], FileType::RegularFile, Mode::RWXU, 0))
    }),
    ("mknod-device", |a| {
        done(fs::mknodat(
            CWD,
            a[0],
            FileType::CharacterDevice,
            Mode::RWXU,
            259,
        ))
    }),
    ("bind", |a| {
        std::os::unix::net::UnixListener::bind(a[0])
            .map(none)
            .map_err(|error| errno(&error))
    }),
    ("symlink", |a| done(fs::symlink("anything", a[0]))),
    ("link", |a| done(fs::link(a[0], a[1]))),
    ("rename", |a| done(fs::rename(a[0], a[1]))),
    ("rename-exchange", |a| rename(a, RenameFlags::EXCHANGE)),
    ("rename-noreplace", |a| rename(a, RenameFlags::NOREPLACE)),
    ("rename-whiteout", |a| rename(a, RenameFlags::WHITEOUT)),
    // PATH MODE, octal
    ("chmod", |a| done(fs::chmod(a[0], mode_of(a[1])))),
    ("fchmod", |a| {
        done(fs::fchmod(open(a[0], "O_RDONLY")?, mode_of(a[1])))
    }),
    // PATH UID GID, - to leave one as it is
    ("chown", |a| chown(a[0], a[1], a[2])),
    // PATH
    ("utimens-now", |a| utimens(a[0], [fs::UTIME_NOW; 2])),
    ("utimens-set", |a| utimens(a[0], [7, 7])),
    ("utimens-omit", |a| utimens(a[0], [fs::UTIME_OMIT; 2])),
    ("utimens-mixed", |a| {
        utimens(a[0], [fs::UTIME_NOW, fs::UTIME_OMIT])
    }),
    // PATH NAME [SIZE]
    ("getxattr", |a| {
        getxattr(
            a[0],
            a[1],
            a.get(2).map_or(4096, |size| number(size) as usize),
        )
    }),
    ("setxattr", |a| {
        done(fs::setxattr(a[0], a[1], b"x", XattrFlags::empty()))
    }),
    ("setxattr-create", |a| {
        done(fs::setxattr(a[0], a[1], b"x", XattrFlags::CREATE))
    }),
    ("removexattr", |a| done(fs::removexattr(a[0], a[1]))),
    // PATH [SIZE]: the names, each behind a slash
    ("listxattr", |a| {
        listxattr(a[0], a.get(1).map_or(4096, |size| number(size) as usize))
    }),
    // PATH
    ("set-access-list", |a| {
        done(fs::setxattr(
            a[0],
            "system.posix_acl_access",
            &OPEN_LIST,
            XattrFlags::empty(),
        ))
    }),
    ("set-default-list", |a| {
        done(fs::setxattr(
            a[0],
            "system.posix_acl_default",
            &OPEN_LIST,
            XattrFlags::empty(),
        ))
    }),
    ("remove-access-list", |a| {
        done(fs::removexattr(a[0], "system.posix_acl_access"))
    }),
    // PATH: the bits
    ("getflags", |a| {
        Ok(fs::ioctl_getflags(open(a[0], "O_RDONLY")?)?
            .bits()
            .to_string())
    }),
    // PATH: none or some
    ("fsgetxattr", |a| {
        let none = raw::fsgetxattr(open(a[0], "O_RDONLY")?)?
            .iter()
            .all(|byte| *byte == 0);
        Ok(if none { "none" } else { "some" }.into())
    }),
    // An ioctl of disks.
    ("block-size", |a| {
        done(fs::ioctl_blksszget(open(a[0], "O_RDONLY")?))
    }),
    ("setflags", |a| {
        done(fs::ioctl_setflags(open(a[0], "O_RDONLY")?, IFlags::NOATIME))
    }),
    ("fssetxattr", |a| {
        done(raw::fssetxattr(open(a[0], "O_RDONLY")?))
    }),
    ("fionread", |a| {
        Ok(rustix::io::ioctl_fionread(open(a[0], "O_RDONLY")?)?.to_string())
    }),
    ("flock-shared", |a| {
        flock(a[0], FlockOperation::NonBlockingLockShared)
    }),
    ("flock-exclusive", |a| {
        flock(a[0], FlockOperation::NonBlockingLockExclusive)
    }),
    ("lock-shared", |a| {
        lock(a[0], FlockOperation::NonBlockingLockShared)
    }),
    ("lock-exclusive", |a| {
        lock(a[0], FlockOperation::NonBlockingLockExclusive)
    }),
    ("fsync", |a| done(fs::fsync(open(a[0], "O_RDONLY")?))),
    ("fdatasync", |a| {
        done(fs::fdatasync(open(a[0], "O_RDONLY")?))
    }),
    ("syncfs", |a| done(fs::syncfs(open(a[0], "O_RDONLY")?))),
    ("fadvise", |a| {
        done(fs::fadvise(
            open(a[0], "O_RDONLY")?,
            0,
            None,
            fs::Advice::WillNeed,
        ))
    }),
    ("statfs", |a| statfs(a[0])),
    ("watch", |a| {
        let watch = fs::inotify::init(fs::inotify::CreateFlags::CLOEXEC)?;
        done(fs::inotify::add_watch(
            watch,
            a[0],
            fs::inotify::WatchFlags::ALL_EVENTS,
        ))
    }),
    // MOUNT PATH: file or directory
    ("open-by-handle", |a| {
        let opened = raw::open_by_handle(open(a[0], "O_RDONLY|O_DIRECTORY")?, a[1])?;
        let kind = FileType::from_raw_mode(fs::fstat(opened)?.st_mode);
        Ok(if kind.is_dir() { "directory" } else { "file" }.into())
    }),
    // PATH
    ("exec", |a| {
        std::process::Command::new(a[0])
            .status()
            .map(none)
            .map_err(|error| errno(&error))
    }),
];

const READ: ProtFlags = ProtFlags::READ;
const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);

/// More bytes than a recording of the tests has.
const MOST: usize = 1 << 24;

fn none<T>(_: T) -> String {
    String::new()
}

fn done<T>(answer: Result<T>) -> Answer {
    answer.map(none)
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::INVAL)
}

fn of_nix(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}

fn open(path: &str, flags: &str) -> Result<OwnedFd> {
    let flags = flags_of(flags) | OFlags::CLOEXEC;
    fs::open(path, flags, Mode::RUSR | Mode::WUSR)
}

fn pread(file: impl AsFd, offset: u64, length: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let got = rustix::io::pread(file, &mut bytes, offset)?;
    bytes.truncate(got);
    Ok(bytes)
}

fn read(path: &str, offset: u64, length: usize) -> Answer {
    let bytes = pread(open(path, "O_RDONLY")?, offset, length)?;
    Ok(if bytes.is_empty() {
        "end".into()
    } else {
        hexadecimal(&bytes)
    })
}

fn lseek(path: &str, whence: &str, offset: u64) -> Answer {
    let to = match whence {
        "hole" => SeekFrom::Hole(offset),
        "data" => SeekFrom::Data(offset),
        _ => SeekFrom::End(offset as i64),
    };
    Ok(fs::seek(open(path, "O_RDONLY")?, to)?.to_string())
}

fn map(path: &str, flags: &str, protection: ProtFlags, how: MapFlags) -> Answer {
    let first = raw::map(open(path, flags)?, protection, how)?;
    Ok(hexadecimal(&[first]))
}

fn copied(arguments: &[&str], copy: impl FnOnce(&OwnedFd, &OwnedFd) -> Result<usize>) -> Answer {
    let from = open(arguments[0], "O_RDONLY")?;
    let to = open(arguments[1], "O_RDWR|O_CREAT|O_TRUNC")?;
    Ok(copy(&from, &to)?.to_string())
}

fn splice(path: &str) -> Answer {
    let (out, into) = rustix::pipe::pipe()?;
    let file = open(path, "O_RDONLY")?;
    let count = rustix::pipe::splice(
        &file,
        None,
        &into,
        None,
        4,
        rustix::pipe::SpliceFlags::empty(),
    )?;
    let mut bytes = vec![0; count];
    rustix::io::read(out, &mut bytes)?;
    Ok(hexadecimal(&bytes))
}

fn rename(paths: &[&str], flags: RenameFlags) -> Answer {
    done(fs::renameat_with(CWD, paths[0], CWD, paths[1], flags))
}

fn chown(path: &str, uid: &str, gid: &str) -> Answer {
    let id = |text: &str| (text != "-").then(|| number(text) as u32);
    done(fs::chown(
        path,
        id(uid).map(fs::Uid::from_raw),
        id(gid).map(fs::Gid::from_raw),
    ))
}

fn utimens(path: &str, nanoseconds: [fs::Nsecs; 2]) -> Answer {
    let [last_access, last_modification] =
        nanoseconds.map(|tv_nsec| Timespec { tv_sec: 1, tv_nsec });
    let times = Timestamps {
        last_access,
        last_modification,
    };
    done(fs::utimensat(CWD, path, &times, AtFlags::empty()))
}

/// The value; with size 0 its length.
fn getxattr(path: &str, name: &str, size: usize) -> Answer {
    if size == 0 {
        return Ok(fs::getxattr_query(path, name)?.to_string());
    }
    let mut value = vec![0_u8; size];
    let got = fs::getxattr(path, name, &mut value[..])?;
    value.truncate(got);
    Ok(match String::from_utf8(value) {
        Ok(text) if text.chars().all(|c| c.is_ascii_graphic()) => text,
        Ok(text) => hexadecimal(text.as_bytes()),
        Err(error) => hexadecimal(error.as_bytes()),
    })
}

fn listxattr(path: &str, size: usize) -> Answer {
    if size == 0 {
        return Ok(fs::listxattr_query(path)?.to_string());
    }
    let mut list = vec![0_u8; size];
    let got = fs::listxattr(path, &mut list[..])?;
    list.truncate(got);
    let names = list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    Ok(names.fold(String::from("names:"), |text, name| {
        text + "/" + &String::from_utf8_lossy(name)
    }))
}

fn flock(path: &str, how: FlockOperation) -> Answer {
    done(fs::flock(open(path, "O_RDONLY")?, how))
}

fn lock(path: &str, how: FlockOperation) -> Answer {
    done(fs::fcntl_lock(open(path, "O_RDONLY")?, how))
}

fn list(path: &str) -> Answer {
    let folder = open(path, "O_RDONLY|O_DIRECTORY")?;
    let mut room = [MaybeUninit::uninit(); 8192];
    let mut entries = RawDir::new(&folder, &mut room);
    let mut names = String::from("names:");
    while let Some(entry) = entries.next() {
        names = names + "/" + &entry?.file_name().to_string_lossy();
    }
    Ok(names)
}

fn stat(path: &str) -> Answer {
    let stat = fs::stat(path)?;
    Ok(format!(
        "mode={:o} nlink={} uid={} gid={} size={} blocks={} ino={}",
        stat.st_mode,
        stat.st_nlink,
        stat.st_uid,
        stat.st_gid,
        stat.st_size,
        stat.st_blocks,
        stat.st_ino
    ))
}

/// Whether the kernel tells a time of birth.
fn born(path: &str) -> Answer {
    let told = fs::statx(CWD, path, AtFlags::empty(), StatxFlags::ALL)?;
    let born = told.stx_mask & StatxFlags::BTIME.bits() != 0;
    Ok(if born { "born" } else { "not told" }.into())
}

fn statfs(path: &str) -> Answer {
    let stat = fs::statvfs(path)?;
    let used = (stat.f_blocks - stat.f_bfree) * stat.f_frsize;
    Ok(format!(
        "used={used} free={} files={} free-files={} longest-name={}",
        stat.f_bavail, stat.f_files, stat.f_favail, stat.f_namemax
    ))
}
