//! Threads for what waits for disks, one pool a tier: whoever asks is answered in bounded time, also by
//! a disk that hangs.
//!
//! ```text
//! run ──► queue ──► a worker ──► answer(Ok)         whoever is first answers, the other does not
//!            └────── watchdog ──► answer(TooLate)
//! spare ──► spare queue ──► a worker that has nothing better to do
//! at_once ──► leave for the caller to do by himself what does not wait, while the disk is well
//! ```
//!
//! A thread that hangs in the kernel cannot be taken back. It stays lost until its disk answers; when
//! all are lost, new work is refused at once. Not here: what the work is, and which errno its lateness
//! becomes.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Jobs that wait at most: far more than a kernel has requests under way.
const MOST_QUEUED: usize = 4096;

/// Spare work that waits at most: what nobody has begun by then comes too late anyway.
const MOST_SPARE: usize = 64;

/// Callers that do work on their own threads at once: half of those that answer the kernel, so that
/// one is left for whoever asks for less.
const MOST_AT_ONCE: usize = 2;

/// How long work waits at most for a disk that is well. While some has waited for longer, nobody tries
/// without the pool.
const PROMPT: Duration = Duration::from_millis(50);

/// The work was not done in time, and may never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the disk does not answer in time")]
pub struct TooLate;

type Call = Box<dyn FnOnce() + Send>;

/// The pool. When it is dropped, whoever still waits is answered [`TooLate`]; threads end when their
/// work does, and nobody waits for them.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    threads: usize,
    patience: Duration,
    state: Mutex<State>,
    /// There is work, or the pool closes.
    work: Condvar,
    /// The pool closes.
    closing: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<(u64, Call)>,
    spare: VecDeque<Call>,
    /// Workers that do spare work.
    sparing: usize,
    /// Callers that do work on their own threads.
    at_once: usize,
    /// What is queued or runs and was not answered, by number: in the order of deadlines.
    watched: BTreeMap<u64, Watched>,
    /// What runs although its asker was told that it is too late.
    overdue: HashSet<u64>,
    next: u64,
    closed: bool,
}

struct Watched {
    deadline: Instant,
    late: Call,
    running: bool,
}

/// What a worker does next.
enum Next {
    Job(u64, Call),
    Spare(u64, Call),
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("threads", &self.threads)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of `threads` (at least one), called `name`; work is given `patience` from when it is
    /// asked for.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(name: &str, threads: usize, patience: Duration) -> io::Result<Self> {
        let threads = threads.max(1);
        let pool = Self {
            shared: Arc::new(Shared {
                threads,
                patience,
                state: Mutex::default(),
                work: Condvar::new(),
                closing: Condvar::new(),
            }),
        };
        for _ in 0..threads {
            let shared = pool.shared.clone();
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || shared.work_off())?;
        }
        let shared = pool.shared.clone();
        thread::Builder::new()
            .name(format!("{name}-watch"))
            .spawn(move || shared.watch())?;
        Ok(pool)
    }

    /// Does `work` on a thread of the pool, and hands what it gives to `answer`, which is called once:
    /// by that thread, or with [`TooLate`] by another when patience is at its end, or at once when no
    /// thread is left that answers. Work that was answered so while it waited is not done, and who asked for
    /// work that panics is told that it is too late.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        answer: impl FnOnce(Result<T, TooLate>) + Send + 'static,
    ) {
        let answer = Arc::new(Mutex::new(Some(answer)));
        let late = {
            let answer = answer.clone();
            move || {
                if let Some(answer) = take(&answer) {
                    answer(Err(TooLate));
                }
            }
        };
        let job = move || {
            let done = work();
            if let Some(answer) = take(&answer) {
                answer(Ok(done));
            }
        };
        if let Err(late) = self.shared.enqueue(Box::new(job), Box::new(late)) {
            late();
        }
    }

    /// Leave to do work that does not wait for the disk on the caller's own thread: a hand-over costs as
    /// much as decoding some blocks. None while the disk takes its time, for it may hang, or while
    /// enough others do so.
    pub fn at_once(&self) -> Option<AtOnce<'_>> {
        let mut state = self.shared.lock();
        let may =
            state.at_once < MOST_AT_ONCE && state.is_prompt(Instant::now(), self.shared.patience);
        may.then(|| {
            state.at_once += 1;
            AtOnce(&self.shared)
        })
    }

    /// Does `work` if a thread has nothing better to do soon; or never.
    pub fn spare(&self, work: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.lock();
        if state.spare.len() < MOST_SPARE && state.overdue.is_empty() {
            state.spare.push_back(Box::new(work));
            drop(state);
            self.shared.work.notify_one();
        }
    }
}

