//! The local API: HTTP/1.1 and JSON over a Unix socket, the only control surface of node and relay.
//!
//! Here are the types that travel, the paths, the registry of errors, the headers with which officers sign requests, and
//! a client. Types are the API's own: daemons convert their decisions into them, so that a journal's format and the API
//! can change apart. Requests refuse members that they do not know; readers of answers ignore them. Times are RFC 3339
//! in UTC, bytes are base64, ids and codes are the texts that people use.

pub mod attachment;
pub mod client;
pub mod directory;
pub mod feed;
pub mod forms;
pub mod health;
pub mod hub;
pub mod message;
pub mod officer;
pub mod path;
pub mod pieces;
pub mod problem;
pub mod reasons;
pub mod refusal;
pub mod registry;
pub mod release;
pub mod socket;
pub mod text;
pub mod time;
pub mod timeline;

pub use client::{Client, ClientError};
pub use problem::{PROBLEM_MEDIA_TYPE, Problem};
pub use registry::{ErrorCode, Exit, Fault};

/// Largest JSON body of a request, in bytes. Files are streamed as blobs and have a limit of their own.
pub const REQUEST_MAX: usize = 2 << 20;
/// Longest wait of a long poll, in seconds.
pub const WAIT_MAX_SECONDS: u64 = 60;
/// Most rows of one page.
pub const PAGE_MAX: usize = 500;
/// Longest path of a Unix socket: `sockaddr_un` has 108 bytes with the final zero.
pub const SOCKET_PATH_MAX: usize = 107;
/// How the text of a message is named among its parts.
pub const TEXT_PART: &str = "message.txt";
/// How the form of a message is named among its parts.
pub const FORM_PART: &str = "form.json";
