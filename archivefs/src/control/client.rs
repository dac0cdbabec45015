//! The command's side of the control socket.

use super::api::Problem;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no answer at {}: {error}; is the daemon running? (systemctl start tsuwaroku)",
        socket.display()
    )]
    NoDaemon {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The daemon refuses, and says why.
    #[error("{}; {}", .0.detail, .0.advice)]
    Refused(Problem),
    /// What came back is no answer.
    #[error("the daemon's answer makes no sense: {0}; is it of the same version?")]
    Garbled(String),
}

/// A connection to the daemon.
pub struct Client {
    runtime: Runtime,
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon that listens at `socket`.
    pub fn new(socket: &Path) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self {
            runtime,
            socket: socket.to_owned(),
        })
    }

    /// Asks for `path` with `query`.
    pub fn get<Q: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Q,
    ) -> Result<T, ClientError> {
        let query = serde_urlencoded::to_string(query).map_err(garbled)?;
        self.runtime.block_on(async {
            let uri = format!("{path}?{query}");
            let response = self.send(Method::GET, &uri, Bytes::new()).await?;
            let body = response.into_body().collect().await.map_err(garbled)?;
            serde_json::from_slice(&body.to_bytes()).map_err(garbled)
        })
    }

    /// Sends `request` to `path`.
    pub fn post<Q: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        request: &Q,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(request).map_err(garbled)?;
        self.runtime.block_on(async {
            let response = self.send(Method::POST, path, body.into()).await?;
            let body = response.into_body().collect().await.map_err(garbled)?;
            serde_json::from_slice(&body.to_bytes()).map_err(garbled)
        })
    }

    /// Sends `request` to `path` and hands every line of the answer to `each`, until it answers
    /// `false`.
    pub fn post_lines<Q: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        request: &Q,
        each: impl FnMut(T) -> bool,
    ) -> Result<(), ClientError> {
        let body = serde_json::to_vec(request).map_err(garbled)?;
        self.runtime.block_on(async {
            let response = self.send(Method::POST, path, body.into()).await?;
            lines(response, each).await
        })
    }

    /// Asks for `path` with `query` and hands every line of the answer to `each`, until it answers
    /// `false`.
    pub fn get_lines<Q: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Q,
        each: impl FnMut(T) -> bool,
    ) -> Result<(), ClientError> {
        let query = serde_urlencoded::to_string(query).map_err(garbled)?;
        self.runtime.block_on(async {
            let uri = format!("{path}?{query}");
            let response = self.send(Method::GET, &uri, Bytes::new()).await?;
            lines(response, each).await
        })
    }

    async fn send(
        &self,
        method: Method,
        uri: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let no_daemon = |error| ClientError::NoDaemon {
            socket: self.socket.clone(),
            error,
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(no_daemon)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(garbled)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "tsuwaroku")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(garbled)?;
        let response = sender.send_request(request).await.map_err(garbled)?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(garbled)?
            .to_bytes();
        Err(serde_json::from_slice(&body).map_or_else(
            |_| ClientError::Garbled(format!("status {status}")),
            ClientError::Refused,
        ))
    }
}

async fn lines<T: DeserializeOwned>(
    response: Response<Incoming>,
    mut each: impl FnMut(T) -> bool,
) -> Result<(), ClientError> {
    let mut body = response.into_body();
    let mut pending = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(garbled)?.into_data() {
            pending.extend_from_slice(&data);
        }
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            if !each(serde_json::from_slice(&line).map_err(garbled)?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn garbled(error: impl std::fmt::Display) -> ClientError {
    ClientError::Garbled(error.to_string())
}
