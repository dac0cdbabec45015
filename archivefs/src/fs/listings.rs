//! What directories list, asked for piece by piece and without a handle: a place in a listing is the
//! number of the node that stands there, so it stays good whatever comes in between. The last few
//! listings are kept, because a listing is asked for at least twice.
//!
//! The kernel may keep a listing after it was told to forget it, if it had asked for it before. Such
//! listings are [`stale`](Listings::take_stale), and it must be told once more.

use super::{Entry, FsError};
use crate::views::{Node, inode_of};
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Listings that are kept: more than there are threads that ask at once.
const KEPT: usize = 16;

/// The places after the two names that every directory has. All other places are inode numbers, which
/// are higher.
const DOTS: [u64; 2] = [1, 2];

/// The listings that were asked for lately.
#[derive(Debug, Default)]
pub(super) struct Listings {
    kept: Mutex<VecDeque<Kept>>,
    /// Counts the recordings that came in: what was read before the last one may be old.
    news: AtomicU64,
    stale: Mutex<HashSet<Node>>,
}

#[derive(Debug)]
struct Kept {
    node: Node,
    entries: Arc<[Entry]>,
    /// How many recordings had come in when it was read.
    news: u64,
}

/// The rest of a listing.
#[derive(Debug)]
pub struct Rest {
    entries: Arc<[Entry]>,
    from: usize,
}

impl Rest {
    /// Each entry with the place after it.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        let all = self.entries.iter().enumerate();
        all.skip(self.from)
            .map(|(index, entry)| (place(index, entry), entry))
    }
}

/// The place after entry `index` of a listing.
fn place(index: usize, entry: &Entry) -> u64 {
    let dot = DOTS.get(index).copied();
    dot.unwrap_or_else(|| inode_of(entry.attributes.node))
}

impl Listings {
    /// What `node` lists after the place `after`, 0 for the beginning; `read` reads the whole listing:
    /// the two names that every directory has, then all others in the order of their inode numbers.
    pub fn after(
        &self,
        node: Node,
        after: u64,
        read: impl FnOnce() -> Result<Vec<Entry>, FsError>,
    ) -> Result<Rest, FsError> {
        // Counted before it is read: rather once too often stale than once too seldom.
        let news = self.news.load(Ordering::SeqCst);
        let kept = self.find(node, news);
        if kept.is_none() && after != 0 {
            lock(&self.stale).insert(node);
        }
        let entries = match kept {
            Some(entries) => entries,
            None => self.keep(node, read()?.into(), news),
        };
        let all = entries.iter().enumerate();
        let from = all
            .take_while(|&(index, entry)| place(index, entry) <= after)
            .count();
        Ok(Rest { entries, from })
    }

    fn find(&self, node: Node, news: u64) -> Option<Arc<[Entry]>> {
        let kept = lock(&self.kept);
        let is = |kept: &&Kept| kept.node == node && kept.news == news;
        kept.iter().find(is).map(|kept| kept.entries.clone())
    }

    fn keep(&self, node: Node, entries: Arc<[Entry]>, news: u64) -> Arc<[Entry]> {
        let mut kept = lock(&self.kept);
        kept.retain(|kept| kept.node != node);
        kept.truncate(KEPT - 1);
        kept.push_front(Kept {
            node,
            entries: entries.clone(),
            news,
        });
        entries
    }

    /// A recording came in, or went.
    pub fn count_news(&self) {
        self.news.fetch_add(1, Ordering::SeqCst);
    }

    /// Directories that were being listed while a recording came in.
    pub fn take_stale(&self) -> HashSet<Node> {
        std::mem::take(&mut *lock(&self.stale))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Key;
    use crate::fs::Attributes;
    use std::time::UNIX_EPOCH;

    fn entry(node: Node) -> Entry {
        Entry {
            name: String::new(),
            attributes: Attributes {
                node,
                size: 0,
                time: UNIX_EPOCH,
                gid: 0,
                mode: 0,
                links: 1,
            },
        }
    }

    fn listing(keys: &[i64]) -> Vec<Entry> {
        let file = |&key: &i64| Node::File(Key::from_i64(key).unwrap());
        let dots = [Node::Root; 2].into_iter();
        dots.chain(keys.iter().map(file)).map(entry).collect()
    }

    /// Asks piece by piece, `step` entries each, while `meanwhile` happens between the pieces.
    fn pieces(
        listings: &Listings,
        step: usize,
        mut read: impl FnMut() -> Vec<Entry>,
        mut meanwhile: impl FnMut(),
    ) -> Vec<Node> {
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let rest = listings.after(Node::Root, after, || Ok(read())).unwrap();
            let piece: Vec<_> = rest.iter().take(step).collect();
            let Some(&(last, _)) = piece.last() else {
                return found;
            };
            after = last;
            found.extend(piece.iter().map(|(_, entry)| entry.attributes.node));
            meanwhile();
        }
    }

    #[test]
    fn pieces_of_any_size_are_the_whole_and_it_is_read_once() {
        for step in 1..7 {
            let listings = Listings::default();
            let mut reads = 0;
            let read = || {
                reads += 1;
                listing(&[5, 6, 70])
            };
            assert_eq!(pieces(&listings, step, read, || {}).len(), 5, "{step}");
            assert_eq!(reads, 1);
            assert!(listings.take_stale().is_empty());
        }
    }

    /// Recordings come in before and after the place: what stood there is listed once, and the kernel
    /// is told that what it may have kept is old.
    #[test]
    fn a_listing_that_grows_meanwhile_has_each_entry_once() {
        for step in 1..7 {
            let listings = Listings::default();
            let keys = std::cell::RefCell::new(vec![100, 200, 300]);
            let meanwhile = || {
                let mut keys = keys.borrow_mut();
                let (low, high) = (keys[0] - 1, keys[keys.len() - 1] + 1);
                if high < 310 {
                    keys.insert(0, low);
                    keys.push(high);
                }
                listings.count_news();
            };
            let found = pieces(&listings, step, || listing(&keys.borrow()), meanwhile);
            for key in [100, 200, 300] {
                let node = Node::File(Key::from_i64(key).unwrap());
                let times = found.iter().filter(|&&found| found == node).count();
                assert_eq!(times, 1, "{key} by {step}");
            }
            assert!(listings.take_stale().contains(&Node::Root));
        }
    }

    #[test]
    fn what_came_in_is_listed_and_few_are_kept() {
        let listings = Listings::default();
        let count = |keys: &[i64]| {
            let rest = listings.after(Node::Root, 0, || Ok(listing(keys)));
            rest.unwrap().iter().count()
        };
        assert_eq!(count(&[1]), 3);
        assert_eq!(count(&[1, 2]), 3, "nothing has come in");
        listings.count_news();
        assert_eq!(count(&[1, 2]), 4);
        for key in 1..100 {
            let node = Node::File(Key::from_i64(key).unwrap());
            listings.after(node, 0, || Ok(vec![])).unwrap();
        }
        assert_eq!(lock(&listings.kept).len(), KEPT);
    }
}
