//! The kernel's requests, handed to [`ArchiveFs`]: the only file that names the FUSE crate. Each
//! function translates; decisions are made elsewhere.

use super::{ArchiveFs, Attributes, Entry, FsError, Reader};
use crate::views::{Node, Tree, inode_of, node_of};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyXattr, Request, Session, SessionACL,
};
use nix::mount::{MntFlags, umount2};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;

/// How long the kernel may believe an entry and its attributes: what is shown never changes, and
/// names that are not there yet are never cached.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Threads that answer requests.
const THREADS: usize = 4;

/// What the source of the mount is called in /proc/mounts.
const SOURCE: &str = "tsuwaroku";

/// Why the file system cannot be mounted.
#[derive(Debug, Error)]
pub enum MountError {
    /// The mount point is not usable.
    #[error("{}: {error}; the mount point must be an empty directory", path.display())]
    Point {
        /// The mount point.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel refuses.
    #[error("{}: cannot mount: {error}; is the fuse module loaded, and are you root?", path.display())]
    Refused {
        /// The mount point.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

/// The mounted file system; unmounted when dropped.
#[derive(Debug)]
pub struct Mount {
    session: Option<BackgroundSession>,
    path: PathBuf,
}

impl Mount {
    /// Mounts `fs` at `path`, which is made if it is missing. What a killed daemon left there is
    /// unmounted first.
    pub fn new(fs: ArchiveFs, path: &Path) -> Result<Self, MountError> {
        let point = |error| MountError::Point {
            path: path.to_owned(),
            error,
        };
        let refused = |error| MountError::Refused {
            path: path.to_owned(),
            error,
        };
        clear_stale(path).map_err(point)?;
        std::fs::create_dir_all(path).map_err(point)?;
        if std::fs::read_dir(path).map_err(point)?.next().is_some() {
            return Err(point(io::Error::from(io::ErrorKind::DirectoryNotEmpty)));
        }
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::RO,
            MountOption::DefaultPermissions,
            MountOption::NoDev,
            MountOption::NoSuid,
            MountOption::NoExec,
            MountOption::FSName(SOURCE.into()),
        ];
        config.acl = SessionACL::All;
        config.n_threads = Some(THREADS);
        let adapter = Adapter {
            fs,
            files: Table::default(),
            folders: Table::default(),
        };
        let session = Session::new(adapter, path, &config).map_err(refused)?;
        let session = Some(session.spawn().map_err(refused)?);
        Ok(Self {
            session,
            path: path.to_owned(),
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether requests are still answered: not after somebody else has unmounted it.
    pub fn is_alive(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| !session.guard.is_finished())
    }
}

impl Drop for Mount {
    /// Takes the mount away even while files are open: their handles fail when the daemon is gone.
    fn drop(&mut self) {
        let Some(session) = self.session.take() else {
            return;
        };
        let unmounted = umount2(&self.path, MntFlags::empty())
            .or_else(|_| umount2(&self.path, MntFlags::MNT_DETACH));
        if let Err(error) = unmounted {
            log::debug!("{}: {error} at unmounting", self.path.display());
        }
        if session.guard.is_finished()
            && let Err(error) = session.join()
        {
            log::warn!("{}: {error} at the end of the mount", self.path.display());
        }
    }
}

/// Unmounts what a killed daemon left at `path`: a mount of ours whose requests nobody answers.
fn clear_stale(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path) {
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENOTCONN as i32) => {
            log::warn!("{}: unmounting what a former daemon left", path.display());
            Ok(umount2(path, MntFlags::MNT_DETACH)?)
        }
        _ => Ok(()),
    }
}

/// Handles that were given out.
struct Table<T> {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<T>>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            next: AtomicU64::new(1),
            open: Mutex::default(),
        }
    }
}

impl<T> Table<T> {
    fn add(&self, value: T) -> FileHandle {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(handle, Arc::new(value));
        FileHandle(handle)
    }

    fn get(&self, handle: FileHandle) -> Result<Arc<T>, FsError> {
        self.lock()
            .get(&handle.0)
            .cloned()
            .ok_or(FsError::BadHandle)
    }

