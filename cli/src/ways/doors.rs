//! The open ways in of a client, which change while connections are open.

use super::{Door, Inside, Port};
use crate::args::Way;
use crate::failure::Failure;
use crate::sockets::Sockets;
use smol::Task;
use std::cell::RefCell;
use std::rc::Rc;
use striper_runtime::Event;

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Doors(Rc<Inner>);

struct Inner {
    inside: Inside,
    sockets: Sockets,
    events: Rc<dyn Fn(Event)>,
    open: RefCell<Vec<Attended>>,
}

struct Attended {
    way: Way,
    port: Option<Port>,
    address: String,
    place: String,
    task: Task<()>,
}

/// Doors that nobody attends yet, each with its way.
pub(crate) struct Opened(Vec<(Way, Door)>);

/// Closes all listeners when it is dropped. Their connections go on.
pub(crate) struct Closing(Doors);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.0.open.borrow_mut().clear();
    }
}

impl Opened {
    /// Opens a door for each way. Some take over one of these `ports`, which will be closed.
    pub(crate) async fn open(
        ways: &[Way],
        mut ports: Vec<Port>,
        sockets: &Sockets,
        events: &Rc<dyn Fn(Event)>,
    ) -> Result<Opened, Failure> {
        let mut opened = Vec::new();
        for way in ways {
            let same = ports.iter().position(|port| port.is_of(way));
            let port = same.map(|at| ports.swap_remove(at));
            let door = Door::open(way, port, &ports, sockets, events).await?;
            opened.extend(door.map(|door| (way.clone(), door)));
        }
        Ok(Opened(opened))
    }

    pub(crate) fn doors(&self) -> impl Iterator<Item = &Door> {
        self.0.iter().map(|(_, door)| door)
    }
}

impl Doors {
    pub(crate) fn new(inside: Inside, sockets: Sockets, events: Rc<dyn Fn(Event)>) -> Doors {
        Doors(Rc::new(Inner { inside, sockets, events, open: RefCell::default() }))
    }

    /// From now on what comes in through them is carried.
    pub(crate) fn attend(&self, opened: Opened) {
        let Inner { inside, sockets, .. } = &*self.0;
        let attend = |(way, door): (Way, Door)| {
            let (port, address, place) = (door.port(&way), door.address(), door.place());
            port.iter().for_each(|port| port.keep(sockets));
            Attended {
                way,
                port,
                address,
                place,
                task: inside.ex.spawn(door.attend(inside.clone())),
            }
        };
        self.0.open.borrow_mut().extend(opened.0.into_iter().map(attend));
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.0.open.borrow().iter().map(|door| door.address.clone()).collect()
    }

    pub(crate) fn closing(&self) -> Closing {
        Closing(self.clone())
    }

    /// Opens doors that take the place of others: these leave them their ports.
    pub(crate) async fn open_for(&self, ways: &[Way], leaving: &[Way]) -> Result<Opened, Failure> {
        let ports = self.leaving(leaving).into_iter().filter_map(|(_, port)| port).collect();
        Opened::open(ways, ports, &self.0.sockets, &self.0.events).await
    }

    /// Closes them. The result says where they were.
    pub(crate) async fn close(&self, ways: &[Way]) -> Vec<String> {
        let mut numbers: Vec<usize> =
            self.leaving(ways).into_iter().map(|(number, _)| number).collect();
        // From behind, so that a removal moves none of the others that follow.
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let closed: Vec<Attended> =
            numbers.iter().map(|number| self.0.open.borrow_mut().remove(*number)).collect();
        let mut places = Vec::new();
        for Attended { place, task, .. } in closed {
            task.cancel().await;
            places.push(place);
        }
        places.reverse();
        places
    }

    /// The number and the port of an open door for each way.
    fn leaving(&self, ways: &[Way]) -> Vec<(usize, Option<Port>)> {
        let open = self.0.open.borrow();
        let mut found: Vec<(usize, Option<Port>)> = Vec::new();
        for way in ways {
            let is_next = |(number, door): &(usize, &Attended)| {
                door.way == *way && found.iter().all(|(known, _)| known != number)
            };
            let next = open.iter().enumerate().find(is_next);
            found.extend(next.map(|(number, door)| (number, door.port.clone())));
        }
        found
    }
}
