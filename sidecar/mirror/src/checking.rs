//! What a caller asks of the comparison: everything compared now, and what differs mended.

use std::time::Duration;

use boboyka_strand::RecordType;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::comparison::Request;
use crate::handle::Mirror;
use crate::parity::Difference;
use crate::repair::{Repair, RepairReport};
use crate::retry::RetryError;

/// A caller waits no longer; the comparison goes on.
const CHECK_MAX: Duration = Duration::from_mins(1);

/// The same for a lane that repairs.
const REPAIR_MAX: Duration = Duration::from_mins(1);

impl Mirror {
    /// Has everything that is settled compared from now on, in one lane or all, for all also foreign rows counted, and waits for it for a limited
    /// time; whether it was done. What was found is in the lanes' parity.
    pub async fn check(&self, lane: Option<RecordType>) -> Result<bool, RetryError> {
        let mut waiting = Vec::new();
        for of in self.chosen(lane)? {
            let (reply, done) = oneshot::channel();
            self.ask(Request::Check(of, reply))?;
            waiting.push(done);
        }
        if lane.is_none() {
            let (reply, done) = oneshot::channel();
            self.ask(Request::CountForeign(reply))?;
            waiting.push(done);
        }
        let deadline = Instant::now() + CHECK_MAX;
        for done in waiting {
            match tokio::time::timeout_at(deadline, done).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(RetryError::Stopping),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Has everything compared soon, without waiting for it: a change of phase asks for fresh evidence.
    pub fn want_check(&self) {
        for of in self.chosen(None).unwrap_or_default() {
            let (reply, _) = oneshot::channel();
            // A task that is asked too often compares anyway.
            let _ = self.ask(Request::Check(of, reply));
        }
        let (reply, _) = oneshot::channel();
        let _ = self.ask(Request::CountForeign(reply));
    }

    /// Sends what is missing in a table again, and what has changed in a table of states; then has it compared.
    pub async fn repair(&self, lane: Option<RecordType>) -> Result<RepairReport, RetryError> {
        let mut total = RepairReport::default();
        for of in self.chosen(lane)? {
            let (reply, differences) = oneshot::channel();
            self.ask(Request::Differences(of, reply))?;
            let differences = differences.await.map_err(|_| RetryError::Stopping)?;
            if !differences.is_empty() {
                total.add(self.repair_lane(of, differences).await?);
            }
        }
        if total.found > 0 {
            self.check(lane).await?;
        }
        Ok(total)
    }

    async fn repair_lane(
        &self,
        lane: RecordType,
        differences: Vec<Difference>,
    ) -> Result<RepairReport, RetryError> {
        let (reply, answer) = oneshot::channel();
        let sent = self
            .repairs(lane)
            .map(|lane| lane.try_send(Repair { differences, reply }));
        match sent {
            Some(Ok(())) => {}
            Some(Err(mpsc::error::TrySendError::Full(_))) => return Err(RetryError::Busy),
            Some(Err(mpsc::error::TrySendError::Closed(_))) | None => {
                return Err(RetryError::Stopping);
            }
        }
        tokio::time::timeout(REPAIR_MAX, answer)
            .await
            .map_err(|_| RetryError::Busy)?
            .map_err(|_| RetryError::Stopping)
    }

    fn chosen(&self, lane: Option<RecordType>) -> Result<Vec<RecordType>, RetryError> {
        if !self.configured() {
            return Err(RetryError::Disabled);
        }
        let all = RecordType::MIRRORED.into_iter();
        Ok(all
            .filter(|of| lane.is_none_or(|lane| lane == *of))
            .collect())
    }

    fn ask(&self, request: Request) -> Result<(), RetryError> {
        self.requests()
            .try_send(request)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => RetryError::Busy,
                mpsc::error::TrySendError::Closed(_) => RetryError::Stopping,
            })
    }
}
