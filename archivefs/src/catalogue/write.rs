//! The single writer: one thread and one connection through which every change goes, and whose
//! callers are answered after their change is durable. Changes that wait together are committed
//! together, so that many callers share one fsync. What a change does is said in `change`.

use super::CatalogueError;
use super::change::{Answer, Change, Outcome};
use super::log::Log;
use crate::audit::Outcome as How;
use rusqlite::{Connection, TransactionBehavior};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a record that nobody waits for may wait for others.
const DEFERRAL: Duration = Duration::from_millis(200);
/// How long the writer rests after a commit of such records has failed.
const RETRY: Duration = Duration::from_secs(1);
/// Records that nobody waits for and that cannot be written: of more, refusals are not kept.
const MOST_DEFERRED: usize = 100_000;

/// Answers of one commit that the writer gives itself: a thread that must be woken for one costs whoever
/// waits more than the writer, which has nothing else to do then.
const FEW: usize = 2;

/// Changes in one commit at most: more would make the first of them wait without need.
const MOST_IN_A_COMMIT: usize = 256;

/// What is done with an outcome.
type Then = Box<dyn FnOnce(Outcome) + Send>;

/// An outcome, and what is to be done with it.
type Answered = (Then, Outcome);

/// Who hears of it when a change is durable, or is not to be.
enum Reply {
    /// A thread that waits.
    Waiting(SyncSender<Outcome>),
    /// What shall be done then, on the thread that answers.
    Then(Then),
    /// Nobody: the change is kept until it is durable.
    Nobody,
}

struct Request {
    /// When it was asked for, nanoseconds since 1970.
    at: i64,
    change: Change,
    reply: Reply,
}

impl Request {
    fn can_wait(&self) -> bool {
        matches!(self.reply, Reply::Nobody)
    }

    /// Refusals, when there are more than can be kept: nothing was done.
    fn may_be_lost(&self) -> bool {
        self.can_wait()
            && matches!(&self.change, Change::Log(draft) if draft.result == How::Refused)
    }
}

/// The writer's threads.
#[derive(Debug)]
pub(super) struct Writer {
    requests: Option<Sender<Request>>,
    threads: Vec<JoinHandle<()>>,
    unwritten: Unwritten,
}

/// Why the last commit failed, if it did.
type Unwritten = Arc<Mutex<Option<String>>>;

/// Without what is hidden in a record: this is printed where nothing can be erased.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.change {
            Change::Log(draft) => write!(
                f,
                "{} {} of {:?} by {:?}, {:?}",
                draft.event.word(),
                draft.result.word(),
                draft.recording,
                draft.actor,
                draft.facts
            ),
            change => std::mem::discriminant(change).fmt(f),
        }
    }
}

impl Writer {
    pub fn start(connection: Connection, log: Log) -> std::io::Result<Self> {
        let (requests, waiting) = channel();
        let (answers, given) = channel::<Answered>();
        let unwritten = Unwritten::default();
        let run = Run {
            connection,
            log,
            queue: VecDeque::new(),
            unwritten: unwritten.clone(),
            answers,
        };
        let builder = || std::thread::Builder::new();
        let writer = builder()
            .name("catalogue".into())
            .spawn(move || run.serve(&waiting))?;
        // Apart from the writer, which can commit the next batch meanwhile.
        let answerer = builder().name("answers".into()).spawn(move || {
            given.into_iter().for_each(give);
        })?;
        Ok(Self {
            requests: Some(requests),
            threads: vec![writer, answerer],
            unwritten,
        })
    }

    /// Makes `change` durable.
    pub fn apply(&self, at: i64, change: Change) -> Outcome {
        let (reply, answer) = sync_channel(1);
        self.send(at, change, Reply::Waiting(reply))?;
        answer.recv().map_err(|_| CatalogueError::Closed)?
    }

    /// Makes `change` durable, and does `then`; also when it cannot.
    pub fn apply_then(&self, at: i64, change: Change, then: impl FnOnce(Outcome) + Send + 'static) {
        let request = Request {
            at,
            change,
            reply: Reply::Then(Box::new(then)),
        };
        let unsent = match &self.requests {
            Some(requests) => requests.send(request).err().map(|error| error.0),
            None => Some(request),
        };
        if let Some(Request {
            reply: Reply::Then(then),
            ..
        }) = unsent
        {
            then(Err(CatalogueError::Closed));
        }
    }

    /// Makes `change` durable soon.
    pub fn apply_later(&self, at: i64, change: Change) {
        if self.send(at, change, Reply::Nobody).is_err() {
            log::error!("the catalogue is closed: a record of the log is lost");
        }
    }

