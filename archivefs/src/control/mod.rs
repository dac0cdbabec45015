//! The control service: HTTP/JSON on a Unix socket, through which everything is asked of and told to
//! the running daemon. Who asks is the Unix account at the other end of the socket.
//!
//! * [`api`]: paths, requests and responses, the same types on both sides.
//! * [`actor`]: who asks, and what they may.
//! * [`device`]: what the daemon answers.
//! * [`problem`]: its errors.
//! * [`service`]: the daemon's side of the socket.
//! * [`client`]: the command's side.

pub mod api;
pub mod client;
pub mod device;
mod problem;
pub mod service;
