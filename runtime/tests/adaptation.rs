//! When stripes are asked to adapt their congestion control, and what is told of it.

mod common;

use bytes::Buf;
use common::{Log, run, start_server, start_stacked_client};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use striper_runtime::local::ClientOptions;
use striper_runtime::{Adapted, Congestion, Event, Pipe, PipeExt, Received, Target};

/// A pipe that finds losses at its third look.
struct Looked {
    below: Box<dyn Pipe>,
    looks: Rc<Cell<usize>>,
    /// What it finds then.
    found: Adapted,
}

impl Pipe for Looked {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        self.below.poll_recv(cx, max)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        self.below.poll_send(cx, data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_finish(cx)
    }

    fn abort(&mut self) {
        self.below.abort();
    }

    fn check(&mut self) -> io::Result<()> {
        self.below.check()
    }

    fn info(&self) -> PipeInfo<'_> {
        let mut info = self.below.info();
        info.carrier = Some(self);
        info
    }
}

impl Carrier for Looked {
    fn flushed(&self) -> bool {
        self.below.info().is_flushed()
    }

    fn adapt(&self) -> Option<Adapted> {
        self.looks.set(self.looks.get() + 1);
        Some(if self.looks.get() == 3 { self.found.clone() } else { Adapted::Kept })
    }
}

/// Sends over a client whose only stripe finds this, until it tells of it. Counts the looks by
/// then, after two more seconds of sending, and after one in which nothing was sent.
fn looks(found: Adapted) -> [usize; 3] {
    let counted = Rc::new(Cell::new([0; 3]));
    let counts = counted.clone();
    run(|ex| async move {
        let looks = Rc::new(Cell::new(0));
        let log = Log::default();
        let server = start_server(&ex, &Log::default()).await;
        let wrap = {
            let (looks, found) = (looks.clone(), found.clone());
            move |below| -> Box<dyn Pipe> {
                Box::new(Looked { below, looks: looks.clone(), found: found.clone() })
            }
        };
        let mut options = ClientOptions::new(vec![server.local_addr().into()]);
        options.session.stripes = 1;
        let client = start_stacked_client(&ex, options, wrap, &log);
        let mut here = client.open(Target::Default).await.unwrap();
        let mut there = server.accept().await.into_flow();
        ex.spawn(async move { while there.recv().await.is_ok() {} }).detach();
        let sending = async {
            loop {
                here.send(&[1; 1000]).await.unwrap();
                smol::Timer::after(Duration::from_millis(5)).await;
            }
        };
        let told = |event: &Event| match event {
            Event::StripeAdapted { adapted, .. } => *adapted == found,
            _ => false,
        };
        let watching = async {
            log.wait_for(told).await;
            let first = looks.get();
            smol::Timer::after(Duration::from_secs(2)).await;
            [first, looks.get(), 0]
        };
        let mut counted = smol::future::or(sending, watching).await;
        // What is under way still ends, with the look that is due.
        smol::Timer::after(Duration::from_millis(700)).await;
        let before = looks.get();
        smol::Timer::after(Duration::from_secs(1)).await;
        counted[2] = looks.get() - before;
        assert_eq!(log.count(told), 1);
        counts.set(counted);
    });
    counted.get()
}

#[test]
fn a_stripe_looks_at_its_losses_while_it_sends_and_rests_when_it_does_not() {
    let congestion = Congestion::lossy();
    let [first, later, idle] = looks(Adapted::Changed { congestion, lossy: true, lost: 0.01 });
    assert!((3..=6).contains(&first), "{first} looks");
    assert!((12..=50).contains(&later), "{later} looks: forty more in two seconds");
    assert_eq!(idle, 0);
}

#[test]
fn a_stripe_that_can_not_have_what_it_needs_looks_no_more() {
    let (congestion, cause) = (Congestion::lossy(), io::ErrorKind::PermissionDenied);
    assert_eq!(looks(Adapted::Denied { congestion, lost: 0.01, cause }), [3, 3, 0]);
}
