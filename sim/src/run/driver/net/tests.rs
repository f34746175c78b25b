use super::super::pipe::{SimDial, SimListen, SimPipe};
use super::*;
use crate::base::Rate;
use std::future::Future;
use std::time::Duration;
use striper_runtime::Pipe;

fn connected(buffer: u64) -> (SharedNet, SimPipe, SimPipe) {
    let net = Net::new(1, Cuts { reads: 0, writes: 0, buffer });
    let listen = {
        let mut net = net.borrow_mut();
        let port = net.add_port(SERVER);
        net.add_route(LinkSpec::both_ways(Rate::mbit(10), Duration::from_millis(5)), port);
        port
    };
    let listen = SimListen::new(net.clone(), listen);
    let mut dial = Box::pin(SimDial::connect(net.clone(), CLIENT, 0, Duration::from_secs(1)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(dial.as_mut().poll(&mut cx).is_pending());
    pass(&net, 50_000);
    let Poll::Ready(Ok(a)) = dial.as_mut().poll(&mut cx) else { panic!("not connected") };
    let accepted = Box::pin(listen.accept()).as_mut().poll(&mut cx);
    let Poll::Ready(Ok(b)) = accepted else { panic!("not accepted") };
    (net, a, b)
}

fn pass(net: &SharedNet, time: u64) {
    let until = net.borrow().now + time;
    loop {
        let next = net.borrow().agenda.next_time().filter(|at| *at <= until);
        let mut net = net.borrow_mut();
        let Some(at) = next else {
            net.now = until;
            return;
        };
        net.now = at;
        let (_, event) = net.agenda.pop().expect("an event");
        net.happen(event);
        for process in 0..3 {
            net.look(process);
        }
    }
}

fn send(pipe: &mut SimPipe, mut data: &[u8]) -> Poll<io::Result<usize>> {
    pipe.poll_send(&mut Context::from_waker(Waker::noop()), &mut data)
}

fn recv(pipe: &mut SimPipe) -> Poll<io::Result<Received>> {
    pipe.poll_recv(&mut Context::from_waker(Waker::noop()), 1 << 20)
}

fn chunk(text: &'static str) -> Received {
    Received::Chunk(Bytes::from_static(text.as_bytes()))
}

#[test]
fn an_abort_is_an_error_at_the_other_end_after_the_data() {
    let (net, mut a, mut b) = connected(1 << 16);
    assert!(matches!(send(&mut a, b"half"), Poll::Ready(Ok(4))));
    pass(&net, 20_000);
    a.abort();
    pass(&net, 20_000);
    assert!(b.check().is_err());
    assert!(matches!(recv(&mut b), Poll::Ready(Ok(got)) if got == chunk("half")));
    assert!(recv(&mut b).is_pending(), "only a look tells of more");
    net.borrow_mut().look(SERVER);
    let Poll::Ready(Err(error)) = recv(&mut b) else { panic!("no error") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    drop(b);
    pass(&net, 1_000_000);
    assert_eq!(net.borrow().describe(), [""; 0]);
}

#[test]
fn a_drop_without_finish_is_a_reset_and_one_after_it_a_fin() {
    for finish in [false, true] {
        let (net, mut a, mut b) = connected(1 << 16);
        assert!(matches!(send(&mut a, b"all"), Poll::Ready(Ok(3))));
        if finish {
            assert!(a.poll_finish(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        pass(&net, 20_000);
        drop(a);
        pass(&net, 20_000);
        assert!(matches!(recv(&mut b), Poll::Ready(Ok(got)) if got == chunk("all")));
        let _ = recv(&mut b);
        net.borrow_mut().look(SERVER);
        match recv(&mut b) {
            Poll::Ready(Ok(Received::Fin)) => assert!(finish),
            Poll::Ready(Err(_)) => assert!(!finish),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_reader_that_stops_stops_the_sender_and_nothing_is_lost() {
    let (net, mut a, mut b) = connected(4_096);
    net.borrow_mut().pace(0, 0, 16 << 10);
    let data: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    let (mut sent, mut got) = (0, Vec::new());
    let push = |a: &mut SimPipe, sent: &mut usize| {
        while *sent < data.len()
            && let Poll::Ready(taken) = send(a, &data[*sent..])
        {
            *sent += taken.expect("a socket that works");
        }
    };
    for _ in 0..20 {
        push(&mut a, &mut sent);
        pass(&net, 100_000);
    }
    // The window of the reader, and a buffer of the system, which is 64 KiB less headers.
    assert!(sent < 70_000, "{sent} bytes taken with a reader that stopped");
    while got.len() < data.len() {
        if let Poll::Ready(Ok(Received::Chunk(chunk))) = recv(&mut b) {
            got.extend_from_slice(&chunk);
        }
        push(&mut a, &mut sent);
        pass(&net, 10_000);
    }
    assert!(got == data);
}

#[test]
fn a_writer_to_a_socket_that_has_vanished_is_reset() {
    let (net, mut a, b) = connected(1 << 16);
    net.borrow_mut().processes[SERVER].mute = true;
    drop(b);
    pass(&net, 1_000_000);
    assert!(a.check().is_ok());
    assert!(send(&mut a, b"anybody?").is_ready());
    pass(&net, 50_000);
    assert!(a.check().is_err());
}
