//! One `ConfigMap` with the memory of some strands, and the one task of this replica that reads and writes it. What waits for
//! a write is written together, at most once in a while: ten thousand strands a minute are a few writes a second.

use std::collections::BTreeMap;
use std::time::Duration;

use boboyka_tlog::Note;
use boboyka_tlog::witness::AddCheckpoint;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::batch::Batch;
use super::judge::{Accepted, No, judge};
use super::map::{Map, Written};
use super::memory::{Cosigned, Memory};
use super::origin::Origin;
use super::strands::Strands;
use crate::clock;

/// From one write of a `ConfigMap` to the next.
const PACE: Duration = Duration::from_secs(5);
/// A refusal by a copy that is older than this is not said before the `ConfigMap` was read again: another replica may have
/// written.
const FRESH: Duration = Duration::from_secs(1);
/// Monitors get what is at most this old.
const FRESH_FOR_MONITORS: Duration = Duration::from_secs(2);
/// Requests that wait for one shard.
pub(super) const WAITING_MAX: usize = 512;
/// Writes of a batch: another replica may come between.
const TRIES: usize = 4;
/// What nobody has is looked for this often.
const SWEEP: Duration = Duration::from_hours(1);
/// What was cosigned of a strand that no resource tells of any more is kept for this long.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// How a request to cosign ends.
pub(super) enum Answer {
    /// The checkpoint is remembered, and may be cosigned with this time.
    Remembered(Box<Accepted>, u64),
    Refused(No),
    /// The memory can't be read or written now.
    Unavailable(String),
}

/// What is asked of a shard.
pub(super) enum Ask {
    Add {
        request: Box<AddCheckpoint>,
        origin: Origin,
        reply: oneshot::Sender<Answer>,
    },
    /// The newest checkpoint at the path of a monitor.
    Newest {
        path: String,
        reply: oneshot::Sender<Result<Option<Note>, String>>,
    },
}

/// The task of one `ConfigMap`.
pub(super) struct Shard {
    map: Map,
    strands: Strands,
    written: Option<Instant>,
    swept: Option<Instant>,
    /// Why the last write failed.
    trouble: Option<String>,
}

/// A request that was granted by the copy of this replica, and waits for the write.
struct Pending {
    request: Box<AddCheckpoint>,
    origin: Origin,
    reply: oneshot::Sender<Answer>,
}

impl Shard {
    pub(super) fn new(map: Map, strands: Strands) -> Self {
        Self {
            map,
            strands,
            written: None,
            swept: None,
            trouble: None,
        }
    }

