//! Who may do what: one pure function, [`Rights::may`], asked by the file system and by the control
//! service alike. The identity is the Unix account, as the kernel tells it; what a program calls
//! itself is never asked.

use crate::accounts::Account;
use std::sync::Arc;
use thiserror::Error;
use tsuwaroku_config::Roles;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The account.
    pub account: Arc<Account>,
    /// The group of the request.
    pub gid: u32,
    /// The process; evidence only.
    pub pid: Option<u32>,
}

/// What may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See how the device is.
    Status,
    /// Search for recordings of the lines that one may list.
    Find,
    /// Compare the archive with its digests.
    Verify,
    /// See how the keys are, not the keys.
    Keys,
    /// See a line's recordings by name.
    List,
    /// Hear a line's recordings.
    Listen,
    /// Read the audit log.
    ReadLog,
    /// Check the audit log, and have its state signed.
    VerifyLog,
    /// Give the audit log a new signing key.
    RotateLogKey,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 9] = [
        Self::Status,
        Self::Find,
        Self::Verify,
        Self::Keys,
        Self::List,
        Self::Listen,
        Self::ReadLog,
        Self::VerifyLog,
        Self::RotateLogKey,
    ];

    /// The word for it in the audit log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Find => "find",
            Self::Verify => "verify",
            Self::Keys => "keys",
            Self::List => "list",
            Self::Listen => "listen",
            Self::ReadLog => "read-log",
            Self::VerifyLog => "verify-log",
            Self::RotateLogKey => "rotate-log-key",
        }
    }
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Denied {
    /// Root and the daemon's account look after the device; what was said is not theirs to hear
    /// (R5.2).
    #[error("root and the daemon's account may look after recordings, not listen to them")]
    Caretaker,
    /// The account has no role that allows it.
    #[error("the account has no role that allows it")]
    NoRole,
    /// The line's recordings are for another group.
    #[error("the account is not in the line's reader group")]
    NotAReader,
}

/// An account's roles (R9.1).
#[allow(clippy::struct_excessive_bools)] // Each is a role, and any may go with any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    administrator: bool,
    security_officer: bool,
    device_manager: bool,
    staff: bool,
}

/// The roles as configured: accounts by name, groups by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    own: u32,
    administrators: Holders,
    security_officers: Holders,
    device_managers: Holders,
    staff: Holders,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Holders {
    names: Vec<String>,
    groups: Vec<u32>,
}

impl Holders {
    fn new<E>(entries: &[String], group: &impl Fn(&str) -> Result<u32, E>) -> Result<Self, E> {
        let mut holders = Self::default();
        for entry in entries {
            match entry.strip_prefix('@') {
                Some(name) => holders.groups.push(group(name)?),
                None => holders.names.push(entry.clone()),
            }
        }
        Ok(holders)
    }

    fn include(&self, account: &Account) -> bool {
        self.names.contains(&account.name)
            || account
                .groups
                .iter()
                .any(|group| self.groups.contains(group))
    }
}

impl Rights {
    /// The rights that `roles` give; `own` is the daemon's account, `group` finds the number of a
    /// group that a role names as `@group`.
    pub fn new<E>(
        roles: &Roles,
        own: u32,
        group: impl Fn(&str) -> Result<u32, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            own,
            administrators: Holders::new(&roles.administrators, &group)?,
            security_officers: Holders::new(&roles.information_security_officers, &group)?,
            device_managers: Holders::new(&roles.device_managers, &group)?,
            staff: Holders::new(&roles.staff, &group)?,
        })
    }

    /// Whether `account` may do `action`, and if not, why not. `readers` is the reader group of the
    /// line that it concerns; an action that concerns no line is asked with none.
    pub fn may(
        &self,
        account: &Account,
        action: Action,
        readers: Option<u32>,
    ) -> Result<(), Denied> {
        let caretaker = account.uid == 0 || account.uid == self.own;
        if caretaker {
            return match action {
                Action::Listen => Err(Denied::Caretaker),
                _ => Ok(()),
            };
        }
        if !allowed(self.held_by(account), action) {
            return Err(Denied::NoRole);
        }
        match readers {
            Some(group) if !account.groups.contains(&group) => Err(Denied::NotAReader),
            _ => Ok(()),
        }
    }

    fn held_by(&self, account: &Account) -> Held {
        Held {
            administrator: self.administrators.include(account),
            security_officer: self.security_officers.include(account),
            device_manager: self.device_managers.include(account),
            staff: self.staff.include(account),
        }
    }
}

