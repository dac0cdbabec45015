//! The kernel's requests, handed to [`ArchiveFs`]: the only file that names the FUSE crate. Each
//! function translates; decisions are made elsewhere.

use super::ioctl::Ioctl;
use super::listings::Rest;
use super::{Attributes, Caller, FsError, Gate};
use crate::views::{Node, inode_of, node_of};
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, MountOption,
    Notifier, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, Session, SessionACL, TimeOrNow, WriteFlags,
};
use nix::fcntl::OFlag;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// How long the kernel may believe an entry and its attributes: what is shown never changes, and
/// names that are not there yet are never cached.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The directory in the kernel's root that is shown as the root, see `mount`. Only the daemon's own
/// account finds it.
pub(super) const SHOWN: &str = "shown";

/// Threads that answer requests.
const THREADS: usize = 4;

/// The file system of a mount, whose requests are answered as long as this lives.
#[derive(Debug)]
pub(super) struct Served(BackgroundSession);

impl Served {
    /// Mounts what `gate` shows at `path`, and answers requests from now on.
    pub fn begin(gate: Arc<Gate>, path: &Path) -> io::Result<Self> {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::DefaultPermissions,
            MountOption::NoDev,
            MountOption::NoSuid,
            MountOption::NoExec,
            MountOption::FSName("tsuwaroku".into()),
        ];
        config.acl = SessionACL::All;
        config.n_threads = Some(THREADS);
        let adapter = Adapter {
            gate,
            no_opendir: false,
        };
        Ok(Self(Session::new(adapter, path, &config)?.spawn()?))
    }

    /// Tells the kernel what it must forget.
    pub fn announcer(&self) -> Announcer {
        Announcer(self.0.notifier())
    }

    /// Whether nobody answers any more.
    pub fn has_ended(&self) -> bool {
        self.0.guard.is_finished()
    }

    /// How it ended; to be asked when it has.
    pub fn join(self) -> io::Result<()> {
        self.0.join()
    }
}

/// Tells the kernel what it must forget. Never from a thread that answers requests: the kernel waits
/// for requests that are under way.
#[derive(Debug, Clone)]
pub struct Announcer(Notifier);

impl Announcer {
    /// Of `node` the kernel keeps nothing: neither what a directory lists, nor a byte of a file. Waits for
    /// reads of it that are under way.
    pub fn forget(&self, node: Node) {
        self.tell(node, 0);
    }

    /// `file` is there no more. What of its content the kernel has, it may keep: it asks before it opens it.
    pub fn gone(&self, file: Node) {
        self.tell(file, -1);
    }

    /// Attributes are out of date, and content from byte `from` on; none of it if that is negative
    /// (`fuse_notify_inval_inode_out` of linux/fuse.h).
    fn tell(&self, node: Node, from: i64) {
        match self.0.inval_inode(INodeNo(inode_of(node)), from, 0) {
            // What the kernel does not know needs no announcement.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => log::debug!("the kernel is not told of {node:?}: {error}"),
            Ok(()) => {}
        }
    }
}

struct Adapter {
    gate: Arc<Gate>,
    /// Whether the kernel opens directories without asking.
    no_opendir: bool,
}

/// The attributes of a node, all of which belong to `uid`.
fn stat(uid: u32, attributes: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(inode_of(attributes.node)),
        size: attributes.size,
        blocks: attributes.size.div_ceil(512),
        atime: attributes.time,
        mtime: attributes.time,
        ctime: attributes.time,
        crtime: attributes.time,
        kind: kind(attributes.node),
        perm: attributes.mode,
        nlink: attributes.links,
        uid,
        gid: attributes.gid,
        rdev: 0,
        blksize: 128 * 1024,
        flags: 0,
    }
}

impl Adapter {
    /// Refuses to change `inode`, or `name` in it.
    fn refuse(&self, request: &Request, what: &str, inode: INodeNo, name: Option<&OsStr>) -> Errno {
        let refused = self.gate.refuse(caller(request), what, inode.0, name);
        errno(&refused, what)
    }
}

