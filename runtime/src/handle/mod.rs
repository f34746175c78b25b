//! Handles for every thread and executor. Each has a thread with the single-threaded face.

pub(crate) mod client;
pub(crate) mod server;

use crate::handover::oneshot;
use crate::local::{self, Executor};
use crate::settings::StartError;
use smol::channel::{self, Sender};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// How long flows may go on after the last handle has been dropped.
const LINGER: Duration = Duration::from_secs(5);

type Job<T> = Box<dyn FnOnce(T, &Executor) + Send>;

/// The single-threaded face that a thread has.
pub(crate) trait Face: Clone + 'static {
    async fn stop(&self, drain: Duration);
}

impl Face for local::Client {
    async fn stop(&self, drain: Duration) {
        self.shutdown(drain).await;
    }
}

impl Face for local::Server {
    async fn stop(&self, drain: Duration) {
        self.shutdown(drain).await;
    }
}

/// The thread of a handle, which ends after the last clone of this has been dropped.
pub(crate) struct Worker<T> {
    jobs: Arc<Sender<Job<T>>>,
}

impl<T> Clone for Worker<T> {
    fn clone(&self) -> Self {
        Worker { jobs: self.jobs.clone() }
    }
}

impl<T: Face> Worker<T> {
    /// Starts the thread, and waits until `begin` has made the face there.
    pub(crate) fn start(
        name: &str,
        begin: impl AsyncFnOnce(&Executor) -> Result<T, StartError> + Send + 'static,
    ) -> Result<Self, StartError> {
        let (jobs, queue) = channel::unbounded::<Job<T>>();
        let (started, begun) = oneshot();
        let main = move || {
            let ex = Executor::default();
            smol::block_on(ex.run(async {
                let face = match begin(&ex).await {
                    Ok(face) => face,
                    Err(error) => return started.send(Err(error)),
                };
                started.send(Ok(()));
                while let Ok(job) = queue.recv().await {
                    job(face.clone(), &ex);
                }
                face.stop(LINGER).await;
            }));
        };
        thread::Builder::new().name(name.into()).spawn(main)?;
        let gone = || Err(io::Error::other("the thread has ended").into());
        smol::future::block_on(begun).unwrap_or_else(gone)?;
        Ok(Worker { jobs: Arc::new(jobs) })
    }

    /// Has the thread do something. It does nothing if it has ended.
    pub(crate) fn tell(&self, job: impl FnOnce(T) + Send + 'static) {
        let _ = self.jobs.try_send(Box::new(move |face, _| job(face)));
    }

    /// Has the thread do something, and waits for the result: none if the thread ends before.
    pub(crate) async fn ask<R: Send + 'static>(
        &self,
        job: impl AsyncFnOnce(T) -> R + Send + 'static,
    ) -> Option<R> {
        let (sender, answer) = oneshot();
        let job: Job<T> = Box::new(move |face, ex| {
            ex.spawn(async move { sender.send(job(face).await) }).detach();
        });
        self.jobs.try_send(job).ok()?;
        answer.await
    }

    /// Stops the face, and then the thread.
    pub(crate) async fn stop(&self, drain: Duration) {
        let jobs = self.jobs.clone();
        let stop = async move |face: T| {
            face.stop(drain).await;
            jobs.close();
        };
        self.ask(stop).await;
    }

    /// Keeps the thread going as long as it exists.
    pub(crate) fn keep(&self) -> Arc<dyn Send + Sync> {
        self.jobs.clone()
    }
}