    /// Why the last commit failed, if it did.
    pub fn unwritten(&self) -> Option<String> {
        let unwritten = self.unwritten.lock();
        unwritten.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether changes are still made: not after a fault of the program.
    pub fn is_alive(&self) -> bool {
        !self.threads.iter().any(JoinHandle::is_finished)
    }

    fn send(&self, at: i64, change: Change, reply: Reply) -> Result<(), CatalogueError> {
        let requests = self.requests.as_ref().ok_or(CatalogueError::Closed)?;
        requests
            .send(Request { at, change, reply })
            .map_err(|_| CatalogueError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.requests.take());
        for thread in self.threads.drain(..) {
            // The last owner may be an answer itself.
            if thread.thread().id() == std::thread::current().id() {
                continue;
            }
            if thread.join().is_err() {
                log::error!("the catalogue's writer had stopped by a fault");
            }
        }
    }
}

/// The writer's thread.
struct Run {
    connection: Connection,
    log: Log,
    /// What is not durable yet, in the order in which it was asked for.
    queue: VecDeque<Request>,
    answers: Sender<Answered>,
    unwritten: Unwritten,
}

impl Run {
    fn serve(mut self, waiting: &Receiver<Request>) {
        // When the queue is to be committed though nobody waits for it.
        let mut due: Option<Instant> = None;
        loop {
            match next(waiting, due) {
                Ok(first) => self.gather(first, waiting),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            let now = Instant::now();
            let urgent = !self.queue.iter().all(Request::can_wait);
            let mut rest = DEFERRAL;
            if (urgent || due.is_some_and(|due| due <= now)) && !self.commit() {
                (due, rest) = (None, RETRY);
            }
            due = match (self.queue.is_empty(), due) {
                (true, _) => None,
                (false, Some(due)) if due > now => Some(due),
                (false, _) => Some(now + rest),
            };
        }
    }

    fn gather(&mut self, first: Request, waiting: &Receiver<Request>) {
        self.queue.push_back(first);
        self.queue
            .extend(waiting.try_iter().take(MOST_IN_A_COMMIT - 1));
        while self.queue.len() > MOST_DEFERRED
            && let Some(oldest) = self.queue.iter().position(Request::may_be_lost)
            && let Some(lost) = self.queue.remove(oldest)
        {
            log::error!("ALARM: the log cannot be written, and this is lost: {lost:?}");
        }
    }

    fn finish(&mut self) {
        if !self.queue.is_empty() && !self.commit() {
            for lost in &self.queue {
                log::error!("ALARM: the log cannot be written, and this is lost: {lost:?}");
            }
        }
    }

    /// One transaction for the queue, and only then the answers. A change that fails takes nobody with
    /// it; a commit that fails takes all but those that can wait, which stay.
    fn commit(&mut self) -> bool {
        let before = self.log.clone();
        let outcomes = in_one_transaction(&mut self.connection, &mut self.log, &self.queue);
        let failure = outcomes.as_ref().err().map(ToString::to_string);
        if let Some(failure) = &failure {
            log::error!("the catalogue cannot be written: {failure}");
            self.log = before;
        }
        let mut unwritten = self
            .unwritten
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        unwritten.clone_from(&failure);
        drop(unwritten);
        let mut outcomes = outcomes.unwrap_or_default().into_iter();
        let queue = std::mem::take(&mut self.queue);
        let answers = queue.iter().filter(|request| !request.can_wait()).count();
        for request in queue {
            match (request.can_wait(), &failure) {
                (true, Some(_)) => self.queue.push_back(request),
                (_, None) => self.answer(request, outcomes.next(), answers),
                (false, Some(reason)) => {
                    let error = CatalogueError::NotCommitted(reason.clone());
                    self.answer(request, Some(Err(error)), answers);
                }
            }
        }
        failure.is_none()
    }

    /// Answers one of so many `answers`.
    fn answer(&self, request: Request, outcome: Option<Outcome>, answers: usize) {
        let outcome = outcome.unwrap_or(Err(CatalogueError::Closed));
        match request.reply {
            // A caller that has gone away needs no answer.
            Reply::Waiting(caller) => drop(caller.send(outcome)),
            Reply::Then(then) if answers <= FEW => give((then, outcome)),
            Reply::Then(then) => drop(self.answers.send((then, outcome))),
            Reply::Nobody => {}
        }
    }
}

/// Gives an answer; one that fails must not cost all others theirs.
fn give((then, outcome): Answered) {
    if catch_unwind(AssertUnwindSafe(|| then(outcome))).is_err() {
        log::error!("an answer had a fault of the program");
    }
}

/// The next request, or none until `due`.
fn next(waiting: &Receiver<Request>, due: Option<Instant>) -> Result<Request, RecvTimeoutError> {
    match due {
        None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
        Some(due) => waiting.recv_timeout(due.saturating_duration_since(Instant::now())),
    }
}

fn in_one_transaction(
    connection: &mut Connection,
    log: &mut Log,
    queue: &VecDeque<Request>,
) -> Result<Vec<Outcome>, CatalogueError> {
    let size = log.size();
    let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut outcomes = Vec::with_capacity(queue.len());
    for request in queue {
        // A record alone changes nothing that could be half done.
        if let Change::Log(draft) = &request.change {
            log.append(&transaction, draft)?;
            outcomes.push(Ok(Answer::Done));
            continue;
        }
        let before = log.clone();
        let mut savepoint = transaction.savepoint()?;
        let outcome = request.change.make(request.at, &savepoint, log);
        if outcome.is_err() {
            savepoint.rollback()?;
            *log = before;
        }
        savepoint.commit()?;
        match outcome {
            // Only a disk can refuse a record.
            Err(error) if request.can_wait() => return Err(error),
            outcome => outcomes.push(outcome),
        }
    }
    if log.size() > size {
        log.put_head(&transaction)?;
    }
    transaction.commit()?;
    Ok(outcomes)
}
