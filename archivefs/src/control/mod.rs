//! The control service: HTTP/JSON on a Unix socket, through which everything is asked of and told to
//! the running daemon. Who asks is the Unix account at the other end of the socket.
//!
//! * [`api`]: paths, requests and responses, the same types on both sides.
//! * [`device`]: what the daemon answers.
//! * [`log`]: what it answers about the audit log; [`keeping`]: what it does about keys and backups.
//! * [`life`]: what it does about holds, plans and erasures; [`viewer`]: who sees what of it; [`listed`]:
//!   how it is told.
//! * [`problem`]: its errors.
//! * [`service`]: the daemon's side of the socket.
//! * [`client`]: the command's side.

pub mod api;
pub mod client;
pub mod device;
mod keeping;
mod life;
mod listed;
mod log;
mod problem;
pub mod service;
mod viewer;

#[cfg(test)]
pub(crate) mod tests;