    fn remove(&self, handle: FileHandle) {
        self.lock().remove(&handle.0);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<T>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Adapter {
    fs: ArchiveFs,
    files: Table<Reader>,
    folders: Table<Vec<Entry>>,
}

impl Adapter {
    fn stat(&self, attributes: &Attributes) -> FileAttr {
        let kind = kind(attributes.node);
        FileAttr {
            ino: INodeNo(inode_of(attributes.node)),
            size: attributes.size,
            blocks: attributes.size.div_ceil(512),
            atime: attributes.time,
            mtime: attributes.time,
            ctime: attributes.time,
            crtime: attributes.time,
            kind,
            perm: attributes.mode,
            nlink: attributes.links,
            uid: self.fs.uid(),
            gid: attributes.gid,
            rdev: 0,
            blksize: 128 * 1024,
            flags: 0,
        }
    }

    /// A listing with the two names that every directory has.
    fn listing(&self, node: Node) -> Result<Vec<Entry>, FsError> {
        let parent = match node {
            Node::Folder(folder) => folder.parent(),
            Node::Root | Node::File(_) => Node::Root,
        };
        let dots = [(".", node), ("..", parent)].map(|(name, node)| {
            Ok(Entry {
                name: name.to_owned(),
                attributes: self.fs.attributes(node)?,
            })
        });
        let mut entries = dots.into_iter().collect::<Result<Vec<_>, FsError>>()?;
        entries.extend(self.fs.list(node)?);
        Ok(entries)
    }
}

fn kind(node: Node) -> FileType {
    match node {
        Node::Root | Node::Folder(_) => FileType::Directory,
        Node::File(_) => FileType::RegularFile,
    }
}

fn node(inode: INodeNo) -> Result<Node, FsError> {
    node_of(inode.0).ok_or(FsError::NotFound)
}

/// The errno of a refusal; faults are also told to the operator.
fn errno(error: &FsError, what: &str) -> Errno {
    if error.is_fault() {
        log::error!("{what}: {error}");
    }
    Errno::from_i32(error.errno() as i32)
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Listing with attributes saves a request a file; old kernels do without.
        let _ = config.add_capabilities(InitFlags::FUSE_DO_READDIRPLUS);
        let _ = config.add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS);
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        // No name of ours is anything but UTF-8.
        let found = node(parent).and_then(|parent| {
            self.fs
                .look_up(parent, name.to_str().ok_or(FsError::NotFound)?)
        });
        match found {
            Ok(found) => reply.entry(&LIFETIME, &self.stat(&found), Generation(0)),
            Err(error) => reply.error(errno(&error, "lookup")),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match node(inode).and_then(|node| self.fs.attributes(node)) {
            Ok(found) => reply.attr(&LIFETIME, &self.stat(&found)),
            Err(error) => reply.error(errno(&error, "stat")),
        }
    }

    fn open(&self, _: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = match flags.acc_mode() {
            fuser::OpenAccMode::O_RDONLY => node(inode).and_then(|node| self.fs.open(node)),
            _ => Err(FsError::ReadOnly),
        };
        match opened {
            // The content of a recording never changes, so the page cache stays good.
            Ok(reader) => reply.opened(self.files.add(reader), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(errno(&error, "open")),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let reader = self.files.get(handle);
        match reader.and_then(|reader| Ok(reader.read(offset, size as usize)?)) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(errno(&error, "read")),
        }
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.files.remove(handle);
        reply.ok();
    }

    fn opendir(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match node(inode).and_then(|node| self.listing(node)) {
            Ok(entries) => reply.opened(self.folders.add(entries), FopenFlags::empty()),
            Err(error) => reply.error(errno(&error, "opendir")),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let entries = match self.folders.get(handle) {
            Ok(entries) => entries,
            Err(error) => return reply.error(errno(&error, "readdir")),
        };
        for (next, entry) in (1..).zip(entries.iter()).skip(offset as usize) {
            let node = entry.attributes.node;
            if reply.add(INodeNo(inode_of(node)), next, kind(node), &entry.name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let entries = match self.folders.get(handle) {
            Ok(entries) => entries,
            Err(error) => return reply.error(errno(&error, "readdir")),
        };
        for (next, entry) in (1..).zip(entries.iter()).skip(offset as usize) {
            let stat = self.stat(&entry.attributes);
            if reply.add(stat.ino, next, &entry.name, &LIFETIME, &stat, Generation(0)) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.folders.remove(handle);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        const BLOCK: u32 = 4096;
        match self.fs.totals() {
            Ok((bytes, files)) => {
                let blocks = bytes.div_ceil(u64::from(BLOCK));
                let files = files + Tree::ALL.len() as u64;
                reply.statfs(blocks, 0, 0, files, 0, BLOCK, 255, BLOCK);
            }
            Err(error) => reply.error(errno(&error, "statfs")),
        }
    }

    fn getxattr(&self, _: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let value = node(inode).and_then(|node| {
            self.fs
                .xattr(node, name.to_str().ok_or(FsError::NoAttribute)?)
        });
        match value {
            Ok(value) => reply_bytes(reply, size, &value),
            Err(error) => reply.error(errno(&error, "getxattr")),
        }
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        match node(inode) {
            Ok(node) => {
                let names = self.fs.xattrs(node).iter();
                let list: Vec<u8> = names
                    .flat_map(|name| name.bytes().chain(std::iter::once(0)))
                    .collect();
                reply_bytes(reply, size, &list);
            }
            Err(error) => reply.error(errno(&error, "listxattr")),
        }
    }
}

/// The answer to a question for an attribute: its length when asked with size 0, and ERANGE when it
/// does not fit (getxattr(2)).
fn reply_bytes(reply: ReplyXattr, size: u32, bytes: &[u8]) {
    if size == 0 {
        reply.size(bytes.len() as u32);
    } else if bytes.len() <= size as usize {
        reply.data(bytes);
    } else {
        reply.error(Errno::ERANGE);
    }
}
