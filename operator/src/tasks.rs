//! The tasks of the process, by name. A task that ends before the signal ends the process.

use std::collections::HashMap;
use std::future::Future;

use tokio::task::{Id, JoinError, JoinSet};

use crate::error::RunError;

/// All tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    set: JoinSet<Result<(), RunError>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a task.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), RunError>> + Send + 'static,
    ) {
        let handle = self.set.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Waits until a task ends, which none should; returns why.
    pub(crate) async fn failed(&mut self) -> RunError {
        match self.set.join_next_with_id().await {
            None => RunError::TaskEnded("none was started"),
            Some(Ok((id, Ok(())))) => RunError::TaskEnded(self.name(id)),
            Some(Ok((_, Err(error)))) => error,
            Some(Err(error)) => self.panicked(&error),
        }
    }

    /// Waits for all tasks after the signal; returns the first failure, if there is one.
    pub(crate) async fn ended(&mut self) -> Option<RunError> {
        let mut failure = None;
        while let Some(ended) = self.set.join_next_with_id().await {
            let error = match ended {
                Ok((_, Ok(()))) => continue,
                Ok((_, Err(error))) => error,
                Err(error) => self.panicked(&error),
            };
            failure = failure.or(Some(error));
        }
        failure
    }

    fn panicked(&self, error: &JoinError) -> RunError {
        RunError::TaskPanicked(self.name(error.id()))
    }

    fn name(&self, id: Id) -> &'static str {
        self.names.get(&id).copied().unwrap_or("unknown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("steady", std::future::pending());
        tasks.spawn("shaky", async { panic!("on purpose") });
        let failure = tasks.failed().await.to_string();
        assert!(failure.contains("shaky"), "{failure}");
    }

    #[tokio::test]
    async fn a_task_that_just_ends_has_failed_too() {
        let mut tasks = Tasks::default();
        tasks.spawn("short", async { Ok(()) });
        let failure = tasks.failed().await.to_string();
        assert!(failure.contains("short"), "{failure}");
    }
}
