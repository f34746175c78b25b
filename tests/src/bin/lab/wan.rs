//! The emulated route between two namespaces: a TUN device at each end of each path, and a thread
//! that moves the packets.

use crate::clock;
use crate::emulator::{Emulator, Way};
use crate::namespace::Namespace;
use crate::route::Route;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::num::NonZeroU64;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tun_rs::{DeviceBuilder, SyncDevice};

/// The most packets that are taken from a device in turn.
const BATCH: usize = 32;
/// The time between two looks whether the thread must end.
const IDLE: Duration = Duration::from_millis(50);

pub struct Wan {
    emulator: Arc<Mutex<Emulator>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wan {
    /// Joins two namespaces by a route. On path N the client has the address 10.99.N.1 and the
    /// server 10.99.N.2. A packet to another path's address is lost.
    pub fn start(client: &Namespace, server: &Namespace, route: &Route) -> Result<Wan, String> {
        let mut devices = Vec::new();
        for number in 0..route.paths.len() {
            devices.push([device(client, number, 1)?, device(server, number, 2)?]);
        }
        let emulator = Arc::new(Mutex::new(Emulator::new(route.clone())));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (emulator.clone(), stop.clone());
        let thread = thread::spawn(move || {
            be_punctual();
            while !stopped.load(Ordering::Relaxed) {
                step(&devices, &shared);
            }
        });
        Ok(Wan { emulator, stop, thread: Some(thread) })
    }

    pub fn emulator(&self) -> MutexGuard<'_, Emulator> {
        lock(&self.emulator)
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn device(place: &Namespace, path: usize, host: u8) -> Result<SyncDevice, String> {
    let name = format!("lab{path}");
    let tun = place.run(|| {
        let open = || {
            let tun = DeviceBuilder::new()
                .name(&name)
                .packet_information(false)
                .offload(false)
                .build_sync()?;
            tun.set_nonblocking(true)?;
            Ok(tun)
        };
        open().map_err(|error: std::io::Error| format!("making the TUN device {name}: {error}"))
    })?;
    place.ip(&format!(
        "link set {name} mtu 1500 txqueuelen 5000 up\naddress add 10.99.{path}.{host}/24 dev {name}"
    ))?;
    Ok(tun)
}

/// Lets the calling thread wait for no other program: a packet that is passed on late arrives in a
/// burst. Without these rights, or without util-linux, the route is only less exact.
fn be_punctual() {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let _ = rustix::process::nice(-10);
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let real_time = ["--fifo", "--pid", "1", &thread];
    let _ =
        Command::new("chrt").args(real_time).stdout(Stdio::null()).stderr(Stdio::null()).status();
}

fn lock(emulator: &Mutex<Emulator>) -> MutexGuard<'_, Emulator> {
    emulator.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends the packets that are due, then waits until a packet comes in or is due, and takes it in.
fn step(devices: &[[SyncDevice; 2]], emulator: &Mutex<Emulator>) {
    let wait = {
        let mut emulator = lock(emulator);
        while let Some(packet) = emulator.depart(clock::now()) {
            // A packet that a device does not take is lost, as on any link.
            let _ = devices[packet.path][packet.way.back() as usize].send(&packet.bytes);
        }
        emulator.deadline().map_or(IDLE, |due| due.saturating_sub(clock::now()).min(IDLE))
    };
    let ends = || devices.iter().flatten();
    let mut ready: Vec<_> = ends().map(|tun| PollFd::new(tun, PollFlags::IN)).collect();
    let wait = Timespec::try_from(wait).expect("a short time");
    if poll(&mut ready, Some(&wait)).is_err() {
        return;
    }
    let ready: Vec<bool> = ready.iter().map(|end| !end.revents().is_empty()).collect();
    let mut emulator = lock(emulator);
    let mut buffer = [0; 2048];
    for (place, tun) in ends().enumerate().filter(|(place, _)| ready[*place]) {
        let way = if place % 2 == 0 { Way::Up } else { Way::Down };
        for _ in 0..BATCH {
            let Ok(len) = tun.recv(&mut buffer) else { break };
            let path = place / 2;
            // A program that binds itself to a device could cross over from path to path, and have
            // more connections than stripes.
            if buffer[..len].get(16..19) == Some(&[10, 99, path as u8]) {
                emulator.arrive(clock::now(), path, way, &buffer[..len]);
            }
        }
    }
}
