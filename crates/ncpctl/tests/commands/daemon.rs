//! A daemon of a table: each question has its answer; all questions are kept.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Serialize;

/// A question as it came.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

type Answers = BTreeMap<(String, String), (u16, Vec<u8>)>;

/// The daemon. It ends with the test's process.
pub(crate) struct Daemon {
    answers: Arc<Mutex<Answers>>,
    questions: Arc<Mutex<Vec<Question>>>,
}

impl Daemon {
    pub(crate) fn start(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("socket");
        let daemon = Self { answers: Arc::default(), questions: Arc::default() };
        let (answers, questions) = (Arc::clone(&daemon.answers), Arc::clone(&daemon.questions));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answers, questions) = (Arc::clone(&answers), Arc::clone(&questions));
                std::thread::spawn(move || serve(stream, &answers, &questions));
            }
        });
        daemon
    }

    /// Sets the JSON that answers a question; the path is compared without its query.
    pub(crate) fn answer(&self, method: &str, path: &str, status: u16, value: &impl Serialize) {
        self.answer_bytes(method, path, status, &serde_json::to_vec(value).expect("JSON"));
    }

    /// Sets the bytes that answer a question.
    pub(crate) fn answer_bytes(&self, method: &str, path: &str, status: u16, bytes: &[u8]) {
        let key = (method.to_owned(), path.to_owned());
        self.answers.lock().expect("lock").insert(key, (status, bytes.to_vec()));
    }

    /// All questions with this method and path.
    pub(crate) fn asked(&self, method: &str, path: &str) -> Vec<Question> {
        let questions = self.questions.lock().expect("lock");
        questions.iter().filter(|question| question.method == method && bare(&question.path) == path).cloned().collect()
    }
}

fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

fn serve(mut stream: UnixStream, answers: &Mutex<Answers>, questions: &Mutex<Vec<Question>>) {
    let Some(question) = read(&stream) else { return };
    let key = (question.method.clone(), bare(&question.path).to_owned());
    questions.lock().expect("lock").push(question);
    let found = answers.lock().expect("lock").get(&key).cloned();
    let (status, body) = found.unwrap_or_else(|| {
        let fault = ncp_api::ErrorCode::EndpointUnknown.with("method", &key.0).with("path", &key.1);
        (404, serde_json::to_vec(&ncp_api::Problem::from(fault)).expect("JSON"))
    });
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    // The program may have gone away; that is what some tests are about.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn read(stream: &UnixStream) -> Option<Question> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Question { method, path, headers, body })
}