/// The table of rights (R3.2, R9.1): administrators and staff listen, the device manager runs the
/// device, the security officer reads the log; who does one of the last two listens to nothing.
fn allowed(held: Held, action: Action) -> bool {
    let runs = held.device_manager || held.administrator;
    let watches = held.security_officer;
    match action {
        Action::Status => runs || watches || held.staff,
        Action::Find | Action::List | Action::Listen => held.administrator || held.staff,
        Action::Verify | Action::Keys | Action::VerifyLog => runs || watches,
        Action::ReadLog => watches || held.administrator,
        Action::RotateLogKey => watches,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const READERS: u32 = 700;

    fn rights() -> Rights {
        let one = |name: &str| vec![name.to_owned()];
        let roles = Roles {
            administrators: one("chief"),
            information_security_officers: one("officer"),
            device_managers: one("manager"),
            staff: vec!["clerk".into(), "@centre".into()],
        };
        let group = |name: &str| {
            assert_eq!(name, "centre");
            Ok::<_, Infallible>(800)
        };
        Rights::new(&roles, 99, group).unwrap()
    }

    fn account(uid: u32, name: &str, groups: &[u32]) -> Account {
        Account {
            uid,
            name: name.into(),
            groups: groups.to_vec(),
        }
    }

    /// R5.2, R9.1: every role and every action, for a line that the account may read.
    #[test]
    fn roles_decide() {
        use Action::{Find, Keys, List, Listen, ReadLog, RotateLogKey, Status, Verify, VerifyLog};
        let all = Action::ALL.to_vec();
        let all_but_listen: Vec<_> = all.iter().copied().filter(|a| *a != Listen).collect();
        let chief = vec![Status, Find, Verify, Keys, List, Listen, ReadLog, VerifyLog];
        let officer = vec![Status, Verify, Keys, ReadLog, VerifyLog, RotateLogKey];
        let table = [
            (0, "root", all_but_listen.clone()),
            (99, "tsuwaroku", all_but_listen),
            (1, "chief", chief),
            (2, "officer", officer),
            (3, "manager", vec![Status, Verify, Keys, VerifyLog]),
            (4, "clerk", vec![Status, Find, List, Listen]),
            (5, "stranger", vec![]),
        ];
        for (uid, name, expected) in table {
            let account = account(uid, name, &[READERS]);
            let found: Vec<_> = all
                .iter()
                .copied()
                .filter(|&action| rights().may(&account, action, Some(READERS)).is_ok())
                .collect();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn a_line_is_heard_by_its_readers() {
        let rights = rights();
        let clerk = account(4, "clerk", &[100]);
        let listen = |readers| rights.may(&clerk, Action::Listen, readers);
        assert_eq!(listen(Some(READERS)), Err(Denied::NotAReader));
        assert_eq!(listen(Some(100)), Ok(()));
        let root = account(0, "root", &[READERS]);
        let refused = rights.may(&root, Action::Listen, Some(READERS));
        assert_eq!(refused, Err(Denied::Caretaker));
        assert_eq!(rights.may(&root, Action::List, Some(READERS)), Ok(()));
    }

    /// A role may be given to a group; being a reader of a line is not a role.
    #[test]
    fn a_group_holds_a_role() {
        let rights = rights();
        let member = account(6, "sato", &[READERS, 800]);
        assert_eq!(rights.may(&member, Action::Listen, Some(READERS)), Ok(()));
        let reader = account(7, "kato", &[READERS]);
        let refused = rights.may(&reader, Action::Listen, Some(READERS));
        assert_eq!(refused, Err(Denied::NoRole));
    }

    /// An account that the name service does not know is called what no role can name.
    #[test]
    fn an_unknown_account_has_no_role() {
        let unknown = Account::unknown(12345);
        for action in Action::ALL {
            assert_eq!(rights().may(&unknown, action, None), Err(Denied::NoRole));
        }
    }
}
