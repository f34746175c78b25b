//! The proxies' processes: their starts, their ends and their logs.

use super::targets::connect_targets;
use super::tasks::Proxy;
use super::ways::carry_local;
use super::*;

impl World {
    pub(super) fn start(&mut self, process: usize) {
        self.busy[process] = Rc::default();
        let net = self.net.clone();
        let clock = Rc::new(SimClock { net: net.clone(), process });
        let index = net.borrow().now * 2 + process as u64;
        let entropy = RefCell::new(seed::stream(self.scenario.seed, "driver entropy", index));
        let entropy: Rc<dyn Fn() -> u64> = Rc::new(move || entropy.borrow_mut().random());
        let events = self.events(process);
        let executor = self.executors[process].clone();
        let session = self.scenario.configs[process];
        if process == CLIENT {
            let servers = (0..self.scenario.routes.len())
                .map(|route| HostPort::new("server", u16::try_from(route).unwrap_or(0)))
                .collect();
            let mut options = ClientOptions::new(servers);
            options.session = session;
            options.listens = true;
            let dial = Rc::new(SimDial { net: net.clone(), process });
            let (client, run) = Client::start_in(clock, dial, entropy, options, Some(events))
                .expect("settings within their ranges");
            executor.spawn(run);
            let listen = SimListen::new(net, self.local_port);
            executor.spawn(carry_local(self.proxy(process), listen, client.clone()));
            self.client = Some(client);
            for index in 0..self.flows.borrow().len() {
                self.start_listener(index);
            }
        } else {
            self.doors = Rc::default();
            let listen = Box::new(SimListen::new(net, self.stripe_port));
            let mut options = ServerOptions::default();
            options.session = session;
            let spawner = executor.spawner();
            let server = Server::start_in(clock, listen, spawner, entropy, options, Some(events))
                .expect("settings within their ranges");
            executor.spawn(connect_targets(self.proxy(process), server.clone()));
            self.server = Some(server);
        }
        self.stopped[process] = Rc::default();
        let now = self.net.borrow().now;
        self.causes.borrow_mut().started(process, now);
    }

    pub(super) fn proxy(&self, process: usize) -> Proxy {
        Proxy {
            net: self.net.clone(),
            process,
            spawn: self.executors[process].spawner(),
            flows: self.flows.clone(),
            first: self.flow_routes,
            causes: self.causes.clone(),
            busy: self.busy[process].clone(),
            doors: self.doors.clone(),
            eager: self.eager.clone(),
            closing: self.closing.clone(),
            punctual: self.is_punctual(CLIENT),
        }
    }

    pub(super) fn events(&self, process: usize) -> Rc<dyn Fn(Told)> {
        let (causes, net) = (self.causes.clone(), self.net.clone());
        let limit = self.scenario.configs[process].resume_limit;
        Rc::new(move |event| {
            let (now, clock) = (net.borrow().now, net.borrow().time_of(process));
            net.borrow_mut().digest.number(now);
            causes.borrow_mut().hear(process, &event, now, clock, limit);
        })
    }

    pub(super) fn kill(&mut self, process: usize, mute: bool) {
        self.net.borrow_mut().processes[process].mute = mute;
        self.executors[process].kill();
        if process == CLIENT {
            self.client = None;
        } else {
            self.server = None;
        }
        self.executors[process].kill();
        let now = self.net.borrow().now;
        self.causes.borrow_mut().stopped(process, now);
        self.net.borrow_mut().processes[process].mute = false;
    }

    pub(super) fn is_up(&self, process: usize) -> bool {
        if process == CLIENT { self.client.is_some() } else { self.server.is_some() }
    }
}
