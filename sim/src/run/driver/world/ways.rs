//! The client's part: takes connections of programs and opens flows for them, in several ways.

use super::targets::named;
use super::tasks::{Proxy, either};
use super::*;
use crate::run::driver::pipe::SimPipe;
use bytes::BytesMut;

/// How often a program that waits for its target is asked whether it is still there.
const CHECK: Duration = Duration::from_millis(500);

pub(super) async fn carry_local(proxy: Proxy, listen: SimListen, client: Client) {
    loop {
        let Ok(pipe) = listen.accept().await else {
            let clock = proxy.clock();
            sleep_until(&clock, clock.now() + Duration::from_millis(75)).await;
            continue;
        };
        let number = pipe.number().expect("a connection");
        let route = proxy.net.borrow().route_of(number).expect("a route");
        let index = (route - proxy.first) / 2;
        let (proxy, client, spawn) = (proxy.clone(), client.clone(), proxy.spawn.clone());
        spawn(Box::pin(open(proxy, client, index, pipe)));
    }
}

async fn open(proxy: Proxy, client: Client, index: usize, mut pipe: SimPipe) {
    let (plan, flow) = proxy.flow(index);
    let target = named(index, &plan);
    if let Some(request) = plan.request {
        return carry_requested(proxy, client, index, &request, target, pipe).await;
    }
    flow.borrow_mut().asked_at = Some(proxy.now());
    if plan.bridged[0] {
        match client.open(target).await {
            Ok(mut carried) => {
                proxy.bridge(&mut pipe, &mut carried).await;
            }
            Err(error) => {
                flow.borrow_mut().open_error = Some(error);
                pipe.abort();
            }
        }
    } else {
        let report = client.carry(target, Box::new(pipe)).await;
        flow.borrow_mut().hear(0, report, proxy.now());
    }
}

/// The first event while a program waits for its target.
enum First {
    Answer(Result<(), FlowReport>),
    ProgramGone,
    TooLate,
}

/// As the command line program does for SOCKS and HTTP.
async fn carry_requested(
    proxy: Proxy,
    client: Client,
    index: usize,
    plan: &RequestPlan,
    target: Target,
    mut pipe: SimPipe,
) {
    let (_, flow) = proxy.flow(index);
    let clock = proxy.clock();
    proxy.busy.set(proxy.busy.get() + 1);
    let early = recv_early(&mut pipe, plan.early).await;
    proxy.busy.set(proxy.busy.get() - 1);
    let Some(early) = early else { return };
    flow.borrow_mut().asked_at = Some(proxy.now());
    let mut requested = client.request(target, early.freeze());
    let until = plan.patience.map(|patience| clock.now() + patience);
    if plan.waits {
        let answer = async { First::Answer(requested.accepted().await) };
        match either(answer, give_up(&clock, &mut pipe, until)).await {
            First::Answer(Ok(())) => {
                let reached = flow.borrow().reach == Reach::Reached;
                assert!(reached, "accepted, and not reached: {:?}", flow.borrow());
            }
            First::Answer(Err(report)) => {
                flow.borrow_mut().hear(0, report, proxy.now());
                return pipe.abort();
            }
            First::ProgramGone => {
                let aborted = flow.borrow().sides[0].aborted;
                assert!(aborted, "a program that is there is gone: {:?}", flow.borrow());
                return;
            }
            First::TooLate => return drop_request(&proxy, &flow),
        }
    }
    let joins = clock.now() + plan.dawdle;
    let drops = until.is_some_and(|until| until < joins);
    proxy.pause_until(until.map_or(joins, |until| until.min(joins))).await;
    if drops {
        return drop_request(&proxy, &flow);
    }
    let report = requested.carry(Box::new(pipe)).await;
    flow.borrow_mut().hear(0, report, proxy.now());
}

/// The caller drops what it has.
fn drop_request(proxy: &Proxy, flow: &Rc<RefCell<FlowState>>) {
    proxy.net.borrow_mut().note(FaultKind::RequestDropped);
    flow.borrow_mut().dropped = true;
}

/// The first bytes, or fewer if the program says no more. None if it is gone.
async fn recv_early(pipe: &mut SimPipe, count: u64) -> Option<BytesMut> {
    let mut early = BytesMut::new();
    while (early.len() as u64) < count {
        let left = count as usize - early.len();
        match poll_fn(|cx| pipe.poll_recv(cx, left)).await {
            Ok(Received::Chunk(chunk)) => early.extend_from_slice(&chunk),
            Ok(Received::Fin) => break,
            Err(_) => return None,
        }
    }
    Some(early)
}

/// Waits until the program has broken its connection, or for that time.
async fn give_up(
    clock: &SimClock,
    pipe: &mut SimPipe,
    until: Option<striper_core::Instant>,
) -> First {
    loop {
        if pipe.check().is_err() {
            return First::ProgramGone;
        }
        let now = clock.now();
        if until.is_some_and(|until| until <= now) {
            return First::TooLate;
        }
        let next = now + CHECK;
        sleep_until(clock, until.map_or(next, |until| until.min(next))).await;
    }
}