/// Leave to do work on the caller's own thread, until it is dropped.
#[derive(Debug)]
pub struct AtOnce<'a>(&'a Shared);

impl AtOnce<'_> {
    /// How long the caller may wait for a thread of the pool that is at the same work.
    pub const PATIENCE: Duration = PROMPT;
}

impl Drop for AtOnce<'_> {
    fn drop(&mut self) {
        self.0.lock().at_once -= 1;
    }
}

fn take<A>(answer: &Mutex<Option<A>>) -> Option<A> {
    answer.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        let queued = std::mem::take(&mut state.queue);
        let spare = std::mem::take(&mut state.spare);
        let watched = std::mem::take(&mut state.watched);
        drop(state);
        self.shared.work.notify_all();
        self.shared.closing.notify_all();
        drop((queued, spare));
        for watched in watched.into_values() {
            (watched.late)();
        }
    }
}

impl Shared {
    /// Queues a job, or gives back what says that it is too late.
    fn enqueue(&self, job: Call, late: Call) -> Result<(), Call> {
        let mut state = self.lock();
        if state.overdue.len() >= self.threads || state.queue.len() >= MOST_QUEUED {
            return Err(late);
        }
        let number = state.watch(Instant::now() + self.patience, late, false);
        state.queue.push_back((number, job));
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// The life of a worker.
    fn work_off(&self) {
        while let Some(next) = self.next() {
            let (number, call, spare) = match next {
                Next::Job(number, call) => (number, call, false),
                Next::Spare(number, call) => (number, call, true),
            };
            // Only this piece of work is lost, not the thread; the panic has said what and where.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
            let watched = self.done(number, spare);
            if done.is_err()
                && let Some(watched) = watched
            {
                (watched.late)();
            }
        }
    }

    /// Waits for work; nothing when the pool is closed.
    fn next(&self) -> Option<Next> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some((number, job)) = state.queue.pop_front() {
                if let Some(watched) = state.watched.get_mut(&number) {
                    watched.running = true;
                }
                return Some(Next::Job(number, job));
            }
            // One thread stays free for whoever is waited for.
            if state.sparing + 1 < self.threads.max(2)
                && let Some(spare) = state.spare.pop_front()
            {
                state.sparing += 1;
                let deadline = Instant::now() + self.patience;
                let number = state.watch(deadline, Box::new(|| ()), true);
                return Some(Next::Spare(number, spare));
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A worker has come to the end of a piece of work; what the watchdog has not seen late is given
    /// back, to be dropped without the lock: closures hold what others may be waiting for.
    fn done(&self, number: u64, spare: bool) -> Option<Watched> {
        let mut state = self.lock();
        state.sparing -= usize::from(spare);
        state.overdue.remove(&number);
        state.watched.remove(&number)
    }

    /// The life of the watchdog. It never has to be woken: what is asked for while it sleeps is due
    /// after it wakes.
    fn watch(&self) {
        let mut state = self.lock();
        while !state.closed {
            let now = Instant::now();
            let late = state.expire(now);
            if !late.is_empty() {
                drop(state);
                log::error!("a disk has not answered for {:?}", self.patience);
                for (late, _) in late {
                    late();
                }
                state = self.lock();
                continue;
            }
            let first = state.watched.first_key_value();
            let pause = first.map_or(self.patience, |(_, watched)| {
                watched.deadline.saturating_duration_since(now)
            });
            state = self
                .closing
                .wait_timeout(state, pause)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    // A panic elsewhere leaves nothing half done in here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn watch(&mut self, deadline: Instant, late: Call, running: bool) -> u64 {
        let number = self.next;
        self.next += 1;
        let watched = Watched {
            deadline,
            late,
            running,
        };
        self.watched.insert(number, watched);
        number
    }

    /// Whether nothing waits for longer at `now` than a disk takes that is well.
    fn is_prompt(&self, now: Instant, patience: Duration) -> bool {
        let latest = now + patience.saturating_sub(PROMPT);
        let oldest = self.watched.first_key_value();
        self.overdue.is_empty() && oldest.is_none_or(|(_, oldest)| oldest.deadline >= latest)
    }

    /// Takes out what is due at `now`, each with the job that was not begun and will not be. Spare work
    /// that hangs is counted, too.
    fn expire(&mut self, now: Instant) -> Vec<(Call, Option<Call>)> {
        let mut late = Vec::new();
        while let Some(first) = self.watched.first_entry()
            && first.get().deadline <= now
        {
            let (number, watched) = first.remove_entry();
            let mut job = None;
            if watched.running {
                self.overdue.insert(number);
            } else {
                // What is queued is in the order of its numbers, so this is the first one.
                job = self.queue.pop_front().map(|(_, job)| job);
            }
            late.push((watched.late, job));
        }
        late
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// More than any test waits for.
    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(5);

    type Answers<T> = Receiver<Result<T, TooLate>>;

    fn ask<T: Send + 'static>(
        pool: &Pool,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Answers<T> {
        let (sender, answers) = channel();
        pool.run(work, move |answer| sender.send(answer).unwrap());
        answers
    }

    /// Work that hangs until the sender is dropped or sends, and says when it has begun.
    fn hang(pool: &Pool) -> (Sender<()>, Receiver<()>, Answers<()>) {
        let (release, go_on) = channel();
        let (says_so, begun) = channel();
        let answer = ask(pool, move || {
            says_so.send(()).unwrap();
            let _ = go_on.recv();
        });
        (release, begun, answer)
    }

    #[test]
    fn what_the_work_gives_is_the_answer() {
        let pool = Pool::new("test", 2, LONG).unwrap();
        let answers: Vec<_> = (0..100).map(|n| ask(&pool, move || n * n)).collect();
        for (n, answer) in (0..100).zip(answers) {
            assert_eq!(answer.recv().unwrap(), Ok(n * n));
            assert!(answer.recv().is_err(), "answered twice");
        }
    }

    #[test]
    fn a_hung_job_is_answered_once_and_holds_up_no_other() {
        let pool = Pool::new("test", 2, SHORT).unwrap();
        let (release, begun, answer) = hang(&pool);
        begun.recv().unwrap();
        assert_eq!(answer.recv().unwrap(), Err(TooLate));
        // Patience of milliseconds can end before a healthy thread is even run.
        let done = (0..1000).any(|n| ask(&pool, move || n).recv().unwrap() == Ok(n));
        assert!(done, "the other thread does nothing");
        drop(release);
        assert!(answer.recv().is_err(), "answered twice");
    }

    #[test]
    fn what_waits_behind_hung_jobs_is_answered_and_never_done() {
        let pool = Pool::new("test", 1, Duration::from_millis(100)).unwrap();
        let (release, begun, hung) = hang(&pool);
        begun.recv().unwrap();
        let done = Arc::new(AtomicU32::new(0));
        let counted = done.clone();
        let waiting = ask(&pool, move || counted.fetch_add(1, Ordering::Relaxed));
        assert_eq!(hung.recv().unwrap(), Err(TooLate));
        assert_eq!(waiting.recv().unwrap(), Err(TooLate));
        drop(release);
        let last = || ask(&pool, || ()).recv().unwrap();
        while last() == Err(TooLate) {}
        assert_eq!(done.load(Ordering::Relaxed), 0);
    }

    /// The second answer comes without the watchdog, whose patience would be at its end much later.
    #[test]
    fn when_every_thread_hangs_work_is_refused_until_one_returns() {
        let pool = Pool::new("test", 2, LONG).unwrap();
        let (releases, answers): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| {
                let (release, begun, answer) = hang(&pool);
                begun.recv().unwrap();
                (release, answer)
            })
            .unzip();
        let late = pool.shared.lock().expire(Instant::now() + LONG);
        for (late, _) in late {
            late();
        }
        for answer in &answers {
            assert_eq!(answer.recv().unwrap(), Err(TooLate));
        }
        assert_eq!(ask(&pool, || 1).recv().unwrap(), Err(TooLate));
        drop(releases);
        while ask(&pool, || 1).recv().unwrap() == Err(TooLate) {}
        assert_eq!(ask(&pool, || 2).recv().unwrap(), Ok(2));
    }

    #[test]
    fn the_queue_is_bounded() {
        let pool = Pool::new("test", 1, LONG).unwrap();
        let (release, begun, _hung) = hang(&pool);
        begun.recv().unwrap();
        let mut waiting: Vec<_> = (0..=MOST_QUEUED).map(|n| ask(&pool, move || n)).collect();
        assert_eq!(waiting.pop().unwrap().recv().unwrap(), Err(TooLate));
        drop(release);
        for (n, answer) in waiting.into_iter().enumerate() {
            assert_eq!(answer.recv().unwrap(), Ok(n));
        }
    }

    #[test]
    fn spare_work_comes_after_all_else() {
        let pool = Pool::new("test", 1, LONG).unwrap();
        let (release, begun, _hung) = hang(&pool);
        begun.recv().unwrap();
        let (sender, done) = channel();
        let spare = sender.clone();
        pool.spare(move || spare.send("spare").unwrap());
        pool.run(move || sender.send("asked for").unwrap(), |_| ());
        drop(release);
        assert_eq!(done.iter().collect::<Vec<_>>(), ["asked for", "spare"]);
    }

    #[test]
    fn a_panic_costs_no_thread() {
        let pool = Pool::new("test", 1, LONG).unwrap();
        let lost = ask::<()>(&pool, || panic!("a fault of the work"));
        assert_eq!(lost.recv().unwrap(), Err(TooLate));
        assert_eq!(ask(&pool, || 1).recv().unwrap(), Ok(1));
    }

    #[test]
    fn few_work_at_once_and_nobody_while_the_disk_takes_its_time() {
        let pool = Pool::new("test", 2, LONG).unwrap();
        let first = pool.at_once().unwrap();
        let _second = pool.at_once().unwrap();
        assert!(pool.at_once().is_none());
        drop(first);
        assert!(pool.at_once().is_some());
        let (release, begun, _hung) = hang(&pool);
        begun.recv().unwrap();
        let asked = Instant::now();
        let state = pool.shared.lock();
        assert!(!state.is_prompt(asked + PROMPT, LONG), "it may hang");
        drop(state);
        drop(release);
        while !pool.shared.lock().is_prompt(asked + PROMPT, LONG) {
            thread::yield_now();
        }
    }

    #[test]
    fn nobody_works_at_once_while_an_answer_is_overdue() {
        let pool = Pool::new("test", 2, LONG).unwrap();
        let (release, begun, _hung) = hang(&pool);
        begun.recv().unwrap();
        drop(pool.shared.lock().expire(Instant::now() + LONG));
        assert!(pool.at_once().is_none());
        drop(release);
        while pool.at_once().is_none() {
            thread::yield_now();
        }
    }

    #[test]
    fn closing_answers_all_and_waits_for_nobody() {
        let pool = Pool::new("test", 1, LONG).unwrap();
        let (release, begun, hung) = hang(&pool);
        begun.recv().unwrap();
        let waiting = ask(&pool, || ());
        drop(pool);
        assert_eq!(hung.recv().unwrap(), Err(TooLate));
        assert_eq!(waiting.recv().unwrap(), Err(TooLate));
        drop(release);
        assert!(hung.recv().is_err(), "answered twice");
    }
}
