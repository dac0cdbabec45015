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
    /// Seal all keys anew.
    RotateKeys,
    /// Have the master key sealed to people who keep it.
    EscrowKeys,
    /// Have the catalogue copied.
    BackUp,
    /// Keep a line's recordings from being erased.
    Hold,
    /// Ask that a hold on a line's recordings be released.
    Release,
    /// Ask that a line's recordings be erased.
    Erase,
    /// Approve what somebody else asked for, or decline it.
    Approve,
    /// Say that the wall clock is right, though the archive's own time is another.
    ConfirmClock,
    /// See holds, plans and certificates of erasure of the lines that one may list.
    Plans,
    /// See those of all lines, and what is due.
    Oversee,
    /// Have done at once what is due.
    Sweep,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 20] = [
        Self::Status,
        Self::Find,
        Self::Verify,
        Self::Keys,
        Self::List,
        Self::Listen,
        Self::ReadLog,
        Self::VerifyLog,
        Self::RotateLogKey,
        Self::RotateKeys,
        Self::EscrowKeys,
        Self::BackUp,
        Self::Hold,
        Self::Release,
        Self::Erase,
        Self::Approve,
        Self::ConfirmClock,
        Self::Plans,
        Self::Oversee,
        Self::Sweep,
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
            Self::RotateKeys => "rotate-keys",
            Self::EscrowKeys => "escrow-keys",
            Self::BackUp => "back-up",
            Self::Hold => "hold",
            Self::Release => "release-hold",
            Self::Erase => "erase",
            Self::Approve => "approve",
            Self::ConfirmClock => "confirm-clock",
            Self::Plans => "plans",
            Self::Oversee => "oversee",
            Self::Sweep => "sweep",
        }
    }

    /// Whether it is what the rules leave to a person: nobody is held to account for what root did.
    fn is_personal(self) -> bool {
        matches!(
            self,
            Self::Hold | Self::Release | Self::Erase | Self::Approve | Self::ConfirmClock
        )
    }
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Denied {
    /// Root and the daemon's account look after the device; what was said is not theirs to hear
    /// (R5.2).
    #[error("root and the daemon's account may look after recordings, not listen to them")]
    Caretaker,
    /// What becomes of recordings is decided by persons (R9.1).
    #[error("root and the daemon's account decide nothing about recordings")]
    Impersonal,
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
                action if action.is_personal() => Err(Denied::Impersonal),
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
/// device, the security officer reads the log; who does one of the last two listens to nothing. Who
/// listens may have recordings held, and ask that they be erased; that nobody approves what they asked
/// for is seen to where plans are decided.
fn allowed(held: Held, action: Action) -> bool {
    let runs = held.device_manager || held.administrator;
    let watches = held.security_officer;
    match action {
        Action::Status | Action::Plans => runs || watches || held.staff,
        Action::Find
        | Action::List
        | Action::Listen
        | Action::Hold
        | Action::Release
        | Action::Erase => held.administrator || held.staff,
        Action::Verify | Action::Keys | Action::VerifyLog | Action::Oversee => runs || watches,
        Action::ReadLog => watches || held.administrator,
        Action::RotateLogKey => watches,
        Action::RotateKeys
        | Action::EscrowKeys
        | Action::BackUp
        | Action::ConfirmClock
        | Action::Sweep => runs,
        Action::Approve => held.administrator,
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
        use Action::{
            Approve, BackUp, ConfirmClock, Erase, EscrowKeys, Find, Hold, Keys, List, Listen,
            Oversee, Plans, ReadLog, Release, RotateKeys, RotateLogKey, Status, Sweep, Verify,
            VerifyLog,
        };
        let all = Action::ALL.to_vec();
        let personal = [Listen, Hold, Release, Erase, Approve, ConfirmClock];
        let caretakers: Vec<_> = all
            .iter()
            .copied()
            .filter(|action| !personal.contains(action))
            .collect();
        let listens = [Find, List, Listen, Hold, Release, Erase, Plans];
        let runs = [RotateKeys, EscrowKeys, BackUp, ConfirmClock, Sweep];
        let watches = [Status, Verify, Keys, VerifyLog, Plans, Oversee];
        let table = [
            (0, "root", caretakers.clone()),
            (99, "tsuwaroku", caretakers),
            (
                1,
                "chief",
                [&watches[..], &listens, &runs, &[ReadLog, Approve]].concat(),
            ),
            (
                2,
                "officer",
                [&watches[..], &[ReadLog, RotateLogKey]].concat(),
            ),
            (3, "manager", [&watches[..], &runs].concat()),
            (4, "clerk", [&[Status][..], &listens].concat()),
            (5, "stranger", vec![]),
        ];
        for (uid, name, expected) in table {
            let account = account(uid, name, &[READERS]);
            for &action in &all {
                let may = rights().may(&account, action, Some(READERS)).is_ok();
                assert_eq!(may, expected.contains(&action), "{name}: {action:?}");
            }
        }
    }

    /// R9.1: what is refused to root is refused for a reason that root can act upon.
    #[test]
    fn root_decides_nothing() {
        let root = account(0, "root", &[READERS]);
        for action in [Action::Hold, Action::Erase, Action::Approve] {
            let refused = rights().may(&root, action, Some(READERS));
            assert_eq!(refused, Err(Denied::Impersonal), "{action:?}");
        }
    }

    /// R6.7: staff have erased, or held, only what they may listen to.
    #[test]
    fn a_line_is_held_and_erased_by_its_readers() {
        let clerk = account(4, "clerk", &[100]);
        for action in [Action::Hold, Action::Release, Action::Erase] {
            let refused = rights().may(&clerk, action, Some(READERS));
            assert_eq!(refused, Err(Denied::NotAReader), "{action:?}");
            assert_eq!(rights().may(&clerk, action, Some(100)), Ok(()));
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