    /// Answers what is asked, until nobody can ask any more.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut pending = Vec::new();
        loop {
            let turn = self.written.map_or_else(Instant::now, |at| at + PACE);
            tokio::select! {
                ask = asks.recv(), if pending.len() < WAITING_MAX => match ask {
                    Some(ask) => self.take(ask, &mut pending).await,
                    None => return,
                },
                () = sleep_until(turn), if !pending.is_empty() => {
                    self.flush(std::mem::take(&mut pending)).await;
                }
            }
        }
    }

    async fn take(&mut self, ask: Ask, pending: &mut Vec<Pending>) {
        match ask {
            Ask::Newest { path, reply } => {
                let fresh = self.map.refresh(FRESH_FOR_MONITORS).await;
                let newest = || self.map.at_path(&path).and_then(Cosigned::note);
                // The caller may have gone.
                drop(reply.send(fresh.map(|()| newest())));
            }
            Ask::Add {
                request,
                origin,
                reply,
            } => {
                let one = Pending {
                    request,
                    origin,
                    reply,
                };
                if let Some(one) = self.judge_first(one).await {
                    pending.push(one);
                }
            }
        }
    }

    /// Answers at once what needs no write.
    async fn judge_first(&mut self, one: Pending) -> Option<Pending> {
        let mut judged = self.judge(&one, None);
        if !matches!(judged, Ok((Ok(_), _))) {
            if let Err(error) = self.map.refresh(FRESH).await {
                one.answer(Answer::Unavailable(error));
                return None;
            }
            judged = self.judge(&one, None);
        }
        let answer = match judged {
            Ok((Ok(accepted), None)) if self.is_remembered(&one, &accepted) => {
                Answer::Remembered(Box::new(accepted), seconds())
            }
            Ok((Ok(_), _)) => return Some(one),
            Ok((Err(no), None)) => Answer::Refused(no),
            Ok((Err(no), Some(found))) => match self.strands.contradict(one.origin, &found).await {
                Ok(()) => Answer::Refused(no),
                Err(error) => Answer::Unavailable(error),
            },
            Err(error) => Answer::Unavailable(error),
        };
        one.answer(answer);
        None
    }

    fn is_remembered(&self, one: &Pending, accepted: &Accepted) -> bool {
        let last = self.map.memory(one.origin.strand);
        let last = last.ok().flatten().and_then(|memory| memory.of(one.origin));
        last.is_some_and(|last| last.checkpoint().as_ref() == Some(&accepted.checkpoint))
    }

    /// The judgement by what was read last, or by `work`, which comes after it.
    fn judge(&self, one: &Pending, work: Option<&Memory>) -> Result<super::judge::Judged, String> {
        let empty = Memory::default();
        let memory = match work {
            Some(memory) => memory,
            None => self.map.memory(one.origin.strand)?.unwrap_or(&empty),
        };
        let reported = match memory.of(one.origin) {
            Some(_) => None,
            None => self.strands.reported(one.origin),
        };
        let request = &one.request;
        Ok(judge(request, one.origin, memory, reported.as_ref()))
    }

    /// Writes what is granted, and answers.
    async fn flush(&mut self, pending: Vec<Pending>) {
        self.written = Some(Instant::now());
        match self.write(&pending).await {
            Ok(answers) => {
                self.trouble = None;
                for (one, answer) in pending.into_iter().zip(answers) {
                    one.answer(answer);
                }
            }
            Err(error) => {
                // It may last for hours.
                if self.trouble.as_ref() != Some(&error) {
                    tracing::warn!(
                        error,
                        "could not remember checkpoints, so none is cosigned: {error}"
                    );
                    self.trouble = Some(error.clone());
                }
                for one in pending {
                    one.answer(Answer::Unavailable(error.clone()));
                }
            }
        }
    }

    /// The answers, once what they need is written.
    async fn write(&mut self, pending: &[Pending]) -> Result<Vec<Answer>, String> {
        for _ in 0..TRIES {
            let (work, answers) = self.decide(pending).await;
            let forgotten = self.forgotten();
            match self.map.write(&work, &forgotten).await? {
                Written::Done => return Ok(answers),
                Written::Outdated => {
                    self.map.refresh(Duration::ZERO).await?;
                    if !forgotten.is_empty() {
                        self.swept = None;
                    }
                }
            }
        }
        Err("other replicas write all the time".to_owned())
    }

    /// What is to be written, and an answer to each request for when it is.
    async fn decide(&self, pending: &[Pending]) -> (BTreeMap<Uuid, Memory>, Vec<Answer>) {
        let (mut batch, mut answers) = (Batch::default(), Vec::new());
        let now = seconds();
        for one in pending {
            let judged = self.judge(one, batch.work.get(&one.origin.strand));
            let (decision, contradiction) = match judged {
                Ok(judged) => judged,
                Err(error) => {
                    answers.push(Answer::Unavailable(error));
                    continue;
                }
            };
            if let Some(found) = contradiction
                && let Err(error) = self.strands.contradict(one.origin, &found).await
            {
                answers.push(Answer::Unavailable(error));
                continue;
            }
            answers.push(match decision {
                Err(no) => Answer::Refused(no),
                Ok(accepted) => match batch.grant(&self.map, one.origin, &accepted, now) {
                    Ok(()) => Answer::Remembered(Box::new(accepted), now),
                    Err(full) => Answer::Unavailable(full),
                },
            });
        }
        (batch.work, answers)
    }

    /// Strands that no resource tells of any more, and of which nothing was cosigned for long.
    fn forgotten(&mut self) -> Vec<Uuid> {
        if self.swept.is_some_and(|at| at.elapsed() < SWEEP) {
            return Vec::new();
        }
        let Some(reported) = self.strands.ids() else {
            return Vec::new();
        };
        self.swept = Some(Instant::now());
        let oldest = seconds().saturating_sub(KEPT.as_secs());
        let old = self.map.strands().filter(|(strand, memory)| {
            memory.newest_seconds() < oldest && !reported.contains(*strand)
        });
        old.map(|(strand, _)| *strand).collect()
    }
}

impl Pending {
    fn answer(self, answer: Answer) {
        // The caller may have gone.
        drop(self.reply.send(answer));
    }
}

/// The wall clock in seconds since 1970.
fn seconds() -> u64 {
    u64::try_from(clock::now().0.as_second()).unwrap_or_default()
}
