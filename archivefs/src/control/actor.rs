//! Who asks, and what they may. The identity is the Unix account at the other end of the socket, as
//! the kernel tells it; what a program calls itself is never asked.

use nix::unistd::{Gid, Uid, User};
use tsuwaroku_config::Roles;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The account.
    pub uid: u32,
    /// Its group at the time.
    pub gid: u32,
    /// The process; evidence only.
    pub pid: Option<i32>,
    /// The account's name, or its number where it has none.
    pub name: String,
}

impl Actor {
    /// The account with these credentials.
    pub fn new(uid: u32, gid: u32, pid: Option<i32>) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let name = user.map_or_else(|| format!("uid {uid}"), |user| user.name);
        Self {
            uid,
            gid: Gid::from_raw(gid).as_raw(),
            pid,
            name,
        }
    }
}

/// What may be asked of the control service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// See how the device is.
    Status,
    /// See which recordings there are.
    Find,
    /// Compare the archive with its digests.
    Verify,
    /// See how the keys are, not the keys.
    Keys,
}

/// Whether `actor` may do `action`, and if not, why not. Root and the daemon's own account (`own`)
/// may look after the device; everybody else needs a role.
pub fn may(actor: &Actor, action: Action, roles: &Roles, own: u32) -> Result<(), String> {
    if actor.uid == 0 || actor.uid == own {
        return Ok(());
    }
    let has = |accounts: &[String]| accounts.contains(&actor.name);
    let runs = has(&roles.device_managers) || has(&roles.administrators);
    let watches = has(&roles.information_security_officers);
    let allowed = match action {
        Action::Status => runs || watches || has(&roles.staff),
        Action::Find => runs || has(&roles.staff),
        Action::Verify | Action::Keys => runs || watches,
    };
    if allowed {
        Ok(())
    } else {
        Err(format!("{} has no role that allows it", actor.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R9.1: who may what, every role and action.
    #[test]
    fn roles_decide() {
        let one = |name: &str| vec![name.to_owned()];
        let roles = Roles {
            administrators: one("chief"),
            information_security_officers: one("officer"),
            device_managers: one("manager"),
            staff: one("clerk"),
        };
        let table = [
            (0, "root", [true, true, true, true]),
            (99, "tsuwaroku", [true, true, true, true]),
            (1, "chief", [true, true, true, true]),
            (2, "officer", [true, false, true, true]),
            (3, "manager", [true, true, true, true]),
            (4, "clerk", [true, true, false, false]),
            (5, "stranger", [false, false, false, false]),
        ];
        for (uid, name, expected) in table {
            let actor = Actor {
                uid,
                gid: 0,
                pid: None,
                name: name.into(),
            };
            let found = [Action::Status, Action::Find, Action::Verify, Action::Keys]
                .map(|action| may(&actor, action, &roles, 99).is_ok());
            assert_eq!(found, expected, "{name}");
        }
    }
}