fn caller(request: &Request) -> Caller {
    Caller {
        uid: request.uid(),
        gid: request.gid(),
        pid: request.pid(),
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
        // A file server may come with a node's number only.
        let _ = config.add_capabilities(InitFlags::FUSE_EXPORT_SUPPORT);
        // See `acl`: without it, attempts of ordinary accounts to write fail with EACCES in the
        // kernel, and are not logged.
        if config.add_capabilities(InitFlags::FUSE_POSIX_ACL).is_err() {
            log::warn!("this kernel refuses attempts to write by itself: they are not all logged");
        }
        // (5.1) Old kernels ask each time, and hold the daemon to it.
        self.no_opendir = self.gate.opens_folders_unasked()
            && config
                .add_capabilities(InitFlags::FUSE_NO_OPENDIR_SUPPORT)
                .is_ok();
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let fs = self.gate.fs();
        let found = if parent == INodeNo::ROOT && name == SHOWN && request.uid() == fs.uid() {
            fs.attributes(Node::Root)
        } else {
            // No name of ours is anything but UTF-8.
            let name = name.to_str().ok_or(FsError::NotFound);
            node(parent).and_then(|parent| fs.look_up(parent, name?))
        };
        match found {
            Ok(found) => reply.entry(&LIFETIME, &stat(fs.uid(), &found), Generation(0)),
            Err(error) => reply.error(errno(&error, "lookup")),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let fs = self.gate.fs();
        match node(inode).and_then(|node| fs.attributes(node)) {
            Ok(found) => reply.attr(&LIFETIME, &stat(fs.uid(), &found)),
            Err(error) => reply.error(errno(&error, "stat")),
        }
    }

    fn open(&self, request: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if flags.acc_mode() != OpenAccMode::O_RDONLY || flags.0 & OFlag::O_TRUNC.bits() != 0 {
            return reply.error(self.refuse(request, "open for writing", inode, None));
        }
        self.gate
            .open(caller(request), inode.0, |opened| match opened {
                // The content of a recording never changes, so the page cache stays good; and there is
                // nothing to flush.
                Ok(handle) => reply.opened(
                    FileHandle(handle),
                    FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH,
                ),
                Err(error) => reply.error(errno(&error, "open")),
            });
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
        self.gate
            .read(handle.0, offset, size as usize, |read| match read {
                Ok(bytes) => reply.data(&bytes),
                Err(error) => reply.error(errno(&error, "read")),
            });
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
        self.gate.release(handle.0);
        reply.ok();
    }

    fn opendir(&self, request: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if self.no_opendir {
            // The kernel remembers that, and opens directories by itself from now on.
            return reply.error(Errno::ENOSYS);
        }
        self.gate
            .open_folder(caller(request), inode.0, |opened| match opened {
                // The kernel may keep the listing: it is told when a recording comes in.
                Ok(()) => reply.opened(
                    FileHandle(0),
                    FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR,
                ),
                Err(error) => reply.error(errno(&error, "opendir")),
            });
    }

    fn readdir(&self, by: &Request, at: INodeNo, _: FileHandle, after: u64, reply: ReplyDirectory) {
        let mut reply = reply;
        let list = move |rest: Result<Rest, FsError>| match rest {
            Ok(rest) => {
                let _full = rest.iter().any(|(place, entry)| {
                    let node = entry.attributes.node;
                    reply.add(INodeNo(inode_of(node)), place, kind(node), &entry.name)
                });
                reply.ok();
            }
            Err(error) => reply.error(errno(&error, "readdir")),
        };
        self.gate.list(caller(by), at.0, after, list);
    }

    fn readdirplus(
        &self,
        request: &Request,
        inode: INodeNo,
        _: FileHandle,
        after: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let uid = self.gate.fs().uid();
        let list = move |rest: Result<Rest, FsError>| match rest {
            Ok(rest) => {
                let _full = rest.iter().any(|(place, entry)| {
                    let (stat, none) = (stat(uid, &entry.attributes), Generation(0));
                    reply.add(stat.ino, place, &entry.name, &LIFETIME, &stat, none)
                });
                reply.ok();
            }
            Err(error) => reply.error(errno(&error, "readdir")),
        };
        self.gate.list(caller(request), inode.0, after, list);
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        const BLOCK: u32 = 4096;
        match self.gate.fs().totals() {
            Ok((bytes, files)) => {
                let blocks = bytes.div_ceil(u64::from(BLOCK));
                reply.statfs(blocks, 0, 0, files, 0, BLOCK, 255, BLOCK);
            }
            Err(error) => reply.error(errno(&error, "statfs")),
        }
    }

    fn getxattr(&self, _: &Request, inode: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let name = name.to_str().ok_or(FsError::NoAttribute);
        let value = node(inode).and_then(|node| self.gate.fs().xattr(node, name?));
        match value {
            Ok(value) => reply_bytes(reply, size, &value),
            Err(error) => reply.error(errno(&error, "getxattr")),
        }
    }

    fn listxattr(&self, _: &Request, inode: INodeNo, size: u32, reply: ReplyXattr) {
        match node(inode) {
            Ok(node) => reply_bytes(reply, size, &self.gate.fs().xattr_list(node)),
            Err(error) => reply.error(errno(&error, "listxattr")),
        }
    }

    fn setattr(
        &self,
        request: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let what = match (size, mode, uid.or(gid)) {
            (Some(_), _, _) => "truncate",
            (None, Some(_), _) => "chmod",
            (None, None, Some(_)) => "chown",
            (None, None, None) => "utimens",
        };
        reply.error(self.refuse(request, what, inode, None));
    }

    fn mknod(
        &self,
        by: &Request,
        at: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: u32,
        reply: ReplyEntry,
    ) {
        reply.error(self.refuse(by, "mknod", at, Some(name)));
    }

    fn mkdir(&self, by: &Request, at: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(self.refuse(by, "mkdir", at, Some(name)));
    }

    fn unlink(&self, by: &Request, at: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse(by, "unlink", at, Some(name)));
    }

    fn rmdir(&self, by: &Request, at: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse(by, "rmdir", at, Some(name)));
    }

    fn symlink(&self, by: &Request, at: INodeNo, name: &OsStr, _: &Path, reply: ReplyEntry) {
        reply.error(self.refuse(by, "symlink", at, Some(name)));
    }

    fn rename(
        &self,
        by: &Request,
        at: INodeNo,
        name: &OsStr,
        _: INodeNo,
        _: &OsStr,
        _: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(self.refuse(by, "rename", at, Some(name)));
    }

    fn link(&self, by: &Request, inode: INodeNo, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        reply.error(self.refuse(by, "link", inode, Some(name)));
    }

    fn create(
        &self,
        by: &Request,
        at: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        reply.error(self.refuse(by, "create", at, Some(name)));
    }

    fn write(
        &self,
        by: &Request,
        at: INodeNo,
        _: FileHandle,
        _: u64,
        _: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        reply.error(self.refuse(by, "write", at, None));
    }

    fn fallocate(
        &self,
        by: &Request,
        at: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(self.refuse(by, "fallocate", at, None));
    }

    fn setxattr(
        &self,
        by: &Request,
        at: INodeNo,
        name: &OsStr,
        _: &[u8],
        _: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        reply.error(self.refuse(by, "setxattr", at, Some(name)));
    }

    fn removexattr(&self, by: &Request, at: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply.error(self.refuse(by, "removexattr", at, Some(name)));
    }

    fn ioctl(
        &self,
        by: &Request,
        at: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        command: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        match Ioctl::of(command) {
            Ioctl::Sets => reply.error(self.refuse(by, "ioctl", at, None)),
            Ioctl::Gets(bytes) => reply.ioctl(0, &vec![0; bytes]),
            Ioctl::Other => reply.error(Errno::ENOTTY),
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
