//! The control service: HTTP/JSON on a Unix socket, through which everything is asked of and told to
//! the running daemon. Who asks is the Unix account at the other end of the socket.
//!
//! * [`api`]: paths, requests and responses, the same types on both sides.
//! * [`device`]: what the daemon answers.
//! * [`log`]: what it answers about the audit log.
//! * [`problem`]: its errors.
//! * [`service`]: the daemon's side of the socket.
//! * [`client`]: the command's side.

pub mod api;
pub mod client;
pub mod device;
mod log;
mod problem;
pub mod service;

#[cfg(test)]
pub(crate) mod tests;
