//! The demo's route: a relay that caps each connection by itself, as some providers do.
//!
//! Every connection is a [`Lane`] with a rate for each direction, a short queue before it and a
//! delay behind it. When the queue is full, the lane stops reading. Its sockets have small buffers,
//! so the sender notices that soon.

use crate::clock;
use async_net::{TcpListener, TcpStream};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::{Timer, channel};
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};
use striper_runtime::local::Executor;

/// The bytes that a lane takes at once: 3 ms at 20 Mbit/s, so that the cap is even within a round
/// trip.
const PIECE: usize = 8 << 10;

/// The longest wait of data before the cap.
const QUEUE: Duration = Duration::from_millis(15);

/// The most pieces between a lane's two halves: more than `QUEUE` and the delay hold, so it is full
/// only if the receiver stops reading.
const IN_FLIGHT: usize = 32;

/// The socket buffers of the route. The kernel would let them grow to megabytes, which are seconds
/// of a capped lane.
const SOCKET_BUFFER: usize = 32 << 10;

/// The segment size of Ethernet: a segment of loopback has 64 KiB, which would fill the buffers.
const SEGMENT: u32 = 1448;

#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Bytes a second in each direction.
    pub rate: u64,
    pub delay: Duration,
}

pub(super) struct Lane {
    pub rate: Cell<u64>,
    pub carried: Cell<u64>,
    open: Cell<bool>,
}

pub(super) struct Route {
    pub address: SocketAddr,
    lanes: Rc<RefCell<Vec<Rc<Lane>>>>,
}

impl Route {
    pub(super) fn start(ex: &Executor, to: SocketAddr, limits: Limits) -> io::Result<Route> {
        let socket = socket()?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        socket.listen(128)?;
        let listener = TcpListener::try_from(std::net::TcpListener::from(socket))?;
        let address = listener.local_addr()?;
        let lanes = Rc::new(RefCell::new(Vec::new()));
        let route = Route { address, lanes: lanes.clone() };
        let spawner = ex.clone();
        ex.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = connect(to) else { continue };
                let lane = Rc::new(Lane {
                    rate: Cell::new(limits.rate),
                    carried: Cell::new(0),
                    open: Cell::new(true),
                });
                lanes.borrow_mut().push(lane.clone());
                spawner
                    .spawn(async move {
                        let there = one_way(near.clone(), far.clone(), &lane, limits.delay);
                        let back = one_way(far.clone(), near.clone(), &lane, limits.delay);
                        let _ = smol::future::try_zip(there, back).await;
                        lane.open.set(false);
                        let _ = (near.shutdown(Shutdown::Both), far.shutdown(Shutdown::Both));
                    })
                    .detach();
            }
        })
        .detach();
        Ok(route)
    }

    /// The connections that are open, in the order in which they came.
    pub(super) fn lanes(&self) -> Vec<Rc<Lane>> {
        self.lanes.borrow().iter().filter(|lane| lane.open.get()).cloned().collect()
    }
}

fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_mss(SEGMENT)?;
    Ok(socket)
}

/// Dials within this process: the kernel answers for the listener at once, so this does not block.
fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket()?;
    socket.connect(&to.into())?;
    TcpStream::try_from(std::net::TcpStream::from(socket))
}

async fn one_way(
    mut from: TcpStream,
    mut to: TcpStream,
    lane: &Lane,
    delay: Duration,
) -> io::Result<()> {
    let (sender, receiver) = channel::bounded::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let near_half = async move {
        let mut buffer = vec![0; PIECE];
        // The time at which the cap has let through all bytes that were read.
        let mut through = clock::now();
        loop {
            let len = from.read(&mut buffer).await?;
            if len == 0 {
                return Ok(());
            }
            let time = Duration::from_secs_f64(len as f64 / lane.rate.get() as f64);
            through = through.max(clock::now()) + time;
            if sender.send((through + delay, buffer[..len].to_vec())).await.is_err() {
                return Ok(());
            }
            let ahead = through.saturating_duration_since(clock::now());
            if ahead > QUEUE {
                Timer::after(ahead - QUEUE).await;
            }
        }
    };
    let far_half = async move {
        while let Ok((due, piece)) = receiver.recv().await {
            if due > clock::now() {
                Timer::at(due).await;
            }
            to.write_all(&piece).await?;
            lane.carried.set(lane.carried.get() + piece.len() as u64);
        }
        to.shutdown(Shutdown::Write)
    };
    smol::future::try_zip(near_half, far_half).await.map(|_: ((), ())| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_a_cap_of_its_own_and_passes_the_end_on() {
        const LANES: usize = 8;
        const SIZE: usize = 1_000_000;
        let ex = Executor::new(smol::LocalExecutor::new());
        smol::block_on(ex.run(async {
            let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let limits = Limits { rate: 2_000_000, delay: Duration::from_millis(10) };
            let route = Route::start(&ex, origin.local_addr().unwrap(), limits).unwrap();
            let begin = clock::now();
            let mut receivers = Vec::new();
            for _ in 0..LANES {
                let mut near = TcpStream::connect(route.address).await.unwrap();
                let (mut far, _) = origin.accept().await.unwrap();
                receivers.push(ex.spawn(async move {
                    let sending = async {
                        far.write_all(&[7; SIZE]).await.unwrap();
                        far.shutdown(Shutdown::Write).unwrap();
                    };
                    let mut got = Vec::new();
                    let (_, read) = smol::future::zip(sending, near.read_to_end(&mut got)).await;
                    assert_eq!((read.unwrap(), got.len()), (SIZE, SIZE));
                    near
                }));
            }
            let mut open = Vec::new();
            for receiver in receivers {
                open.push(receiver.await);
            }
            let time = begin.elapsed().as_secs_f64();
            let carried: Vec<u64> = route.lanes().iter().map(|lane| lane.carried.get()).collect();
            assert_eq!(carried, [SIZE as u64; LANES]);
            assert!((0.49..1.5).contains(&time), "{time} s for 0.5 s of data");
        }));
    }
}
