//! The connection for records: one for all who ask, made when it is needed, given up at the first failure and made anew
//! after a pause that grows. Sentinels are asked again each time: after a failover the master is another. That to a
//! cluster is given up after some failures in a row: it mends itself, and one server that is away is not all of them.

use std::time::Duration;

use redis::{Cmd, FromRedisValue, RedisError, RedisResult};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::store::StoreError;
use crate::store::redis::{Connection, Settings};

/// The longest to reach the store.
const CONNECT: Duration = Duration::from_secs(1);
/// The longest for one answer.
const ANSWER: Duration = Duration::from_millis(800);
/// After the first failure; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row that a connection to a cluster outlives.
const BORNE: u32 = 5;

#[derive(Default)]
pub(in crate::store) struct Link {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<(Connection, u64)>,
    made: u64,
    failures: u32,
    retry_at: Option<Instant>,
    last_error: String,
}

impl Link {
    pub(super) async fn ask<T: FromRedisValue>(&self, settings: &Settings, command: &Cmd) -> Result<T, StoreError> {
        let (mut connection, number) = self.connection(settings).await?;
        self.judged(timeout(ANSWER, command.query_async(&mut connection)).await, number).await
    }

    async fn connection(&self, settings: &Settings) -> Result<(Connection, u64), StoreError> {
        let mut state = self.state.lock().await;
        if let Some(current) = &state.connection {
            return Ok(current.clone());
        }
        if state.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(StoreError::new(&state.last_error));
        }
        match timeout(CONNECT, settings.connect()).await {
            Ok(Ok(connection)) => {
                state.made += 1;
                let number = state.made;
                state.connection = Some((connection.clone(), number));
                Ok((connection, number))
            }
            Ok(Err(error)) => Err(state.failed(&error.to_string())),
            Err(_) => Err(state.failed("no connection in time")),
        }
    }

    /// After any failure the connection is made anew: a server that became a replica still answers, with errors.
    async fn judged<T>(&self, answer: Result<RedisResult<T>, impl Send>, number: u64) -> Result<T, StoreError> {
        let error = match answer {
            Ok(Ok(value)) => {
                self.succeeded().await;
                return Ok(value);
            }
            Ok(Err(error)) => describe(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        let mut state = self.state.lock().await;
        match &state.connection {
            Some((Connection::Cluster(_), _)) if state.failures < BORNE => {
                state.failures += 1;
                Err(StoreError::new(error))
            }
            Some((_, current)) if *current == number => {
                state.connection = None;
                Err(state.failed(&error))
            }
            _ => Err(StoreError::new(error)),
        }
    }

    async fn succeeded(&self) {
        self.state.lock().await.failures = 0;
    }
}

impl State {
    fn failed(&mut self, error: &str) -> StoreError {
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(Instant::now() + pause.min(LONGEST_PAUSE));
        error.clone_into(&mut self.last_error);
        StoreError::new(error)
    }
}

/// What the server says may quote what was sent; its code does not.
fn describe(error: &RedisError) -> String {
    error.code().map_or_else(|| error.category().to_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_is_asked_less_and_less_and_never_given_up() {
        let mut state = State::default();
        let mut pauses = Vec::new();
        for _ in 0..100 {
            let before = Instant::now();
            let _ = state.failed("away");
            pauses.push(state.retry_at.unwrap() - before);
        }
        for (pause, expected) in pauses.iter().zip([50, 100, 200, 400, 800, 1000, 1000]) {
            let expected = Duration::from_millis(expected);
            assert!((expected..expected + Duration::from_millis(40)).contains(pause), "{pauses:?}");
        }
        assert!(*pauses.last().unwrap() < LONGEST_PAUSE + Duration::from_millis(40));
    }
}
