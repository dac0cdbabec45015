//! Directories at the gate: who may list them, and what they list.
//!
//! The kernel asks for the rights when a directory is opened, by its group and mode; the daemon asks
//! again here. Where listings are logged, it does so when a directory is opened, which is what the log
//! records; where they are not, the kernel need not ask for the opening at all, and what it has in its
//! memory already costs no request.

use super::gate::{Caller, Gate};
use super::listings::Rest;
use super::{FsError, trail};
use crate::accounts::Account;
use crate::audit::Outcome;
use crate::clock::now;
use crate::rights::Action;
use crate::views::{Node, node_of};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

impl Gate {
    /// Whether directories may be opened without asking: nobody is to be told of it.
    pub fn opens_folders_unasked(&self) -> bool {
        !self.parts.listings
    }

    /// Opens the directory with number `inode` for `caller`, and logs that.
    pub fn open_folder(
        self: &Arc<Self>,
        caller: Caller,
        inode: u64,
        then: impl FnOnce(Result<(), FsError>) + Send + 'static,
    ) {
        let gate = self.clone();
        self.if_may_list(caller, inode, move |may| {
            then(may.map(|listed| {
                if let Some((account, number)) = listed {
                    gate.log_listing(caller, &account, &number);
                }
            }));
        });
    }

    /// What the directory with number `inode` lists for `caller` after the place `after`, 0 for the
    /// beginning.
    pub fn list(
        self: &Arc<Self>,
        caller: Caller,
        inode: u64,
        after: u64,
        then: impl FnOnce(Result<Rest, FsError>) + Send + 'static,
    ) {
        let gate = self.clone();
        self.if_may_list(caller, inode, move |may| {
            then(may.and_then(|_| {
                let node = node_of(inode).ok_or(FsError::NotFound)?;
                let read = || gate.fs().listing(node);
                gate.listings.after(node, after, read)
            }));
        });
    }

    /// Does `then` if `caller` may list the directory: with the account and the number, where it is of
    /// one.
    fn if_may_list(
        self: &Arc<Self>,
        caller: Caller,
        inode: u64,
        then: impl FnOnce(Result<Option<(Arc<Account>, String)>, FsError>) + Send + 'static,
    ) {
        let Some(node) = node_of(inode) else {
            return then(Err(FsError::NotFound));
        };
        match self.fs().line_of(node) {
            // What everybody may list.
            Ok(None) => then(Ok(None)),
            Ok(Some((number, readers))) => {
                let gate = self.clone();
                self.with_account(caller, move |account| {
                    then(account.and_then(|account| {
                        gate.may_list(caller, &account, &number, readers)?;
                        Ok(Some((account, number)))
                    }));
                });
            }
            Err(error) => then(Err(error)),
        }
    }

    fn may_list(
        &self,
        caller: Caller,
        account: &Account,
        number: &str,
        readers: u32,
    ) -> Result<(), FsError> {
        let may = self.parts.rights.may(account, Action::List, Some(readers));
        if let Err(denied) = may {
            let who = trail::evidence(caller, account);
            let draft = trail::list(now(), who, number, Outcome::Refused);
            self.parts.refusals.log(draft.with("reason", denied));
            return Err(denied.into());
        }
        Ok(())
    }

    fn log_listing(&self, caller: Caller, account: &Account, number: &str) {
        if self.parts.listings && self.listed.is_new(caller.uid, number, Instant::now()) {
            let who = trail::evidence(caller, account);
            self.log_later(trail::list(now(), who, number, Outcome::Done));
        }
    }

    /// A recording came in.
    pub fn count_news(&self) {
        self.listings.count_news();
    }

    /// Listings that were being read while a recording came in: the kernel must forget them once more.
    pub fn stale_listings(&self) -> HashSet<Node> {
        self.listings.take_stale()
    }
}
