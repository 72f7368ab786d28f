//! The memory of all strands, in shards by the strand's UUID.

use boboyka_tlog::Note;
use boboyka_tlog::witness::AddCheckpoint;
use kube::Client;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::map::Map;
use super::origin::Origin;
use super::shard::{Answer, Ask, Shard, WAITING_MAX};
use super::strands::Strands;

/// Another number would look for a strand in another shard.
const SHARDS: u8 = 16;

/// All of them. Cheap to clone.
#[derive(Clone)]
pub(super) struct Shards(Vec<mpsc::Sender<Ask>>);

impl Shards {
    /// Starts their tasks, which end with the signal.
    pub(super) fn start(
        client: &Client,
        namespace: &str,
        strands: &Strands,
        shutdown: &CancellationToken,
    ) -> Self {
        let start = |number| {
            let (send, receive) = mpsc::channel(WAITING_MAX);
            let map = Map::new(client.clone(), namespace, number);
            let shard = Shard::new(map, strands.clone());
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                shutdown.run_until_cancelled(shard.run(receive)).await;
            });
            send
        };
        Self((0..SHARDS).map(start).collect())
    }

    /// Asks for a cosignature.
    pub(super) async fn add(&self, request: AddCheckpoint, origin: Origin) -> Answer {
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Add {
            request: Box::new(request),
            origin,
            reply,
        };
        let number = origin.strand.as_bytes()[15] % SHARDS;
        let sent = self.0.get(usize::from(number));
        if sent.is_none_or(|shard| shard.try_send(ask).is_err()) {
            return Answer::Unavailable("too many requests wait already".to_owned());
        }
        let gone = |_| Answer::Unavailable("the operator ends".to_owned());
        answer.await.unwrap_or_else(gone)
    }

    /// The newest cosigned checkpoint at the path of a monitor; none of a log that nothing was cosigned of.
    ///
    /// # Errors
    /// Not every shard can be read now.
    pub(super) async fn newest(&self, path: &str) -> Result<Option<Note>, String> {
        let asked = self.0.iter().map(|shard| async {
            let (reply, answer) = oneshot::channel();
            let path = path.to_owned();
            let busy = |_| "too many requests wait already".to_owned();
            shard.try_send(Ask::Newest { path, reply }).map_err(busy)?;
            let gone = |_| "the operator ends".to_owned();
            answer.await.map_err(gone)?
        });
        let answers = futures_util::future::join_all(asked).await;
        let found = answers.iter().flatten().find_map(Clone::clone);
        match answers.into_iter().find_map(Result::err) {
            Some(why) if found.is_none() => Err(why),
            _ => Ok(found),
        }
    }
}
