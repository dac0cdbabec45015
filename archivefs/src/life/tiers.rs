//! Finding a tier at start: the store at its root if it is this archive's, and otherwise why not, in words
//! that name what should be mounted. Whether the daemon can do without it is the caller's business: not
//! without the primary tier, and without the secondary one recordings stay in the primary.

use crate::store::{Store, StoreError};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use ulid::Ulid;

/// A tier that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTier {
    /// What is wrong, and what to do.
    pub reason: String,
}

/// Opens the store of `archive` at `root`. `fstab` is the text of `/etc/fstab` (fstab(5)), where it is
/// looked up which file system belongs there.
pub fn open(root: &Path, archive: Ulid, fstab: &str) -> Result<Store, MissingTier> {
    Store::open(root, archive).map_err(|error| MissingTier {
        reason: advice(root, &error, fstab),
    })
}

fn advice(root: &Path, error: &StoreError, fstab: &str) -> String {
    let point = mount_point(root, fstab);
    let unit = unit_of(&point);
    format!(
        "{error}; its mount point is {}: systemctl start '{unit}'",
        point.display()
    )
}

/// The mount point that holds `root` by `fstab`: the longest that is not the root of all; where none is
/// named, `root` itself.
pub fn mount_point(root: &Path, fstab: &str) -> PathBuf {
    let points = fstab
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(|point| PathBuf::from(point.replace("\\040", " ")));
    let above = points.filter(|point| point != Path::new("/") && root.starts_with(point));
    above
        .max_by_key(|point| point.components().count())
        .unwrap_or_else(|| root.to_owned())
}

/// The name of the systemd unit that mounts `point`, as `systemd-escape --path --suffix=mount` gives it
/// (systemd.unit(5), "String escaping for inclusion in unit names").
pub fn unit_of(point: &Path) -> String {
    let text = point.to_string_lossy();
    let parts: Vec<_> = text.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return "-.mount".into();
    }
    let mut unit = String::new();
    for (at, byte) in parts.join("/").bytes().enumerate() {
        match byte {
            b'/' => unit.push('-'),
            b'.' if at == 0 => unit.push_str("\\x2e"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'_' | b'.' => unit.push(byte.into()),
            _ => {
                let _ = write!(unit, "\\x{byte:02x}");
            }
        }
    }
    unit + ".mount"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `systemd-escape --path --suffix=mount` of systemd 252 gives.
    #[test]
    fn a_mount_unit_is_named_as_systemd_names_it() {
        let table = [
            ("/", "-.mount"),
            ("/mnt/secondary", "mnt-secondary.mount"),
            ("/mnt/second-ary/", "mnt-second\\x2dary.mount"),
            ("/.hidden/a b", "\\x2ehidden-a\\x20b.mount"),
            ("//srv//録音", "srv-\\xe9\\x8c\\xb2\\xe9\\x9f\\xb3.mount"),
        ];
        for (path, unit) in table {
            assert_eq!(unit_of(Path::new(path)), unit, "{path}");
        }
    }

    #[test]
    fn the_mount_point_is_the_nearest_one_in_fstab() {
        let fstab = "# /mnt/second comment\n/dev/sda1 / ext4 defaults 0 1\n\
            /dev/sdb1 /mnt ext4 defaults 0 2\n/dev/sdc1\t/mnt/second\\040disk xfs noauto 0 2\n";
        let point = |root: &str| mount_point(Path::new(root), fstab);
        assert_eq!(
            point("/mnt/second disk/tsuwaroku"),
            Path::new("/mnt/second disk")
        );
        assert_eq!(point("/mnt/other"), Path::new("/mnt"));
        assert_eq!(point("/srv/second"), Path::new("/srv/second"));
    }

    /// R6.2: an empty mount point is told from the disk that belongs there, and another archive's disk too.
    #[test]
    fn a_missing_tier_says_what_to_mount() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, other) = (Ulid::from_parts(1, 1), Ulid::from_parts(2, 2));
        let missing = open(folder.path(), ours, "").unwrap_err().reason;
        let unit = unit_of(folder.path());
        assert!(
            missing.contains(&unit) && missing.contains("mounted"),
            "{missing}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        Store::init(folder.path(), other, "secondary").unwrap();
        let wrong = open(folder.path(), ours, "").unwrap_err().reason;
        assert!(wrong.contains(&other.to_string()), "{wrong}");
        assert!(open(folder.path(), other, "").is_ok());
    }
}
